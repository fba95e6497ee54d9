/** Bun's reader, when it loses a wake-up: planted here, and the real one. */
import { expect, test } from "bun:test";
import { closeSync, writeSync } from "node:fs";
import { lookAfterReads, openReader } from "../../../platform/bun/reader.ts";
import { sys } from "../../../platform/bun/sys.ts";
import type { DescriptorReader } from "../../../platform/sources.ts";

// asm-generic/fcntl.h
const O_CLOEXEC = 0o2000000;
const O_NONBLOCK = 0o4000;

const CHILD = new URL("./standard_input_child.ts", import.meta.url).pathname;

const text = ({ value }: { value?: Uint8Array | undefined }) => new TextDecoder().decode(value);

/** A pipe, both of whose ends are closed afterwards. */
async function withPipe(work: (reader: number, write: (text: string) => void) => Promise<void>) {
  const ends = new Int32Array(2);
  expect(sys.pipe(new Uint8Array(ends.buffer), O_CLOEXEC | O_NONBLOCK)).toBe(0);
  try {
    await work(ends[0]!, (text) => void writeSync(ends[1]!, text));
  } finally {
    for (const end of ends) closeSync(end);
  }
}

/** The first reader never says anything, unless it is told to by `says`. */
function stalling() {
  const stalled = Promise.withResolvers<{ done: boolean; value?: Uint8Array }>();
  let count = 0;
  const open = (fd: number): DescriptorReader => {
    if (count++ > 0) return Bun.file(fd).stream().getReader();
    return { read: () => stalled.promise, cancel: () => Promise.resolve() };
  };
  return {
    open,
    says: (text: string) => stalled.resolve({ done: false, value: Buffer.from(text) }),
  };
}

test("a read that waits while there is something to read is begun anew", async () => {
  await withPipe(async (fd, write) => {
    const reader = openReader(fd, stalling().open);
    const first = reader.read();
    write("one");
    // Something else happens: what is lost is lost with something that is not.
    await withPipe(async (other, writeOther) => {
      const lively = openReader(other);
      const read = lively.read();
      writeOther("two");
      expect(text(await read)).toBe("two");
      await lively.cancel();
    });
    expect(text(await first)).toBe("one");
    const second = reader.read();
    write("two");
    expect(text(await second)).toBe("two");
    await reader.cancel();
  });
});

test("what the one that was given up has read after all is lost no more than what follows", async () => {
  await withPipe(async (fd, write) => {
    const { open, says } = stalling();
    let opened = 0;
    const reader = openReader(fd, (fd) => {
      if (++opened === 2) says("zero ");
      return open(fd);
    });
    const first = reader.read();
    write("one");
    lookAfterReads();
    const second = first.then(() => reader.read());
    expect([text(await first), text(await second)].sort()).toEqual(["one", "zero "]);
    await reader.cancel();
  });
});

test("a read of the standard input is begun anew, too", async () => {
  const child = Bun.spawn([process.execPath, CHILD], {
    stdin: "pipe",
    stderr: "pipe",
  });
  const output = child.stdout.getReader();
  expect(text(await output.read())).toBe("waits\n");
  child.stdin.write("one");
  child.stdin.flush();
  expect(text(await output.read())).toBe("one\n");
  child.stdin.write("two");
  child.stdin.end();
  // What the child writes at once may come at once, too.
  let rest = "";
  for (let read = await output.read(); !read.done; read = await output.read()) rest += text(read);
  expect(rest).toBe("two\nend\n");
  expect(await new Response(child.stderr).text()).toBe("");
  expect(await child.exited).toBe(0);
});

test("one that waits, and is cancelled, is over", async () => {
  await withPipe(async (fd) => {
    const reader = openReader(fd);
    const waiting = reader.read();
    await reader.cancel();
    expect((await waiting).done).toBeTrue();
  });
});

test("what is lost when somebody waits within the loop comes all the same", async () => {
  const pipes = Array.from({ length: 8 }, () => {
    const ends = new Int32Array(2);
    expect(sys.pipe(new Uint8Array(ends.buffer), O_CLOEXEC | O_NONBLOCK)).toBe(0);
    return { reader: openReader(ends[0]!), ends };
  });
  let came = 0;
  const reads = pipes.map(async ({ reader }) => {
    await reader.read();
    // This does not give back control: the loop runs within the loop, and forgets what else was ready.
    if (++came === 1) expect(Bun.sleep(10).then(() => Promise.reject("no"))).rejects.toBe("no");
  });
  await Bun.sleep(5);
  for (const { ends } of pipes) writeSync(ends[1]!, "x");
  await Promise.all(reads);
  for (const { reader, ends } of pipes) {
    await reader.cancel();
    for (const end of ends) closeSync(end);
  }
});
