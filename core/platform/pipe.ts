/**
 * Pipes for what children print. The runtime's own are sockets, and a shell cannot open those again:
 * `echo … > /dev/stderr` in a script would fail.
 */
import * as fs from "node:fs";
import { openReader, readAll } from "./descriptor.ts";
import { loadLibc } from "./libc.ts";

/** The two ends of a pipe. */
export interface Pipe {
  /** Reads until every writer is gone, then resolves. Called once. */
  drain(data: (chunk: Uint8Array) => void): Promise<void>;
  /** The descriptor to write to, to be handed to a child. */
  readonly writer: number;
  /** Closes the writing end of this process. */
  closeWriter(): void;
}

/* fcntl.h on Linux, the same on x86 and ARM. */
const O_CLOEXEC = 0o2000000;
const F_SETFL = 4;

/** @throws SystemError when there is no descriptor left */
export async function openPipe(): Promise<Pipe> {
  const libc = await loadLibc("make pipes");
  const ends = new Int32Array(2);
  if (libc.pipe2(ends, O_CLOEXEC) !== 0) throw libc.failure("pipe");
  const [reader, writer] = ends as unknown as [number, number];
  libc.fcntl(reader, F_SETFL, fs.constants.O_NONBLOCK);
  return {
    writer,
    closeWriter: () => fs.closeSync(writer),
    async drain(data) {
      try {
        await readAll(openReader(reader), data);
      } finally {
        fs.closeSync(reader);
      }
    },
  };
}
