/** Requests to the kernel's routing socket (rtnetlink(7)). */
import { closeFile } from "../../io/file_calls.ts";
import { sys } from "../../kernel.ts";
import { errnoName, systemError } from "../../system_error.ts";
import type { SystemError } from "../../types.ts";
import {
  decodeAttributes,
  decodeMessages,
  encodeMessage,
  HEADER_SIZE,
  type NetlinkMessage,
  textOf,
  viewOf,
} from "./attributes.ts";

// linux/socket.h, asm-generic/socket.h, linux/netlink.h
const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOCK_CLOEXEC = 0o2000000;
const NETLINK_ROUTE = 0;
const SOL_NETLINK = 270;
const NETLINK_CAP_ACK = 10;
const NETLINK_EXT_ACK = 11;
const NETLINK_GET_STRICT_CHK = 12;
const MSG_DONTWAIT = 0x40;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F_REQUEST = 0x1;
const NLM_F_ACK = 0x4;
const NLM_F_ACK_TLVS = 0x200;
const NLM_F_DUMP = 0x300;
const NLMSGERR_ATTR_MSG = 1;

/** The kernel sends at most this many bytes at once (netlink_dump in net/netlink/af_netlink.c). */
const RECEIVE_SIZE = 32 * 1024;

let lastSequence = 0;

/**
 * Has the kernel do something, or asks it for one thing.
 * @returns what it answered besides its acknowledgement
 * @throws SystemError
 */
export function request(
  type: number,
  flags: number,
  payload: Uint8Array,
): Promise<NetlinkMessage[]> {
  return exchange({ type, flags: NLM_F_REQUEST | NLM_F_ACK | flags, payload });
}

/** Asks the kernel for all things of a kind. @throws SystemError */
export function dump(type: number, payload: Uint8Array): Promise<NetlinkMessage[]> {
  return exchange({ type, flags: NLM_F_REQUEST | NLM_F_DUMP, payload });
}

/** The socket, while there is one, and what the kernel's answers are received in. */
let socket: { readonly fd: number; readonly buffer: Uint8Array } | null = null;

/**
 * The kernel has answered before `send` returns, so nothing waits but in the kernel itself, and one
 * request follows the other on one socket. After an error of the socket itself the next one gets
 * another: no answer to an earlier request is ever left in it.
 */
async function exchange(message: NetlinkMessage): Promise<NetlinkMessage[]> {
  const { fd, buffer } = socket ??= { fd: open(), buffer: new Uint8Array(RECEIVE_SIZE) };
  const sequence = lastSequence = (lastSequence + 1) >>> 0;
  let answers: NetlinkMessage[] | null = null;
  try {
    const bytes = encodeMessage(message, sequence);
    const sent = sys.send(fd, bytes, 0, null);
    if (sent < 0) throw failure(sent, "send");
    answers = receive(fd, buffer, sequence);
  } finally {
    if (answers === null) {
      socket = null;
      closeFile(fd);
    }
  }
  const outcome = answers.pop();
  if (outcome !== undefined) checkOutcome(outcome);
  return answers;
}

function failure(result: number, call: string): SystemError {
  const code = errnoName(-result);
  return systemError(code, `${code} (${call} on the routing socket)`);
}

function open(): number {
  const fd = sys.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) throw failure(fd, "socket");
  // Older kernels lack some of these; each only improves the answers.
  const on = new Uint8Array(Int32Array.of(1).buffer);
  for (const option of [NETLINK_CAP_ACK, NETLINK_EXT_ACK, NETLINK_GET_STRICT_CHK]) {
    sys.setsockopt(fd, SOL_NETLINK, option, on);
  }
  return fd;
}

/** All messages of an answer; the last one tells how it went. */
function receive(fd: number, buffer: Uint8Array, sequence: number): NetlinkMessage[] {
  const answers: NetlinkMessage[] = [];
  for (;;) {
    const length = sys.recv(fd, buffer, MSG_DONTWAIT);
    if (length < 0) throw failure(length, "recv");
    // A copy: it is looked at when the next answer may have come already.
    for (const message of decodeMessages(buffer.slice(0, length), sequence)) {
      answers.push(message);
      if (message.type === NLMSG_ERROR || message.type === NLMSG_DONE) return answers;
    }
  }
}

/** Both kinds of end begin with 0 or a negative errno (struct nlmsgerr). */
function checkOutcome({ type, flags, payload }: NetlinkMessage): void {
  const error = payload.length >= 4 ? viewOf(payload).getInt32(0, true) : 0;
  if (error === 0) return;
  const start = type === NLMSG_ERROR ? 4 + HEADER_SIZE : 4;
  const words = (flags & NLM_F_ACK_TLVS) === 0
    ? undefined
    : textOf(decodeAttributes(payload, start), NLMSGERR_ATTR_MSG);
  const code = errnoName(-error);
  throw systemError(code, words ? `${code} (${words.replace(/\.$/, "")})` : code);
}
