/**
 * Unix stream sockets for programs that wait for long: as long as one of the runtime's own is open
 * (`sockets.ts`, `quick_socket.ts`), a timer of the runtime wakes the process each second.
 */
import * as fs from "node:fs";
import { gatherer } from "./gather.ts";
import { loadLibc } from "./libc.ts";
import { unixAddress } from "./notify_socket.ts";
import { errnoName, hasCode, systemError } from "./system_error.ts";
import type { ByteStream, ByteStreamHandlers } from "./types.ts";

// linux/socket.h, asm-generic/socket.h, linux/net.h
const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0o2000000;
const SOCK_NONBLOCK = 0o4000;
const SHUT_RDWR = 2;

/** How long a peer that does not read has before it is tried again, in ms. */
const FULL_PAUSE_MS = 5;

const functions = {
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  shutdown: { args: ["i32", "i32"], returns: "i32" },
  __errno_location: { args: [], returns: "ptr" },
} as const;

/**
 * Connects to a unix socket. Needs Bun's foreign function interface.
 * @param path absolute
 * @throws SystemError (ENOENT, ECONNREFUSED, EAGAIN, EACCES, …) when that fails
 */
export async function connectQuietly(path: string): Promise<ByteStream> {
  const libc = await loadLibc(functions, "connect to sockets");
  const { read } = await import("bun:ffi");
  const failure = (call: string) => {
    const at = libc.__errno_location();
    const code = errnoName(at === null ? 0 : read.i32(at, 0));
    return systemError(code, `${code}: ${call} ${path}`);
  };
  const address = unixAddress(path);
  const fd = libc.socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) throw failure("socket");
  if (libc.connect(fd, address, address.length) !== 0) {
    const error = failure("connect");
    fs.closeSync(fd);
    throw error;
  }
  return new QuietSocket(fd, () => libc.shutdown(fd, SHUT_RDWR));
}

class QuietSocket implements ByteStream {
  readonly gather = gatherer(() => this.#open && !this.#closing);
  readonly #fd: number;
  readonly #shutDown: () => void;
  #handlers: ByteStreamHandlers | null = null;
  #open = true;
  #closing = false;
  #failure: Error | null = null;
  #waiting: Uint8Array[] = [];
  #queued = 0;

  constructor(fd: number, shutDown: () => void) {
    this.#fd = fd;
    this.#shutDown = shutDown;
  }

  get queued(): number {
    return this.#queued;
  }

  start(handlers: ByteStreamHandlers): void {
    this.#handlers = handlers;
    if (!this.#open) return queueMicrotask(() => handlers.closed(null));
    this.#read(handlers).then(() => this.#ended(null), (error: Error) => this.#ended(error));
  }

  write(bytes: Uint8Array): void {
    if (!this.#open || this.#closing || this.#failure !== null) return;
    this.#waiting.push(bytes);
    this.#queued += bytes.length;
    if (this.#waiting.length === 1) this.#flush();
  }

  close(): void {
    if (!this.#open || this.#closing) return;
    this.#closing = true;
    // Whoever reads sees the end then, and nobody else gets the descriptor before that.
    this.#shutDown();
    if (this.#handlers === null) this.#release();
  }

  async #read({ data }: ByteStreamHandlers): Promise<void> {
    for await (const chunk of Bun.file(this.#fd).stream()) {
      if (!this.#closing) data(chunk);
    }
  }

  #ended(error: Error | null): void {
    this.#release();
    this.#handlers?.closed(this.#closing ? null : this.#failure ?? error);
  }

  #release(): void {
    this.#open = false;
    fs.closeSync(this.#fd);
  }

  #flush(): void {
    if (!this.#open || this.#closing) return;
    try {
      for (let first; (first = this.#waiting[0]) !== undefined;) {
        const written = fs.writeSync(this.#fd, first);
        this.#queued -= written;
        if (written < first.length) this.#waiting[0] = first.subarray(written);
        else this.#waiting.shift();
      }
    } catch (error) {
      if (hasCode(error, "EAGAIN")) {
        setTimeout(() => this.#retry(), FULL_PAUSE_MS);
        return;
      }
      this.#failure = error as Error;
      this.#shutDown();
    }
  }

  #retry(): void {
    this.#flush();
    if (this.#queued === 0) this.#handlers?.drained?.();
  }
}
