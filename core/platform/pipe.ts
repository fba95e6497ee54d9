/**
 * Pipes to and from children. The runtime's own are sockets, and a shell cannot open those again:
 * `echo … > /dev/stderr` in a script would fail.
 */
import { openReader, readAll, WriteQueue } from "./descriptor.ts";
import { loadLibc } from "./libc.ts";

/* fcntl.h on Linux, the same on x86 and ARM. */
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;
const F_SETFL = 4;

/** A pipe of which this process keeps one end. */
interface OneEnd {
  /** The other end, to be handed to a child. */
  readonly theirs: number;
  /** Closes that end in this process. */
  closeTheirs(): void;
}

/** What a child prints. */
export interface OutputPipe extends OneEnd {
  /** Reads until every writer is gone, then resolves. Called once, or else {@link read} is. */
  drain(data: (chunk: Uint8Array) => void): Promise<void>;
  /** Reads no further than it is asked for. */
  read(): AsyncIterable<Uint8Array>;
}

/** What a child is told. */
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

/** @throws SystemError when there is no descriptor left */
export async function openOutputPipe(): Promise<OutputPipe> {
  const { libc, reader, writer } = await open("reader");
  return {
    theirs: writer,
    closeTheirs: () => void libc.close(writer),
    async drain(data) {
      try {
        await readAll(openReader(reader), data);
      } finally {
        libc.close(reader);
      }
    },
    async *read() {
      const source = openReader(reader);
      try {
        for (;;) {
          const { done, value } = await source.read();
          if (done) return;
          yield value;
        }
      } finally {
        await source.cancel();
        libc.close(reader);
      }
    },
  };
}

/** @throws SystemError when there is no descriptor left */
export async function openInputPipe(): Promise<InputPipe> {
  const { libc, reader, writer } = await open("writer");
  let isOpen = true;
  let ending = false;
  const close = () => {
    if (!isOpen) return;
    isOpen = false;
    queue.stop();
    libc.close(writer);
  };
  const queue = new WriteQueue(
    (bytes) => {
      const written = libc.write(writer, bytes, bytes.length);
      if (written >= 0) return written;
      const error = libc.failure("write");
      if (error.code === "EAGAIN") return -1;
      throw error;
    },
    close,
    () => {
      if (ending) close();
    },
  );
  return {
    theirs: reader,
    closeTheirs: () => void libc.close(reader),
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
async function open(ours: "reader" | "writer") {
  const libc = await loadLibc("make pipes");
  const ends = new Int32Array(2);
  if (libc.pipe2(ends, O_CLOEXEC) !== 0) throw libc.failure("pipe");
  const [reader, writer] = ends as unknown as [number, number];
  libc.fcntl(ours === "reader" ? reader : writer, F_SETFL, O_NONBLOCK);
  return { libc, reader, writer };
}
