/** A server's process, and the daemon's end of its socket, when either side does not do as it should. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import type { Connection, OpenServer, ServerContext } from "../../../contract/v2/server.ts";
import { encodeMessage, MessageSplitter } from "../../../core/daemon/control/messages.ts";
import { ServerLink } from "../../../core/daemon/servers/server_link.ts";
import { systemClock } from "../../../platform/clock.ts";
import { ServerRunner } from "../../../plugins/server/runner.ts";
import { SimulatedGuest, simulatedXen } from "../../../simulation/xen/simulated_xen.ts";
import { streamPair } from "../../../simulation/xenstored/in_process.ts";
import { until } from "../../support/daemon_process.ts";
import { testManifest } from "../../support/plugin_files.ts";

const ID = { backendDomid: 1, kind: "test", frontendDomid: 7, devid: 0 };
const ends: (() => void)[] = [];
afterEach(() => {
  for (const end of ends.splice(0).reverse()) end();
});

/** A server of this kind, with a daemon and a guest. */
async function setUp(make: (context: ServerContext) => Partial<OpenServer>) {
  const directory = mkdtempSync("/tmp/xdevd-runner-");
  const guest = new SimulatedGuest(directory, 7);
  ends.push(() => rmSync(directory, { recursive: true }), () => guest.close());
  const dropped: number[] = [];
  const runner = new ServerRunner({
    clock: systemClock,
    openDevices: () => simulatedXen(directory),
    load: async () => async (context) => ({
      async serve({ events }) {
        while (await events.wait());
      },
      ...make(context),
    }),
    dropRights: (domid) => void dropped.push(domid),
    connect: () => Promise.reject(new Error("nowhere")),
  });
  const told: string[] = [];
  const daemon = () => {
    const [ours, theirs] = streamPair();
    runner.attach(theirs);
    return new ServerLink(ours, systemClock, {
      failed: (reason) => told.push(`failed: ${reason}`),
      log: (level, text) => told.push(`${level}: ${text}`),
      lost: () => told.push("lost"),
    });
  };
  const link = daemon();
  const manifest = testManifest({
    api: 2,
    server: { pages: [{ references: ["ring-ref"], access: "write", clearOnUnmap: 0 }] },
  });
  const code = { origin: "built-in", manifest };
  const open = () => link.call("open", { code, id: ID, settings: {}, given: {} });
  const grant = guest.grant(1);
  const port = await guest.openPort();
  const offer = { references: [grant.references], port: port.number, nodes: {} };
  return { runner, link, daemon, told, open, offer, grant, dropped };
}

test("opens once, drops its rights after that, and connects only then", async () => {
  const { link, open, offer, dropped } = await setUp(() => ({}));
  await expect(link.call("connect", offer)).rejects.toThrow("it does not serve");
  await open();
  expect(dropped).toEqual([7]);
  await expect(open()).rejects.toThrow("open already");
  await link.call("connect", offer);
  await expect(link.call("connect", offer)).rejects.toThrow("connected already");
  expect(await link.call("status")).toMatchObject({ opened: true, failure: null, serving: false });
  await link.call("serve");
  expect(await link.call("status")).toMatchObject({ serving: true, offer: { port: offer.port } });
  await link.call("disconnect");
  expect(await link.call("status")).toMatchObject({ serving: false, offer: null });
});

test.each<[string, (context: ServerContext) => Partial<OpenServer>, string]>([
  ["throws", () => ({ serve: () => Promise.reject(new Error("broken\nin two")) }), "broken in two"],
  ["throws no error", () => ({ serve: () => Promise.reject("a word") }), "a word"],
  ["returns at once", () => ({ serve: async () => {} }), "it has ceased to serve"],
  ["says so itself", ({ fail }) => ({
    async serve() {
      fail("swtpm has ended");
      fail("and more");
    },
  }), "swtpm has ended"],
  ["touches what is not there", () => ({
    async serve({ memory: [memory] }: Connection) {
      memory!.read8(4096);
    },
  }), "1 bytes at 4096"],
])(
  "one that %s has failed: the guest waits for nothing, the daemon is told, the next one as well",
  async (
    _,
    make,
    reason,
  ) => {
    const { link, daemon, open, offer, told, grant } = await setUp(make);
    await open();
    await link.call("connect", offer);
    grant.memory.write8(0, 1);
    await link.call("serve").catch(() => {});
    await until(() => told.length > 0, () => "it is not told");
    expect(told[0]).toStartWith(`failed: ${reason}`);
    await until(() => grant.memory.read8(0) === 0, () => "its page is still mapped");
    const next = daemon();
    expect((await next.call("status")).failure).toStartWith(reason);
    await expect(next.call("connect", offer)).rejects.toThrow("it does not serve");
  },
);

test("one that does not let go of its guest is not given another", async () => {
  const { link, open, offer, told } = await setUp(() => ({ serve: () => new Promise(() => {}) }));
  await open();
  await link.call("connect", offer);
  await link.call("serve");
  await link.call("disconnect");
  await expect(link.call("connect", offer)).rejects.toThrow("it has not let go of its guest");
  expect(told.join("\n")).toContain("failed: it has not let go");
});

test("its end is waited for, but not for ever; a guest is let go of before", async () => {
  const order: string[] = [];
  const { link, runner, open, offer, told } = await setUp(() => ({
    async serve({ events, closing }) {
      while (await events.wait());
      order.push(`served ${closing.aborted}`);
    },
    end: async () => {
      order.push("end");
      await new Promise(() => {});
    },
  }));
  await open();
  await link.call("connect", offer);
  await link.call("serve");
  await link.call("quit", {}, 10_000);
  await runner.over;
  expect(order).toEqual(["served true", "end"]);
  expect(told.join("\n")).toContain("at its end: it takes more than 2000 ms");
}, 20_000);

test("a plugin that cannot be loaded, and one whose rights cannot be dropped, do not open", async () => {
  const [ours, theirs] = streamPair();
  const runner = new ServerRunner({
    clock: systemClock,
    openDevices: () => simulatedXen("/nonexistent"),
    load: () => Promise.reject(new Error("there is none")),
    dropRights() {},
    connect: () => Promise.reject(new Error("nowhere")),
  });
  runner.attach(theirs);
  const link = new ServerLink(ours, systemClock, { failed() {}, log() {}, lost() {} });
  const manifest = testManifest({ api: 2, server: { pages: [] } });
  const call = { code: { origin: "x", manifest }, id: ID, settings: {}, given: {} };
  await expect(link.call("open", call)).rejects.toThrow("there is none");
  expect((await link.call("status")).opened).toBe(false);
});

/** The daemon's end, with a server that says what the test says. */
function hostile() {
  const [ours, theirs] = streamPair();
  const told: string[] = [];
  const link = new ServerLink(ours, systemClock, {
    failed: (reason) => told.push(`failed: ${reason}`),
    log: (level, text) => told.push(`${level}: ${text}`),
    lost: () => told.push("lost"),
  });
  const asked: string[] = [];
  const splitter = new MessageSplitter();
  theirs.start({
    data(chunk) {
      for (const message of splitter.push(chunk)) asked.push(String(message["method"]));
    },
    closed() {},
  });
  return { link, told, asked, theirs };
}

const text = (value: string) => new TextEncoder().encode(value);

test("what a server that was taken over says is cut, escaped, counted", async () => {
  const { link, told, theirs } = hostile();
  theirs.write(encodeMessage({
    method: "log",
    parameters: { level: "warning", text: `\u001b[2J\nforged ${"x".repeat(5000)}` },
  }));
  theirs.write(encodeMessage({ method: "failed", parameters: { reason: 7 } }));
  for (let line = 0; line < 500; line++) {
    theirs.write(encodeMessage({ method: "log", parameters: { text: `line ${line}` } }));
  }
  await until(() => told.length >= 100, () => String(told.length));
  expect(told[0]!.length).toBeLessThan(400);
  expect(told[0]).not.toContain("\u001b");
  expect(told[0]).not.toContain("\n");
  expect(told[1]).toBe("failed: it does not say why");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(told).toHaveLength(101);
  expect(link.isOpen).toBe(true);
});

test.each<[string, (theirs: ReturnType<typeof hostile>["theirs"]) => void]>([
  ["no JSON", (theirs) => theirs.write(text("frob\0"))],
  ["an answer that nobody waits for", (theirs) => theirs.write(text('{"parameters":{}}\0'))],
  ["without end", (theirs) => {
    for (let part = 0; part < 100; part++) theirs.write(text("x".repeat(1000)));
  }],
  ["a flood", (theirs) => {
    const line = encodeMessage({ method: "log", parameters: { text: "x".repeat(1000) } });
    for (let part = 0; part < 1100; part++) theirs.write(line);
  }],
])("one that sends %s is left", async (_, send) => {
  const { link, told, theirs } = hostile();
  send(theirs);
  await until(() => told.at(-1) === "lost", () => told.join("\n"));
  expect(link.isOpen).toBe(false);
  await expect(link.call("status")).rejects.toThrow("its server is gone");
});

test("one that does not answer is left, and what waits behind is told as well", async () => {
  const { link, told, asked } = hostile();
  const calls = [link.call("serve", {}, 50), link.call("disconnect", {}, 10_000)];
  const ended = await Promise.allSettled(calls);
  expect(asked).toEqual(["serve", "disconnect"]);
  expect(ended.map((one) => one.status === "rejected" && one.reason.message)).toEqual([
    "its server does not answer (serve, 0.05 s)",
    "its server has ended",
  ]);
  expect(told).toEqual(["lost"]);
});

test("an answer that is an error is the server's word, cut", async () => {
  const { link, theirs } = hostile();
  const call = link.call("connect", { references: [], port: 1, nodes: {} });
  theirs.write(encodeMessage({ error: "x", parameters: { reason: `no\n${"y".repeat(9999)}` } }));
  const error = await call.catch((thrown: Error) => thrown) as Error;
  expect(error.message).toStartWith("no y");
  expect(error.message.length).toBeLessThanOrEqual(300);
});
