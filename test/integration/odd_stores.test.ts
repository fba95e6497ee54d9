/** Stores that go away, hang, or answer nonsense: every command ends, and says why. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { once } from "node:events";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { encodeMessage, MessageParser } from "../../core/xenstore/codec.ts";
import { Op } from "../../core/xenstore/operations.ts";
import { programCommand, runProgram, until } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { listenOdd, type Oddity, type OddStore } from "../support/odd_store.ts";
import { connectTo } from "../support/store_connection.ts";

let directory: string;
let store: EmbeddedStore;
let dom0: StoreClient;
const open: { stop(): void }[] = [];

beforeEach(async () => {
  directory = fs.mkdtempSync(join(tmpdir(), "xdevd-odd-"));
  store = await startEmbeddedStore([1, 7]);
  dom0 = await connectTo(store.socketPath(0));
  for (const domid of [1, 7]) await makeDomain(dom0, domid);
});

afterEach(async () => {
  for (const { stop } of open.splice(0)) stop();
  dom0.close();
  await store.stop();
  fs.rmSync(directory, { recursive: true });
});

/** The store, seen through a socket that turns odd. */
function through(domid: number, oddity?: Oddity, after?: number): OddStore & { path: string } {
  const path = join(directory, `odd-${open.length}`);
  const odd = listenOdd(path, store.socketPath(domid), oddity, after);
  open.push(odd);
  return Object.assign(odd, { path });
}

/** A program at work; its output as it comes. */
function start(args: readonly string[], stdout: "pipe" | "ignore" = "pipe") {
  const [file, ...before] = programCommand();
  const child = spawn(file, [...before, ...args], { stdio: ["ignore", stdout, "pipe"] });
  const said = { out: "", err: "" };
  child.stdout?.on("data", (chunk) => said.out += chunk);
  child.stderr?.on("data", (chunk) => said.err += chunk);
  const ended = new Promise<number | string | null>((resolve) =>
    child.once("close", (code, signal) => resolve(code ?? signal))
  );
  open.push({ stop: () => void child.kill("SIGKILL") });
  return { child, said, ended };
}

/** Fails, rather than wait for ever. */
async function soon<T>(work: Promise<T>, what: () => string, ms = 10_000): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(what())), ms);
  return await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}

test("`store watch` ends with the store: a line, and status 3", async () => {
  const odd = through(0);
  const watch = start(["store", "watch", "/tool", "--store", odd.path]);
  await until(() => watch.said.out === "/tool\n", () => `it watches nothing: ${watch.said.err}`);
  odd.turn("gone");
  expect(await soon(watch.ended, () => "it goes on")).toBe(3);
  expect(watch.said.err).toBe(`xdevd: ${odd.path}: the store went away [store-unreachable]\n`);
});

test("who waits for a device hears that the store went away", async () => {
  const odd = through(0);
  const attach = start(
    ["attach", "disk", "7", "vdev=xvda", "backend=1", "target=/absent", "--store", odd.path],
  );
  const backend = "/local/domain/1/backend/vbd/7/51712";
  await until(() => dom0.exists(`${backend}/state`), () => `it made nothing: ${attach.said.err}`);
  odd.turn("gone");
  expect(await soon(attach.ended, () => "it goes on")).toBe(3);
  expect(attach.said.err).toMatch(/^xdevd: .*the store went away.*\n$/);
});

/** Longest that stopping may take, with room for a busy machine, in ms. */
const STOPPING_MS = 20_000;

/** Programs that run at a time. */
const AT_ONCE = 5;

/** Does something for each, some at a time. */
async function forEach<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const left = [...items];
  const next = async (): Promise<void> => {
    for (let item = left.shift(); item !== undefined; item = left.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, next));
}

/** Runs a program on a store that turns odd after so many requests, and tells it to end then. */
async function toldToEnd(oddity: Oddity, domid: number, after: number, args: readonly string[]) {
  const odd = through(domid, oddity, after);
  const program = start([...args, "--store", odd.path]);
  await until(() => odd.requests > after, () => `it asked only ${odd.requests} times`);
  await new Promise((resolve) => setTimeout(resolve, 20));
  program.child.kill("SIGTERM");
  const status = await soon(
    program.ended,
    () => `it does not end after ${after} requests:\n${program.said.err}`,
    STOPPING_MS,
  );
  return { status, said: program.said.err };
}

const upTo = (last: number, first = 0) =>
  Array.from({ length: last - first + 1 }, (_, at) => first + at);

test.each<Oddity>(["silent", "gone"])(
  "TERM ends a daemon whose store is %s, whatever it waits for",
  async (oddity) => {
    const id = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
    await new HandMadeDevice(dom0, id).create({ script: "/absent", params: "/image", state: "2" });
    await forEach(upTo(14, oddity === "silent" ? 0 : 1), async (after) => {
      const own = join(directory, `daemon-${after}`);
      fs.mkdirSync(own);
      const { status, said } = await toldToEnd(oddity, 1, after, [
        ...["devd", "-F", "--run-dir", join(own, "run"), "--pidfile", join(own, "pid")],
        ...["--time", "stop=1", "--time", "drain=1", ...(after % 2 === 0 ? ["--drain"] : [])],
      ]);
      // One that does not serve yet ends by itself when the store goes: the signal may come too late.
      const ended = oddity === "silent" || /SIGTERM: stopping/.test(said) ? [0] : [3, "SIGTERM"];
      expect({ after, said, ended }).toEqual({
        after,
        said,
        ended: expect.arrayContaining([status]),
      });
      expect(fs.existsSync(join(own, "pid"))).toBe(false);
    });
  },
  120_000,
);

test("TERM ends an attach whose store is silent, whatever it waits for", async () => {
  await forEach(upTo(6).map((third) => third * 3), async (after) => {
    const { status, said } = await toldToEnd("silent", 0, after, [
      ...["attach", "disk", "7", `vdev=xvd${String.fromCharCode(97 + after)}`, "backend=1"],
      "target=/absent",
    ]);
    // Before there is anything to clean up, the signal ends it as it ends any program.
    const ended = status === "SIGTERM" || [1, 3].includes(status as number);
    expect({ after, status, said, ended }).toEqual({ after, status, said, ended: true });
  });
}, 120_000);

test("a daemon in the background that is told to end before it serves says so", async () => {
  const odd = through(1, "silent", 0);
  const pidOf = () =>
    fs.readdirSync("/proc").find((pid) => {
      try {
        const line = fs.readFileSync(`/proc/${pid}/cmdline`, "utf8");
        return line.includes(odd.path) && line.includes("--detached");
      } catch {
        return false;
      }
    });
  const daemon = start([
    ...["devd", "--store", odd.path, "--run-dir", join(directory, "run")],
    ...["--log", join(directory, "log")],
  ]);
  await until(() => odd.requests > 0 && pidOf() !== undefined, () => "it never started");
  process.kill(Number(pidOf()), "SIGTERM");
  expect(await soon(daemon.ended, () => "it does not end")).toBe(1);
  expect(daemon.said.err).toEndWith("\nxdevd: it was told to stop before it served\n");
});

test("a listing that a pipe has no room for arrives whole", async () => {
  const names = Array.from({ length: 400 }, (_, at) => `${"n".repeat(50)}${at}`);
  for (const name of names) await dom0.write(`/wide/${name}`, "v".repeat(900));
  const args = ["store", "ls", "/wide", "--store", store.socketPath(0)];
  // Standard output of this program is a pipe that does not block, as a runtime's own are.
  const [file, ...before] = programCommand();
  const script = `const { spawn } = require("node:child_process");
    const child = spawn(${JSON.stringify(file)}, ${JSON.stringify([...before, ...args])},
      { stdio: ["ignore", "inherit", "inherit"] });
    child.once("exit", (code) => process.exit(code));`;
  const middle = spawn("node", ["-e", `process.stdout._handle?.setBlocking?.(false);${script}`], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  open.push({ stop: () => void middle.kill("SIGKILL") });
  const ended = once(middle, "close");
  await new Promise((resolve) => setTimeout(resolve, 500));
  let text = "";
  middle.stdout.on("data", (chunk) => text += chunk);
  expect(await soon(ended, () => "it does not end")).toEqual([0, null]);
  expect(text.trimEnd().split("\n")).toHaveLength(names.length);
});

test("a reader that is gone ends the program", async () => {
  const watch = start(["store", "watch", "/busy", "--store", store.socketPath(0)]);
  await until(() => watch.said.out === "/busy\n", () => `it watches nothing: ${watch.said.err}`);
  watch.child.stdout!.destroy();
  const writer = setInterval(() => dom0.write("/busy", "x").catch(() => {}), 20);
  const status = await soon(watch.ended, () => "it goes on").finally(() => clearInterval(writer));
  expect({ status, err: watch.said.err }).toEqual({ status: 141, err: "" });
});

/** A store that answers each request as it is told. */
function answering(answer: (type: number, at: number) => Uint8Array): string {
  const path = join(directory, `answering-${open.length}`);
  let at = 0;
  const server = Bun.listen<{ parser: MessageParser }>({
    unix: path,
    socket: {
      open: (socket) => void (socket.data = { parser: new MessageParser(4096) }),
      data(socket, bytes) {
        for (const { type, reqId, txId } of socket.data.parser.push(new Uint8Array(bytes))) {
          const payload = answer(type, at++);
          const bytesOut = payload.length === 0 && type === Op.DIRECTORY
            ? encodeMessage({
              ...{ type: Op.ERROR, reqId, txId },
              payload: new TextEncoder().encode("E2BIG\0"),
            })
            : encodeMessage({ type, reqId, txId, payload });
          socket.write(bytesOut);
        }
      },
    },
  });
  open.push({ stop: () => server.stop(true) });
  return path;
}

const text = (value: string) => new TextEncoder().encode(value);

test("an answer of more than 4 MiB is refused by its header", async () => {
  const header = encodeMessage({
    ...{ type: Op.READ, reqId: 1, txId: 0 },
    payload: new Uint8Array(0),
  });
  new DataView(header.buffer).setUint32(12, 4 * 1024 * 1024 + 1, true);
  const path = join(directory, "large");
  const server = Bun.listen({
    unix: path,
    socket: { data: (socket) => void socket.write(header) },
  });
  open.push({ stop: () => server.stop(true) });
  const { code, stderr } = await runProgram(["store", "read", "/a", "--store", path]);
  expect({ code, stderr }).toEqual({
    code: 3,
    stderr: `xdevd: ${path}: the store went away: message of type 2 announces 4194305 bytes of ` +
      "payload; at most 4194304 are allowed [store-unreachable]\n",
  });
});

test.each([
  [
    "never ends",
    (_: number, _at: number) => text("5\0name\0"),
    /the listing has no end: \d+ bytes in 4096 parts/,
  ],
  ["changes for ever", (_: number, at: number) => text(`${at}\0name\0`), /changed .* times while/],
  ["has half a name", (_: number, _at: number) => text("5\0na"), /half a name/],
])("a listing in parts that %s ends with an error", async (_, part, said) => {
  const path = answering((type, at) => type === Op.DIRECTORY ? new Uint8Array(0) : part(type, at));
  const { code, stderr } = await runProgram(["store", "list", "/a", "--store", path], {}, 60_000);
  expect(stderr).toMatch(said);
  expect({ code, lines: stderr.split("\n").length }).toEqual({ code: 1, lines: 2 });
}, 70_000);
