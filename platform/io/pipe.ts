/**
 * Pipes to and from children. Sockets will not do: a shell cannot open those again, and
 * `echo … > /dev/stderr` in a script would fail.
 */
import { WriteQueue } from "./descriptor.ts";
import { closeFile, O_CLOEXEC, O_NONBLOCK } from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { sources } from "../runtime.ts";
import type { DescriptorReader } from "../sources.ts";
import { errnoName, must, systemError } from "../system_error.ts";

// asm-generic/fcntl.h, asm-generic/errno-base.h
const F_SETFL = 4;
const EAGAIN = 11;

/** A pipe of which this process keeps one end. */
interface OneEnd {
  /** The other end, to be handed to a child. */
  readonly theirs: number;
  /** Closes that end in this process. */
  closeTheirs(): void;
}

/** What a child prints. */
export interface OutputPipe extends OneEnd {
  /**
   * Reads until every writer is gone, then resolves; whoever prints without end is read at a bounded
   * speed. Called once, or else {@link read} is.
   */
  drain(data: (chunk: Uint8Array) => void): Promise<void>;
  /** Reads no further than it is asked for. */
  read(): AsyncIterable<Uint8Array>;
  /** Whether it has not been read to its end. */
  readonly isOpen: boolean;
  /** Reads no more, whoever may still write: that one is told by SIGPIPE, or EPIPE. */
  stop(): void;
}

export interface InputPipe extends OneEnd {
  /** Queues bytes. Ignored when nobody reads them any more. */
  write(bytes: Uint8Array): void;
  /** Bytes that have not been taken yet. */
  readonly queued: number;
  /** Ends it, behind what is queued. */
  end(): void;
  /** Ends it at once. */
  close(): void;
}

/** Most that is read of one pipe in a second, in bytes: a `yes` takes a third of a processor else. */
const BYTES_PER_SECOND = 4 * 1024 * 1024;

/** @throws SystemError when there is no descriptor left */
export function openOutputPipe(): OutputPipe {
  const { reader, writer } = open("reader");
  let stopped = false;
  let source: DescriptorReader | null = null;
  /** The next bytes; undefined when there are no more. */
  const next = async (): Promise<Uint8Array | undefined> => {
    if (stopped) return undefined;
    const { done, value } = await (source ??= sources.openReader(reader)).read();
    return done || stopped ? undefined : value;
  };
  let endPause = () => {};
  const pause = (ms: number) =>
    new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      endPause = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  const close = async () => {
    stopped = true;
    await source?.cancel();
    closeFile(reader);
  };
  return {
    theirs: writer,
    closeTheirs: () => closeFile(writer),
    async drain(data) {
      let [since, bytes] = [performance.now(), 0];
      try {
        for (let chunk; (chunk = await next()) !== undefined;) {
          data(chunk);
          bytes += chunk.length;
          if (bytes < BYTES_PER_SECOND) continue;
          const left = since + 1000 - performance.now();
          if (left > 0) await pause(left);
          [since, bytes] = [performance.now(), 0];
        }
      } finally {
        await close();
      }
    },
    async *read() {
      try {
        for (let chunk; (chunk = await next()) !== undefined;) yield chunk;
      } finally {
        await close();
      }
    },
    get isOpen() {
      return !stopped;
    },
    stop() {
      stopped = true;
      endPause();
      source?.cancel().catch(() => {});
    },
  };
}

/** @throws SystemError when there is no descriptor left */
export function openInputPipe(): InputPipe {
  const { reader, writer } = open("writer");
  let isOpen = true;
  let ending = false;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    queue.stop();
    closeFile(writer);
  };
  const queue = new WriteQueue(
    (bytes) => {
      const written = sys.write(writer, bytes);
      if (written >= 0) return written;
      if (written === -EAGAIN) return -1;
      const code = errnoName(-written);
      throw systemError(code, `${code}: write`);
    },
    close,
    () => {
      if (ending) close();
    },
  );
  return {
    theirs: reader,
    closeTheirs: () => closeFile(reader),
    write: (bytes) => queue.push(bytes),
    get queued() {
      return queue.queued;
    },
    end() {
      ending = true;
      if (queue.queued === 0) close();
    },
    close,
  };
}

/** @param ours which end this process keeps, and does not want to wait at */
function open(ours: "reader" | "writer"): { reader: number; writer: number } {
  const ends = new Int32Array(2);
  must(() => sys.pipe(new Uint8Array(ends.buffer), O_CLOEXEC), "pipe");
  const [reader, writer] = ends as unknown as [number, number];
  sys.fcntl(ours === "reader" ? reader : writer, F_SETFL, O_NONBLOCK);
  return { reader, writer };
}
