/** One request on its way: its arguments, where it works, and its answer. */
import { type Message, nulTerminated, splitNul, toText } from "../xenstore/codec.ts";
import { PAYLOAD_MAX } from "../xenstore/operations.ts";
import type { ServerConnection } from "./connection.ts";
import { require } from "./failure.ts";
import { canonicalPath } from "./paths.ts";
import type { XenstoreServer } from "./server.ts";
import type { ServerTransaction } from "./transaction.ts";
import type { NodeView } from "./tree.ts";

/** One request. */
export interface Call {
  readonly server: XenstoreServer;
  readonly connection: ServerConnection;
  readonly message: Message;
  readonly transaction: ServerTransaction | null;
}

/** How an operation is done. */
export interface Handler {
  /** Whether only domain 0 may ask for it. */
  readonly privileged?: boolean;
  /** Whether the transaction id is not even looked at. */
  readonly ignoresTransaction?: boolean;
  /**
   * Does it and answers; a promise holds back the connection's next requests until it is resolved.
   * @throws Failure to refuse it
   */
  run(call: Call): void | Promise<void>;
}

const ACK = nulTerminated("OK");

/** @throws Failure E2BIG when the answer is too long for one message */
export function answer({ connection, message }: Call, payload: Uint8Array): void {
  require(payload.length <= PAYLOAD_MAX, "E2BIG");
  connection.reply(message, payload);
}

/** Answers that it is done. */
export function acknowledge(call: Call): void {
  answer(call, ACK);
}

/** The payload as exactly one string: one NUL, at the end. @throws Failure EINVAL */
export function onlyString({ message }: Call): string {
  const { payload } = message;
  require(payload.indexOf(0) === payload.length - 1 && payload.length > 0, "EINVAL");
  return toText(payload.subarray(0, -1));
}

/** The payload's strings; bytes behind the last NUL do not count. */
export function strings({ message }: Call): Uint8Array[] {
  const end = message.payload.lastIndexOf(0);
  return end < 0 ? [] : splitNul(message.payload.subarray(0, end + 1));
}

/** The tree that the request sees. */
export function viewOf({ server, transaction }: Call): NodeView {
  return transaction ?? server.tree;
}

/** The absolute path that the caller means. @throws Failure EINVAL */
export function pathArgument(call: Call, text: string): string {
  return canonicalPath(text, call.connection.domid, call.server.quotas.pathLength);
}
