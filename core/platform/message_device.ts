/**
 * A character device that is read as a stream and takes one message per `write(2)`, such as
 * `/dev/xen/xenbus`.
 */
import * as fs from "node:fs";

/** An open device. */
export interface MessageDevice {
  /** Begins delivery; `closed` is called exactly once. */
  start(
    handlers: { data(chunk: Uint8Array): void; closed(error: Error | null): void },
  ): void;
  /**
   * One `write(2)`.
   * @throws SystemError with the errno that the driver returned
   */
  write(bytes: Uint8Array): void;
  close(): void;
}

/**
 * Opens a device for reading and writing, close-on-exec and non-blocking: a blocked read would
 * occupy a thread of the runtime's pool, and on kernels before late 2016 a blocked read of
 * `/proc/xen/xenbus` also blocks writes.
 * @throws SystemError (ENOENT, ENODEV, EACCES, …)
 */
export function openMessageDevice(path: string): MessageDevice {
  const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_NONBLOCK);
  // The only way of the runtime to wait for a device in epoll; `fs.createReadStream` delivers
  // nothing from this one.
  const reader = Bun.file(fd).stream().getReader();
  let closing = false;
  return {
    start(handlers) {
      const pump = async () => {
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          handlers.data(value);
        }
      };
      pump().then(
        () => handlers.closed(null),
        (error: unknown) => handlers.closed(closing ? null : error as Error),
      );
    },
    write(bytes) {
      const written = fs.writeSync(fd, bytes);
      if (written !== bytes.length) {
        throw Object.assign(new Error(`short write of ${written} bytes`), { code: "EIO" });
      }
    },
    close() {
      if (closing) return;
      closing = true;
      reader.cancel().catch(() => {}).finally(() => {
        try {
          fs.closeSync(fd);
        } catch {
          // The stream closed it already.
        }
      });
    },
  };
}
