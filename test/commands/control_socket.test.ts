/** The daemon's socket: what it answers is what its description says; and who speaks to it without manners. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ControlClient, refusalOf } from "../../commands/devd/control_client.ts";
import { type ControlSocket, openControlSocket } from "../../commands/devd/control_socket.ts";
import { controlled } from "../../commands/devd/controlled.ts";
import { Conversation, PATIENCE_MS } from "../../core/daemon/control/conversation.ts";
import {
  DESCRIPTION,
  INTERFACE,
  SERVICE,
  SERVICE_DESCRIPTION,
} from "../../core/daemon/control/interface.ts";
import {
  CONTROL_SOCKET,
  encodeMessage,
  MESSAGE_MAX,
  MessageSplitter,
} from "../../core/daemon/control/messages.ts";
import { type Controlled, METHOD_NAMES } from "../../core/daemon/control/methods.ts";
import { listenUnix } from "../../platform/io/listener.ts";
import { connectStream } from "../../platform/io/stream.ts";
import type { ByteStream, ByteStreamHandlers } from "../../platform/types.ts";
import { backendPath } from "../../core/xen/device_id.ts";
import { until } from "../support/daemon_process.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { DISK, disk, diskNumber, World } from "../support/simulated_domain.ts";
import { faultOf, parseDescription } from "../support/varlink.ts";

const NAME = "vbd/7/51712";

let directory: string;
let control: ControlSocket;
let world: World;
const path = () => join(directory, CONTROL_SOCKET);
const isThere = () => fs.access(path()).then(() => true, () => false);

beforeEach(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), "xdevd-control-"));
  world = await new World().start();
  const serving = {
    daemon: world.daemon,
    settings: { apply: () => ({ applied: ["vbd.native"], pending: [] }) },
  };
  const options = { config: "/nowhere", plugin: [], plugins: [], kind: {} };
  control = openControlSocket(
    directory,
    controlled(serving as never, world.daemonStore, options as never),
  );
  await until(isThere, () => "there is no socket");
});

afterEach(async () => {
  control.close();
  await world.stop();
  await fs.rm(directory, { recursive: true, force: true });
});

/** What comes until the other end closes. */
async function conversation(...messages: Uint8Array[]): Promise<string> {
  const stream = await connectStream(path());
  for (const message of messages) stream.write(message);
  // It does not read while it writes.
  if (messages.length > 1) {
    await until(() => stream.queued === 0, () => "", 2_000).catch(() => {});
  }
  const decoder = new TextDecoder();
  let text = "";
  const { promise, resolve } = Promise.withResolvers<string>();
  stream.start({
    data: (chunk) => void (text += decoder.decode(chunk, { stream: true })),
    closed: () => resolve(text),
  });
  return await promise;
}

/** The whole answer to a call. */
async function answer(method: string, parameters: object = {}): Promise<Record<string, unknown>> {
  const stream = await connectStream(path());
  const { promise, resolve, reject } = Promise.withResolvers<Record<string, unknown>>();
  const splitter = new MessageSplitter(1 << 24);
  stream.start({
    data: (chunk) => {
      for (const message of splitter.push(chunk)) resolve(message);
    },
    closed: () => reject(new Error("closed")),
  });
  stream.write(encodeMessage({ method, parameters: parameters as Record<string, unknown> }));
  return await promise.finally(() => stream.close());
}

const described = [parseDescription(DESCRIPTION), parseDescription(SERVICE_DESCRIPTION)];

/** The answer, held to the description. */
async function sound(method: string, parameters: object = {}): Promise<Record<string, unknown>> {
  const { error, parameters: given, ...rest } = await answer(method, parameters);
  expect(rest).toEqual({});
  const [, name, member] = /^(.*)\.(\w+)$/.exec(String(error ?? method))!;
  const of = described.find((one) => one.name === name)!;
  const type = error === undefined ? of.methods[member!]!.gives : of.errors[member!]!;
  expect(faultOf(given, type, of, member)).toBeNull();
  return error === undefined ? given as Record<string, unknown> : { error, ...given as object };
}

async function attached(): Promise<void> {
  await world.toolstack().create(disk);
  await world.reaches(`${backendPath(DISK)}/hotplug-status`, "connected");
  await until(
    () => world.daemon.devices.stateOf(DISK)?.phase === "connected",
    () => world.log.join(""),
  );
}

const call = encodeMessage({ method: `${INTERFACE}.GiveUp`, parameters: { device: NAME } });
const nonsense = new TextEncoder().encode("nonsense\0");

describe("the service", () => {
  test("describes itself, by the file in docs, and has a method for each that is described", async () => {
    const file = join(import.meta.dir, "../../docs/io.xdevd.Devices.varlink");
    expect((await sound(`${SERVICE}.GetInfo`))["interfaces"]).toEqual([SERVICE, INTERFACE]);
    const { description } = await sound(`${SERVICE}.GetInterfaceDescription`, {
      interface: INTERFACE,
    });
    expect(description).toBe(readFileSync(file, "utf8"));
    await sound(`${SERVICE}.GetInterfaceDescription`, { interface: SERVICE });
    const names = described.flatMap(({ name, methods }) =>
      Object.keys(methods).map((method) => `${name}.${method}`)
    );
    expect([...METHOD_NAMES].sort()).toEqual(names.sort());
  });

  test("tells of devices, of what was done for them, and counts that, all as described", async () => {
    expect(await sound(`${INTERFACE}.List`)).toEqual({ devices: [] });
    await attached();
    const { devices } = await sound(`${INTERFACE}.List`);
    expect(devices).toMatchObject([{
      ...{
        device: NAME,
        guest: 7,
        name: "xvda",
        kind: "vbd",
        vdev: "xvda",
        devid: 51712,
        backend: 1,
      },
      ...{ target: "/image", state: "ready", error: null },
    }]);
    const { device, history } = await sound(`${INTERFACE}.Describe`, { device: NAME });
    expect(device).toMatchObject({ device: NAME });
    const [operation] = history as [
      { durationMs: number; events: { who: string; what: string }[] },
    ];
    expect(operation).toMatchObject({ operation: "attach", outcome: "done", lost: 0 });
    expect(operation.events.map(({ who, what }) => `${who}: ${what}`)).toContain(
      "plugin: backend: physical-device = 7:0, hotplug-status = connected",
    );
    const report = await sound(`${INTERFACE}.Report`);
    expect(report).toMatchObject({
      domid: 1,
      devices: [{ kind: "vbd", state: "ready", count: 1 }],
      operations: [{
        ...{ kind: "vbd", operation: "attach", succeeded: 1, failed: 0 },
        duration: { count: 1, sumMs: operation.durationMs },
      }],
      failures: [],
    });
    expect(report["residentBytes"]).toBeGreaterThan(1_000_000);
    expect(report["storeRequests"]).toBeGreaterThan(report["storeRoundTrips"] as number);
  });

  test("remembers a device that is gone, and what it failed with", async () => {
    await attached();
    await world.dom0.remove(backendPath(DISK));
    await until(() => world.daemon.devices.count === 0, () => world.log.join(""));
    const { device, history } = await sound(`${INTERFACE}.Describe`, { device: NAME });
    expect(device).toBeUndefined();
    expect(history).toMatchObject([{ operation: "attach" }, {
      operation: "detach",
      outcome: "done",
    }]);
    world.recorder.fails = true;
    const other = { ...DISK, devid: 51728 };
    await world.toolstack().create(diskNumber(other.devid));
    await world.reaches(`${backendPath(other)}/hotplug-status`, "error");
    await until(
      () => world.daemon.devices.stateOf(other)?.phase === "failed",
      () => world.log.join(""),
    );
    const { devices } = await sound(`${INTERFACE}.List`);
    expect(devices).toMatchObject([{ state: "failed", error: "no such thing" }]);
    const report = await sound(`${INTERFACE}.Report`);
    expect(report["lastFailures"]).toMatchObject([{
      device: "vbd/7/51728",
      message: "no such thing",
    }]);
    expect(report["failures"]).toEqual([{ code: "failed", count: 1 }]);
  });

  test("tries again at once what would be tried later, and gives up what is stuck", async () => {
    await attached();
    let tries = 0;
    world.recorder.within = async (call) => {
      if (call === "remove" && tries++ < 2) throw new Error("target is busy");
    };
    await world.dom0.remove(backendPath(DISK));
    const state = () => world.daemon.devices.stateOf(DISK);
    await until(() => state()?.paused === true, () => world.log.join(""));
    const { devices } = await sound(`${INTERFACE}.List`);
    expect(devices).toMatchObject([{ device: NAME, state: "stuck", error: "target is busy" }]);
    const before = tries;
    expect(await sound(`${INTERFACE}.Retry`, { device: NAME })).toEqual({
      said: `${NAME}: tried again now`,
    });
    // The next try by itself would be a second later.
    await until(() => tries > before, () => world.log.join(""), 900);
    await until(() => state() === undefined || state()!.paused, () => world.log.join(""));
    const report = await sound(`${INTERFACE}.Report`);
    expect(report["retries"]).toBeGreaterThanOrEqual(1);
  });

  test("has errors with names and parameters that are described", async () => {
    await attached();
    const error = async (method: string, parameters: object = {}) =>
      (await sound(method, parameters))["error"];
    expect(await error(`${INTERFACE}.Describe`, { device: "vbd/9/1" }))
      .toBe(`${INTERFACE}.NoSuchDevice`);
    expect(await error(`${INTERFACE}.GiveUp`, { device: NAME })).toBe(`${INTERFACE}.NotStuck`);
    expect(await error(`${INTERFACE}.Retry`, { device: NAME })).toBe(`${INTERFACE}.NothingToRetry`);
    expect(await error(`${INTERFACE}.Retry`, { device: "vbd/9/1" })).toBe(
      `${INTERFACE}.NoSuchDevice`,
    );
    expect(await error(`${INTERFACE}.Retry`)).toBe(`${SERVICE}.InvalidParameter`);
    expect(await error(`${INTERFACE}.Retry`, { device: 7 })).toBe(`${SERVICE}.InvalidParameter`);
    expect(await error(`${INTERFACE}.Reload`)).toBe(`${INTERFACE}.ConfigurationRefused`);
    expect(await error(`${INTERFACE}.Follow`)).toBe(`${SERVICE}.ExpectedMore`);
    expect(await error("constructor")).toBe(`${SERVICE}.MethodNotFound`);
    expect(await error(`${INTERFACE}.Nothing`)).toBe(`${SERVICE}.MethodNotFound`);
    expect(await error(`${SERVICE}.GetInterfaceDescription`, { interface: "a.b" }))
      .toBe(`${SERVICE}.InterfaceNotFound`);
  }, 30_000);

  test("tells who follows of each change, and of a named device what happens to it", async () => {
    const client = await ControlClient.open(directory);
    const seen: Record<string, unknown>[] = [];
    const following = (async () => {
      for await (const change of client.follow("Follow", { device: NAME })) {
        expect(faultOf(change, described[0]!.methods["Follow"]!.gives, described[0]!)).toBeNull();
        seen.push(change);
      }
    })().catch(() => {});
    // Asked later, answered later.
    await answer(`${INTERFACE}.List`);
    await attached();
    await until(
      () => seen.some(({ device }) => (device as { state?: string })?.state === "ready"),
      () => JSON.stringify(seen),
    );
    expect(seen.some(({ event }) => (event as { who?: string })?.who === "plugin")).toBeTrue();
    await world.dom0.remove(backendPath(DISK));
    await until(
      () => seen.at(-1)?.["device"] === undefined && seen.at(-1)?.["event"] === undefined,
      () => JSON.stringify(seen.at(-1)),
    );
    client.close();
    await following;
  });
});

describe("who has no manners", () => {
  test("what came complete is answered, though nonsense follows at once", async () => {
    const text = await conversation(new Uint8Array([...call, ...nonsense]));
    expect(text).toContain(`{"error":"${INTERFACE}.NoSuchDevice"`);
    expect(text.endsWith("}\0")).toBeTrue();
  });

  test(
    "who asks and does not read is left, and has no more kept for it than a little",
    async () => {
      const big = encodeMessage({ method: "x".repeat(MESSAGE_MAX - 100), parameters: {} });
      const text = await conversation(...Array.from({ length: 300 }, () => big));
      expect(text.length).toBeLessThan(100 * MESSAGE_MAX);
    },
    60_000,
  );

  test("a message that is too long ends it, before it is complete", async () => {
    expect(await conversation(new Uint8Array(MESSAGE_MAX + 1).fill(32))).toBe("");
  });

  test("a thousand connections keep nobody out", async () => {
    const streams: ByteStream[] = [];
    for (let at = 0; at < 1_000; at++) {
      // Its queue may be full for a moment.
      await until(
        () => connectStream(path()).then((one) => (streams.push(one), true), () => false),
        () => `${at} connections`,
      );
    }
    expect(await answer(`${INTERFACE}.List`)).toEqual({ parameters: { devices: [] } });
    for (const stream of streams) stream.close();
  }, 120_000);

  test("no more follow than may, and who follows keeps nobody out", async () => {
    const clients: ControlClient[] = [];
    const errors: string[] = [];
    for (let at = 0; at < 12; at++) {
      const client = await ControlClient.open(directory);
      clients.push(client);
      client.follow("Follow").next().catch((error) => errors.push(error.error));
    }
    await until(() => errors.length === 4, () => errors.join());
    expect(new Set(errors)).toEqual(new Set(["TooManyFollowers"]));
    expect(await answer(`${INTERFACE}.List`)).toEqual({ parameters: { devices: [] } });
    for (const client of clients) client.close();
  });

  test("its file goes with it", async () => {
    control.close();
    await until(async () => !await isThere(), () => "its file is still there");
  });
});

describe("a conversation", () => {
  /** Of one whose peer takes as much as the test says. */
  function converse(permitted = true) {
    const clock = new FakeClock();
    const written: string[] = [];
    let handlers!: ByteStreamHandlers;
    const stream = {
      queued: 0,
      closed: false,
      start: (given: ByteStreamHandlers) => void (handlers = given),
      write: (bytes: Uint8Array) => void written.push(new TextDecoder().decode(bytes)),
      close() {
        if (!this.closed) handlers.closed(null);
        this.closed = true;
      },
    };
    let tell: (change: { name: string }) => void = () => {};
    const daemon = {
      devices: { statuses: () => [{ device: NAME }], status: () => ({ device: NAME }) },
      follow: (_: unknown, given: typeof tell) => {
        tell = given;
        return () => tell = () => {};
      },
    } as unknown as Controlled;
    new Conversation({
      ...{ stream, clock, daemon, permitted, mayFollow: () => null, ended: () => {} },
    });
    const say = (text: string) => handlers.data(new TextEncoder().encode(text));
    return { clock, written, stream, say, drain: () => handlers.drained!(), tell: () => tell };
  }

  const list = JSON.stringify({ method: `${INTERFACE}.List` });
  const follow = JSON.stringify({ method: `${INTERFACE}.Follow`, more: true });
  const settle = () => new Promise((resolve) => setTimeout(resolve, 5));

  test("half a message buys no time", async () => {
    const { clock, say, stream } = converse();
    for (let at = 0; at < 40 && !stream.closed; at++) {
      say(list[at]!);
      clock.skip(PATIENCE_MS / 20);
      await settle();
    }
    expect(stream.closed).toBeTrue();
    expect(clock.now()).toBeLessThanOrEqual(PATIENCE_MS * 1.1);
    expect(clock.pending).toBe(0);
  });

  test("what is not read is not followed by more, and is waited for no longer than that", async () => {
    const { clock, say, stream, written } = converse();
    stream.queued = 1;
    say(`${list}\0${list}\0`);
    await settle();
    expect(written).toHaveLength(0);
    clock.skip(PATIENCE_MS);
    expect(stream.closed).toBeTrue();
  });

  test("who follows and reads is waited for without a timer; who stops reading is not", async () => {
    const { clock, say, stream, written, tell, drain } = converse();
    say(`${follow}\0`);
    await settle();
    expect(written).toHaveLength(1);
    expect(clock.pending).toBe(0);
    clock.skip(100 * PATIENCE_MS);
    expect(stream.closed).toBeFalse();
    stream.queued = 1;
    for (let at = 0; at < 1_000; at++) tell()({ name: NAME });
    await settle();
    expect(written).toHaveLength(1);
    stream.queued = 0;
    drain();
    // All that changed meanwhile is one change.
    expect(written).toHaveLength(2);
  });

  test("whose process is another user's is told so, and nothing else", async () => {
    const { say, written } = converse(false);
    say(`${list}\0${follow}\0`);
    await settle();
    expect(written).toHaveLength(2);
    for (const text of written) expect(text).toContain(`${SERVICE}.PermissionDenied`);
  });
});

describe("who asks and", () => {
  const denied = "this user may not ask the daemon at .*: expected root, or the daemon's own user";

  test("may not is told that, and nothing of whether a daemon runs", async () => {
    const other = await fs.mkdtemp(join(tmpdir(), "xdevd-denied-"));
    const listener = await listenUnix(join(other, CONTROL_SOCKET), (stream) => {
      const error = `${SERVICE}.PermissionDenied`;
      stream.start({
        data: () => stream.write(encodeMessage({ error, parameters: {} })),
        closed() {},
      });
    });
    const client = await ControlClient.open(other);
    try {
      const asked = await client.call("List").catch((error) => error);
      expect(asked).toMatchObject({ messageCode: "not-permitted" });
      expect(asked.message).toMatch(new RegExp(`^${denied}$`));
    } finally {
      client.close();
      listener.close();
      await fs.rm(other, { recursive: true });
    }
  });

  test.each([
    ["List", {}],
    ["List", { devices: "none" }],
    ["Describe", { device: {} }],
    ["Retry", {}],
    ["GiveUp", { said: 5 }],
    ["Report", { version: "1", devices: [] }],
  ])("gets nonsense to %s is told what answers: %j", async (method, parameters) => {
    const other = await fs.mkdtemp(join(tmpdir(), "xdevd-nonsense-"));
    const listener = await listenUnix(join(other, CONTROL_SOCKET), (stream) => {
      stream.start({ data: () => stream.write(encodeMessage({ parameters })), closed() {} });
    });
    const client = await ControlClient.open(other);
    try {
      await expect(client.call(method)).rejects.toThrow(
        new RegExp(`what it answers to ${method} has no "\\w+": it is no xdevd, or one of another`),
      );
    } finally {
      client.close();
      listener.close();
      await fs.rm(other, { recursive: true });
    }
  });

  test.each([
    ["EACCES", "not-permitted", denied],
    ["EPERM", "not-permitted", denied],
    [
      "ENOENT",
      "daemon-silent",
      "no daemon answers at /x: there is no such socket: .*--run-dir DIR",
    ],
    ["ECONNREFUSED", "daemon-silent", "no daemon answers at /x: nobody listens: .*--run-dir DIR"],
    ["EAGAIN", "daemon-silent", "no daemon answers at /x: too many wait there"],
    ["EIO", "daemon-silent", "no daemon answers at /x: EIO: broken .*--run-dir DIR"],
  ])("cannot connect: %s", (code, messageCode, line) => {
    const error = refusalOf("/x", Object.assign(new Error(`${code}: broken`), { code }));
    expect(error).toMatchObject({ messageCode });
    expect(error.message).toMatch(new RegExp(`^${line}`));
  });
});
