/** Unix sockets and file locks. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { dlopen } from "bun:ffi";
import { DEFAULT_WINDOW } from "../../core/xenstore/connection.ts";
import { SocketTransport } from "../../core/xenstore/socket_transport.ts";
import { lockFile } from "../../platform/io/flock.ts";

import { connectStream } from "../../platform/io/stream.ts";
import { listenUnix } from "../../platform/io/listener.ts";
import type { ByteStream } from "../../platform/types.ts";
import { makeDeadSocket } from "../support/dead_socket.ts";
import { until } from "../support/daemon_process.ts";

let directory: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "xdevd-sockets-"));
});

afterAll(() => rm(directory, { recursive: true }));

/** Collects what a stream delivers. */
function collect(stream: ByteStream) {
  const state = { bytes: 0, closed: 0, drained: 0, error: null as Error | null };
  stream.start({
    data: (chunk) => state.bytes += chunk.length,
    closed: (error) => {
      state.closed++;
      state.error = error;
    },
    drained: () => state.drained++,
  });
  return state;
}

describe("a stream that gathers", () => {
  test("delivers all that comes meanwhile, in order, however often it is asked", async () => {
    const path = join(directory, "gather");
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listenUnix(path, accepted.resolve);
    const client = await connectStream(path);
    const server = await accepted.promise;
    const received: number[] = [];
    client.start({
      data: (chunk) => {
        received.push(...chunk);
        client.gather!();
        client.gather!();
      },
      closed: () => {},
    });
    for (let at = 0; at < 100; at++) {
      server.write(Uint8Array.of(at));
      if (at % 10 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await until(() => received.length === 100, () => `${received.length} of 100`);
    expect(received).toEqual(Array.from({ length: 100 }, (_, at) => at));
    client.gather!();
    client.close();
    await listener.close();
  });
});

describe("unix sockets", () => {
  test("whoever listens is told whose process has connected", async () => {
    const path = join(directory, "whose");
    const accepted = Promise.withResolvers<number | null>();
    const listener = await listenUnix(path, (stream, uid) => {
      stream.close();
      accepted.resolve(uid);
    });
    const client = await connectStream(path);
    expect(await accepted.promise).toBe(process.getuid!());
    client.close();
    await listener.close();
  });

  test("bytes both ways, and a close that both see once", async () => {
    const path = join(directory, "echo");
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listenUnix(path, accepted.resolve);
    const client = await connectStream(path);
    const server = await accepted.promise;
    const [atClient, atServer] = [collect(client), collect(server)];
    client.write(new Uint8Array(10));
    server.write(new Uint8Array(20));
    await until(() => atServer.bytes === 10 && atClient.bytes === 20, () => "bytes are missing");
    client.close();
    await until(() => atServer.closed === 1 && atClient.closed === 1, () => "not closed");
    server.close();
    client.write(new Uint8Array(1));
    expect([atServer, atClient]).toMatchObject([{ closed: 1, error: null }, { closed: 1 }]);
    await listener.close();
    expect(existsSync(path)).toBeFalse();
  });

  test("the end is told from the event loop, not from within the call that makes it", async () => {
    const path = join(directory, "end");
    const listener = await listenUnix(path, (stream) => collect(stream));
    const client = await connectStream(path);
    const state = collect(client);
    client.close();
    expect(state.closed).toBe(0);
    await until(() => state.closed === 1, () => "not closed");
    await listener.close();
  });

  test("each end closes its descriptor once, and nobody else's", async () => {
    const path = join(directory, "descriptors");
    const accepted: ByteStream[] = [];
    const listener = await listenUnix(path, (stream) => accepted.push(stream));
    const open = () => readdirSync("/proc/self/fd").length;
    const ends: ("here" | "there")[] = ["here", "there", "here", "there"];
    // The runtime opens some of its own when it does this for the first time.
    for (const [round, end] of ends.entries()) {
      const before = open();
      const client = await connectStream(path);
      await until(() => accepted.length === round + 1, () => "not accepted");
      const other = collect(accepted[round]!);
      const mine = collect(client);
      if (end === "here") client.close();
      else accepted[round]!.close();
      // A descriptor that is new gets the number that has become free.
      const file = openSync("/dev/null", "r");
      await until(() => mine.closed === 1 && other.closed === 1, () => "not closed");
      if (round > 1) await until(() => open() <= before + 1, () => `${open()}, before ${before}`);
      expect(readSync(file, new Uint8Array(1))).toBe(0);
      closeSync(file);
    }
    await listener.close();
  });

  test("what was sent before the end arrives before the end", async () => {
    const path = join(directory, "last-words");
    const listener = await listenUnix(path, (stream) => {
      collect(stream);
      stream.write(new Uint8Array(100_000));
      stream.close();
    });
    for (let round = 0; round < 20; round++) {
      const client = await connectStream(path);
      if (round % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 2));
      const state = collect(client);
      await until(() => state.closed > 0, () => "not closed");
      expect(state).toEqual({ bytes: 100_000, closed: 1, drained: 0, error: null });
    }
    await listener.close();
  });

  test("a peer that goes while much waits for it: the end is told once, and that is all", async () => {
    const path = join(directory, "gone");
    const listener = await listenUnix(path, (stream) => {
      stream.start({ data: () => stream.close(), closed: () => {} });
    });
    const open = () => readdirSync("/proc/self/fd").length;
    let before = 0;
    for (let round = 0; round < 20; round++) {
      const client = await connectStream(path);
      const state = collect(client);
      client.write(new Uint8Array(1024 * 1024));
      await until(() => state.closed > 0, () => "not closed");
      client.write(new Uint8Array(1));
      client.close();
      // Longer than what waits is tried again after.
      if (round % 10 === 1) await new Promise((resolve) => setTimeout(resolve, 20));
      expect([state.closed, state.bytes, state.drained]).toEqual([1, 0, 0]);
      if (round === 1) before = open();
    }
    await until(() => open() <= before, () => `${open()}, before ${before}`);
    await listener.close();
  });

  test("only this user may connect", async () => {
    const path = join(directory, "mode");
    const listener = await listenUnix(path, () => {});
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await listener.close();
  });

  test("what a dead listener left is replaced; a live one is not disturbed", async () => {
    const path = join(directory, "stale");
    await makeDeadSocket(path);
    expect(existsSync(path)).toBeTrue();
    const listener = await listenUnix(path, () => {});
    await expect(listenUnix(path, () => {})).rejects.toMatchObject({ code: "EADDRINUSE" });
    (await connectStream(path)).close();
    await listener.close();
  });

  test("a reader that does not read: the rest waits, nothing is lost, and the end is told", async () => {
    const path = join(directory, "slow");
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listenUnix(path, accepted.resolve);
    const client = await connectStream(path);
    const server = await accepted.promise;
    const atClient = collect(client);
    const size = 4 * 1024 * 1024;
    client.write(new Uint8Array(size));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(client.queued).toBeGreaterThan(0);
    const atServer = collect(server);
    await until(() => atServer.bytes === size && atClient.drained > 0, () => `${atServer.bytes}`);
    expect(client.queued).toBe(0);
    client.close();
    await listener.close();
  });

  test("several listeners at once: each has its mode, and the process keeps its own", async () => {
    const before = process.umask();
    const paths = [1, 2, 3].map((at) => join(directory, `many-${at}`));
    const listeners = await Promise.all(paths.map((path) => listenUnix(path, () => {})));
    expect(process.umask()).toBe(before);
    expect(paths.map((path) => statSync(path).mode & 0o777)).toEqual([0o600, 0o600, 0o600]);
    for (const listener of listeners) await listener.close();
    await expect(listenUnix(join(directory, "none", "x"), () => {})).rejects.toThrow();
    expect(process.umask()).toBe(before);
  });

  test("what is no socket is left alone", async () => {
    const path = join(directory, "file");
    writeFileSync(path, "precious");
    await expect(listenUnix(path, () => {})).rejects.toMatchObject({ code: "EADDRINUSE" });
    expect(readFileSync(path, "utf8")).toBe("precious");
  });

  test("a listener too busy to take a connection is not dead", async () => {
    // One place in its queue, as xenstored has it; it looks at it only later.
    const path = join(directory, "busy");
    const { symbols } = dlopen("libc.so.6", {
      socket: { args: ["i32", "i32", "i32"], returns: "i32" },
      bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
      listen: { args: ["i32", "i32"], returns: "i32" },
      accept: { args: ["i32", "ptr", "ptr"], returns: "i32" },
      close: { args: ["i32"], returns: "i32" },
    });
    const fd = symbols.socket(1, 1, 0);
    const address = Buffer.concat([Uint8Array.of(1, 0), Buffer.from(`${path}\0`)]);
    expect(symbols.bind(fd, address, address.length)).toBe(0);
    expect(symbols.listen(fd, 0)).toBe(0);
    const waiting = await connectStream(path);
    // What the runtime makes of EAGAIN is ECONNREFUSED.
    const { code } = await connectStream(path).then(() => ({ code: "none" }), (error) => error);
    expect(["EAGAIN", "ECONNREFUSED"]).toContain(code);
    const accepted: number[] = [];
    setTimeout(() => accepted.push(symbols.accept(fd, null, null)), 60);
    await expect(listenUnix(path, () => {})).rejects.toMatchObject({ code: "EADDRINUSE" });
    waiting.close();
    for (const open of [fd, ...accepted]) symbols.close(open);
    rmSync(path);
  });

  test("a path that is longer than an address", async () => {
    const above = join(directory, "d".repeat(120));
    mkdirSync(above);
    const path = join(above, "socket");
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listenUnix(path, accepted.resolve);
    const client = await connectStream(path);
    const atServer = collect(await accepted.promise);
    client.write(new Uint8Array(10));
    await until(() => atServer.bytes === 10, () => `${atServer.bytes} of 10`);
    client.close();
    await listener.close();
    await expect(connectStream(path)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(connectStream(join(directory, "e".repeat(120), "socket"))).rejects.toMatchObject({
      code: "ENOENT",
    });
    await expect(connectStream("s".repeat(200))).rejects.toMatchObject({ code: "ENAMETOOLONG" });
  });

  test("what came before the start is delivered, in order, and then the end", async () => {
    const path = join(directory, "early");
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listenUnix(path, accepted.resolve);
    const client = await connectStream(path);
    const server = await accepted.promise;
    client.start({ data: () => {}, closed: () => {} });
    for (let at = 0; at < 5; at++) client.write(Uint8Array.of(at));
    await new Promise((resolve) => setTimeout(resolve, 20));
    client.close();
    await new Promise((resolve) => setTimeout(resolve, 20));
    const seen: (number | string)[] = [];
    server.start({ data: (chunk) => seen.push(...chunk), closed: () => seen.push("closed") });
    await until(() => seen.includes("closed"), () => `${seen}`);
    expect(seen).toEqual([0, 1, 2, 3, 4, "closed"]);
    await listener.close();
  });

  test("a full window of the longest requests fits without a message being cut", async () => {
    // A message that is half sent makes the C daemon wait for the rest, for everybody.
    const path = join(directory, "window");
    const accepted = Promise.withResolvers<ByteStream>();
    const listener = await listenUnix(path, accepted.resolve);
    const client = await connectStream(path);
    const server = await accepted.promise;
    const transport = new SocketTransport(client, path);
    transport.start({ data: () => {}, closed: () => {} });
    for (let at = 0; at < DEFAULT_WINDOW; at++) transport.send(new Uint8Array(16 + 4096));
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(client.queued).toBe(0);
    const atServer = collect(server);
    await until(() => atServer.bytes === DEFAULT_WINDOW * 4112, () => `${atServer.bytes}`);
    transport.close();
    await listener.close();
  });

  test("no such socket, and nobody there", async () => {
    await expect(connectStream(join(directory, "none"))).rejects.toMatchObject({ code: "ENOENT" });
    const dead = join(directory, "nobody");
    await makeDeadSocket(dead);
    await expect(connectStream(dead)).rejects.toMatchObject({ code: "ECONNREFUSED" });
    rmSync(dead);
  });
});

describe("file locks", () => {
  test("one holder; its content is its own; the next one may when it is gone", async () => {
    const path = join(directory, "lock");
    const lock = await lockFile(path, 0o600);
    lock!.write("a longer text\n");
    lock!.write("short\n");
    expect(readFileSync(path, "utf8")).toBe("short\n");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(await lockFile(path, 0o600)).toBeNull();
    lock!.remove();
    expect(existsSync(path)).toBeFalse();
    const next = await lockFile(path, 0o600);
    expect(next).not.toBeNull();
    next!.remove();
  });
});
