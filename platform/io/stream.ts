/**
 * Unix stream sockets, by system calls: a runtime's own take longer to load than a short program takes
 * to run, and may wake the process each second for as long as one is open.
 */
import { readAll, WriteQueue } from "./descriptor.ts";
import { closeFile, O_CLOEXEC, openFile } from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { sources } from "../runtime.ts";
import { errnoName, must, systemError } from "../system_error.ts";
import type { ByteStream, ByteStreamHandlers } from "../types.ts";
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, pathAddress, SOCK_CLOEXEC } from "./unix_address.ts";

/**
 * How long a stream that gathers leaves its peer alone, in ms. The kernel adds its timer slack, 50 µs
 * (prctl(2), PR_SET_TIMERSLACK), and waking takes its time: 0.16 to 0.2 in all.
 */
const GATHER_MS = 0.1;

const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));

/** A stream's `gather`. @param isOpen whether there is still something to wait for */
function gatherer(isOpen: () => boolean): () => void {
  let gathering = false;
  return () => {
    if (gathering) return;
    gathering = true;
    // Last in this turn of the event loop: answers to what has arrived are on their way by then.
    // No timer of the runtime's is this short. So the whole thread sleeps, for less time than
    // the next write to a file may take.
    setImmediate(() => {
      gathering = false;
      if (isOpen()) Atomics.wait(never, 0, 0, GATHER_MS);
    });
  };
}

// linux/net.h, asm-generic/fcntl.h
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SHUT_RDWR = 2;
// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const O_PATH = 0o10000000;
const EAGAIN = 11;

/**
 * Bytes that may be under way to the peer: a store's client must not have a request cut in half by a
 * full buffer (see socket_transport.ts). The kernel takes twice that, and at most twice wmem_max.
 */
const SEND_BUFFER = new Uint8Array(Int32Array.of(256 * 1024).buffer);

/**
 * Connects to a unix socket.
 * @throws SystemError (ENOENT, ECONNREFUSED, EAGAIN, EACCES, …) when that fails
 */
export async function connectStream(path: string): Promise<ByteStream> {
  const type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const fd = must(() => sys.socket(AF_UNIX, type, 0), `socket ${path}`);
  sys.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER);
  try {
    connect(fd, path);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
  return new DescriptorStream(fd);
}

/** @throws SystemError */
function connect(fd: number, path: string): void {
  const slash = path.lastIndexOf("/") + 1;
  let address = pathAddress(path);
  let directory = -1;
  if (address === null && slash > 0) {
    // What is too long for an address is short when it is seen from its directory.
    directory = openFile(path.slice(0, slash), O_PATH | O_CLOEXEC);
    address = pathAddress(`/proc/self/fd/${directory}/${path.slice(slash)}`);
  }
  try {
    if (address === null) throw systemError("ENAMETOOLONG", `ENAMETOOLONG: connect ${path}`);
    const to = address;
    must(() => sys.connect(fd, to), `connect ${path}`);
  } finally {
    if (directory >= 0) closeFile(directory);
  }
}

/** A stream on the descriptor of a connected socket that does not block, which it will close. */
export class DescriptorStream implements ByteStream {
  readonly gather = gatherer(() => this.#open && !this.#closing);
  readonly #fd: number;
  readonly #output: WriteQueue;
  #handlers: ByteStreamHandlers | null = null;
  #open = true;
  #closing = false;
  #failure: Error | null = null;

  constructor(fd: number) {
    this.#fd = fd;
    this.#output = new WriteQueue(
      (bytes) => this.#send(bytes),
      (error) => {
        this.#failure = error;
        this.#shutDown();
      },
      () => this.#handlers?.drained?.(),
    );
  }

  get queued(): number {
    return this.#output.queued;
  }

  start(handlers: ByteStreamHandlers): void {
    this.#handlers = handlers;
    if (!this.#open) return queueMicrotask(() => handlers.closed(null));
    const data = (chunk: Uint8Array) => {
      if (!this.#closing) handlers.data(chunk);
    };
    readAll(sources.openReader(this.#fd), data)
      .then(() => this.#ended(null), (error: Error) => this.#ended(error));
  }

  write(bytes: Uint8Array): void {
    this.#output.push(bytes);
  }

  close(): void {
    if (!this.#open || this.#closing) return;
    this.#closing = true;
    // Whoever reads sees the end then, and nobody else gets the descriptor before that.
    this.#shutDown();
    if (this.#handlers === null) this.#release();
  }

  #send(bytes: Uint8Array): number {
    const sent = sys.send(this.#fd, bytes, MSG_DONTWAIT | MSG_NOSIGNAL, null);
    if (sent >= 0) return sent;
    if (sent === -EAGAIN) return -1;
    const code = errnoName(-sent);
    throw systemError(code, `${code}: send`);
  }

  #shutDown(): void {
    this.#output.stop();
    sys.shutdown(this.#fd, SHUT_RDWR);
  }

  #ended(error: Error | null): void {
    this.#release();
    this.#handlers?.closed(this.#closing ? null : this.#failure ?? error);
  }

  #release(): void {
    this.#output.stop();
    this.#open = false;
    closeFile(this.#fd);
  }
}
