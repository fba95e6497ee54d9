/**
 * A character device that is read as a stream and takes one message per `write(2)`, such as
 * `/dev/xen/xenbus`.
 */
import type { AwaitReadable } from "../io/await_readable.ts";
import { readAll } from "../io/descriptor.ts";
import { closeFile, O_NONBLOCK, O_RDWR, openFile } from "../io/file_calls.ts";
import { sys } from "../kernel.ts";
import { sources } from "../runtime.ts";
import type { DescriptorReader } from "../sources.ts";
import { must, systemError } from "../system_error.ts";
import type { ByteStreamHandlers } from "../types.ts";

/** Receives what a device delivers. */
export interface DeviceHandlers extends Pick<ByteStreamHandlers, "data" | "closed"> {
  /** Whether an answer to what was written is still to come; without it, that is not known. */
  awaits?(): boolean;
}

export interface MessageDevice {
  /** Begins delivery. */
  start(handlers: DeviceHandlers): void;
  /**
   * One `write(2)`.
   * @throws SystemError with the errno that the driver returned
   */
  write(bytes: Uint8Array): void;
  close(): void;
}

/**
 * How long an answer is waited for where it was asked for, in ms. Most come sooner; what comes later
 * comes by the event loop, which serves everything else meanwhile.
 */
const AT_ONCE_MS = 2;

/** How often in a row that is done: a timer that is due, and the rest, may have to wait for so many. */
const AT_ONCE_MAX = 32;

/** The longest message of Xen's store is 4112 bytes (xs_wire.h); of more, the rest is read next time. */
const READ_MAX = 8192;

/**
 * Opens a device for reading and writing, close-on-exec and non-blocking: a blocked read would
 * occupy a thread of the runtime's pool, and on kernels before late 2016 a blocked read of
 * `/proc/xen/xenbus` also blocks writes.
 * @param awaitReadable with it, answers that come within {@link AT_ONCE_MS} are read without the
 *   event loop, which takes eight system calls for each
 * @throws SystemError (ENOENT, ENODEV, EACCES, …)
 */
export function openMessageDevice(path: string, awaitReadable?: AwaitReadable): MessageDevice {
  return new OpenDevice(openFile(path, O_RDWR | O_NONBLOCK), awaitReadable);
}

class OpenDevice implements MessageDevice {
  readonly #fd: number;
  readonly #awaitReadable: AwaitReadable | undefined;
  readonly #reader: DescriptorReader;
  readonly #buffer = new Uint8Array(READ_MAX);
  #handlers: DeviceHandlers | null = null;
  /** Answers in a row that came without the event loop. */
  #atOnce = 0;
  #queued = false;
  #closing = false;

  constructor(fd: number, awaitReadable: AwaitReadable | undefined) {
    this.#fd = fd;
    this.#awaitReadable = awaitReadable;
    this.#reader = sources.openReader(fd);
  }

  start(handlers: DeviceHandlers): void {
    this.#handlers = handlers;
    const data = (chunk: Uint8Array) => {
      this.#atOnce = 0;
      handlers.data(chunk);
    };
    readAll(this.#reader, data).then(
      () => handlers.closed(null),
      (error: unknown) => handlers.closed(this.#closing ? null : error as Error),
    );
  }

  write(bytes: Uint8Array): void {
    const written = must(() => sys.write(this.#fd, bytes), "write");
    if (written !== bytes.length) {
      throw systemError("EIO", `short write of ${written} bytes`);
    }
    this.#takeSoon();
  }

  /** When what runs now has asked for all that it wants to. */
  #takeSoon(): void {
    if (this.#queued || this.#awaitReadable === undefined) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      this.#takeAtOnce();
    });
  }

  #takeAtOnce(): void {
    const handlers = this.#handlers;
    if (this.#closing || this.#atOnce >= AT_ONCE_MAX || !handlers?.awaits?.()) return;
    // What the stream has read was handed on before this: it reads in the event loop only.
    if (!this.#awaitReadable!(this.#fd, AT_ONCE_MS)) return;
    this.#atOnce++;
    const length = sys.read(this.#fd, this.#buffer);
    // Of an error the stream is told as well.
    if (length <= 0) return;
    handlers.data(this.#buffer.slice(0, length));
    // It was something else, or there are more.
    this.#takeSoon();
  }

  close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.#reader.cancel().catch(() => {}).finally(() => closeFile(this.#fd));
  }
}
