/** Writing to the standard output when it is a pipe that takes no more. */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { constants } from "node:os";
import { openOutputPipe } from "../../platform/io/pipe.ts";
import { errnoName } from "../../platform/system_error.ts";

const F_SETFL = 4;
const SIZE = 1024 * 1024;
const platform = new URL("../../platform", import.meta.url).pathname;

const prelude = `
  const out = await import("${platform}/io/output.ts");
  (await import("${platform}/kernel.ts")).sys.fcntl(1, ${F_SETFL}, ${fs.constants.O_NONBLOCK});
`;

/** A program with a pipe for its standard output that does not block. */
async function start(code: string) {
  const pipe = await openOutputPipe();
  const child = Bun.spawn([process.execPath, "-e", prelude + code], {
    stdio: ["ignore", pipe.theirs, "inherit"],
  });
  pipe.closeTheirs();
  return { pipe, child };
}

test("all of a text reaches a reader that is slow", async () => {
  const { pipe, child } = await start(
    `out.printTo(1, "é".repeat(${SIZE / 2})); out.printTo(1, "end");`,
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  let [bytes, last] = [0, ""];
  await pipe.drain((chunk) => {
    bytes += chunk.length;
    last = (last + new TextDecoder().decode(chunk.slice(-3))).slice(-3);
  });
  expect([bytes, last, await child.exited]).toEqual([SIZE + 3, "end", 0]);
});

test("who need not be heard does not wait", async () => {
  const { pipe, child } = await start(
    `for (let at = 0; at < 100; at++) out.printIfRoom(1, "x".repeat(10_000));`,
  );
  expect(await child.exited).toBe(0);
  let bytes = 0;
  await pipe.drain((chunk) => bytes += chunk.length);
  expect(bytes).toBeGreaterThan(0);
  expect(bytes).toBeLessThan(SIZE);
});

test("a reader that is gone is told; it ends those who print for it alone", async () => {
  const program = `${prelude}
    await Bun.stdin.text();
    out.printAnyway(1, "x");
    out.printIfRoom(1, "x");
    out.printTo(2, "x");
    if (out.writeFully(1, Buffer.from("x")) || !out.printLine("x")) process.exit(1);
    try {
      out.printTo(1, "x");
    } catch (error) {
      process.exit(error instanceof out.OutputClosed ? 7 : 2);
    }`;
  const child = spawn(process.execPath, ["-e", program], { stdio: "pipe" });
  child.stdout.destroy();
  child.stderr.destroy();
  child.stdin.end();
  expect(await once(child, "exit")).toEqual([7, null]);
});

test("names of errors are those of the system", () => {
  for (const [name, number] of Object.entries(constants.errno)) {
    // One number has two names.
    const other = { EWOULDBLOCK: "EAGAIN", EOPNOTSUPP: "ENOTSUP" }[name];
    expect([number, errnoName(number)]).toEqual([number, other ?? name]);
  }
  expect(["ENOMEDIUM", "errno 41", "errno 0", "errno 134"])
    .toEqual([123, 41, 0, 134].map(errnoName));
});
