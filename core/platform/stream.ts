/**
 * Unix stream sockets. They are the C library's: the runtime's own take longer to load than a short
 * program takes to run (`node:net`), and wake the process each second for as long as one is open.
 */
import { openReader, readAll, WriteQueue } from "./descriptor.ts";
import { gatherer } from "./gather.ts";
import { type Libc, loadLibc } from "./libc.ts";
import { systemError } from "./system_error.ts";
import type { ByteStream, ByteStreamHandlers } from "./types.ts";
import { AF_UNIX, MSG_DONTWAIT, MSG_NOSIGNAL, pathAddress, SOCK_CLOEXEC } from "./unix_address.ts";

// linux/net.h, asm-generic/fcntl.h
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const SHUT_RDWR = 2;
// asm-generic/socket.h
const SOL_SOCKET = 1;
const SO_SNDBUF = 7;
const O_PATH = 0o10000000;
const O_CLOEXEC = 0o2000000;

/**
 * Bytes that may be under way to the peer: a store's client must not have a request cut in half by a
 * full buffer (see socket_transport.ts). The kernel takes twice that, and at most twice wmem_max.
 */
const SEND_BUFFER = Int32Array.of(256 * 1024);

/**
 * Connects to a unix socket. Needs Bun's foreign function interface.
 * @throws SystemError (ENOENT, ECONNREFUSED, EAGAIN, EACCES, …) when that fails
 */
export async function connectStream(path: string): Promise<ByteStream> {
  const libc = await loadLibc("connect to sockets");
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) throw libc.failure(`socket ${path}`);
  libc.setsockopt(fd, SOL_SOCKET, SO_SNDBUF, SEND_BUFFER, SEND_BUFFER.byteLength);
  const error = connect(libc, fd, path);
  if (error === null) return new DescriptorStream(fd, libc);
  libc.close(fd);
  throw error;
}

/** @returns what is wrong, if anything */
function connect(libc: Libc, fd: number, path: string) {
  const slash = path.lastIndexOf("/") + 1;
  let address = pathAddress(path);
  let directory = -1;
  if (address === null && slash > 0) {
    // What is too long for an address is short when it is seen from its directory.
    const above = new TextEncoder().encode(`${path.slice(0, slash)}\0`);
    directory = libc.open(above, O_PATH | O_CLOEXEC);
    if (directory < 0) return libc.failure(`open ${path.slice(0, slash)}`);
    address = pathAddress(`/proc/self/fd/${directory}/${path.slice(slash)}`);
  }
  if (address === null) return systemError("ENAMETOOLONG", `ENAMETOOLONG: connect ${path}`);
  const done = libc.connect(fd, address, address.length) === 0;
  const error = done ? null : libc.failure(`connect ${path}`);
  if (directory >= 0) libc.close(directory);
  return error;
}

/** A stream on the descriptor of a connected socket that does not block, which it will close. */
export class DescriptorStream implements ByteStream {
  readonly gather = gatherer(() => this.#open && !this.#closing);
  readonly #fd: number;
  readonly #libc: Libc;
  readonly #output: WriteQueue;
  #handlers: ByteStreamHandlers | null = null;
  #open = true;
  #closing = false;
  #failure: Error | null = null;

  constructor(fd: number, libc: Libc) {
    this.#fd = fd;
    this.#libc = libc;
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
    readAll(openReader(this.#fd), data)
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
    const sent = this.#libc.send(this.#fd, bytes, bytes.length, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    const error = this.#libc.failure("send");
    if (error.code === "EAGAIN") return -1;
    throw error;
  }

  #shutDown(): void {
    this.#output.stop();
    this.#libc.shutdown(this.#fd, SHUT_RDWR);
  }

  #ended(error: Error | null): void {
    this.#release();
    this.#handlers?.closed(this.#closing ? null : this.#failure ?? error);
  }

  #release(): void {
    this.#output.stop();
    this.#open = false;
    this.#libc.close(this.#fd);
  }
}
