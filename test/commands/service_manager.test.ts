/** What the service manager is told: by the logic alone, and by a daemon. */
import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openServiceManager, watchdogPauseMs } from "../../commands/devd/service_manager.ts";
import { openNotifySocket } from "../../platform/linux/notify_socket.ts";
import { unixAddress } from "../../platform/io/unix_address.ts";
import { DaemonProcess, programCommand, until } from "../support/daemon_process.ts";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { makeDomain } from "../support/hand_made.ts";
import { listenForNotifications } from "../support/notify_listener.ts";
import { connectTo } from "../support/store_connection.ts";

const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0).reverse()) await end();
});

/** A manager whose store answers, or not, as `store.answers` says. */
async function fake(environment: Record<string, string>) {
  const clock = new FakeClock();
  const sent: string[] = [];
  const warnings: string[] = [];
  const store = { answers: true };
  const manager = await openServiceManager(environment, {
    clock,
    pid: 42,
    open: () => Promise.resolve({ send: (text) => sent.push(text), close: () => {} }),
    alive: (timeoutMs) =>
      store.answers ? Promise.resolve() : new Promise((_, reject) => {
        clock.after(timeoutMs, () => reject(new Error("no answer")));
      }),
    warn: (text) => warnings.push(text),
  });
  return { clock, sent, warnings, store, manager };
}

test("without a service manager nothing is sent, and no timer runs", async () => {
  const { clock, sent, manager } = await fake({ WATCHDOG_USEC: "1000000" });
  manager.ready("up");
  await clock.advance(10_000);
  expect({ sent, timers: clock.pending }).toEqual({ sent: [], timers: 0 });
});

test("without a watchdog readiness is all that is told", async () => {
  const { clock, sent, manager } = await fake({ NOTIFY_SOCKET: "/x" });
  manager.ready("up");
  await clock.advance(100_000);
  expect(sent).toEqual(["READY=1\nMAINPID=42\nSTATUS=up"]);
  expect(clock.pending).toBe(0);
});

test("signs of life come twice in the time, and only while the store answers", async () => {
  const { clock, sent, warnings, store, manager } = await fake({
    NOTIFY_SOCKET: "/x",
    WATCHDOG_USEC: "10000000",
    WATCHDOG_PID: "42",
  });
  const signs = () => sent.filter((text) => text === "WATCHDOG=1").length;
  manager.ready("up");
  await clock.advance(10_000);
  expect(signs()).toBe(3);
  store.answers = false;
  await clock.advance(30_000);
  expect(signs()).toBe(3);
  expect(warnings).toEqual(["service manager: no sign of life: no answer [service-manager]"]);
  store.answers = true;
  await clock.advance(5_000);
  expect(signs()).toBeGreaterThan(3);
  manager.close();
  const before = signs();
  await clock.advance(30_000);
  expect({ signs: signs(), timers: clock.pending }).toEqual({ signs: before, timers: 0 });
});

test("a watchdog for another process, or of no time, is none", () => {
  expect(watchdogPauseMs({ WATCHDOG_USEC: "30000000", WATCHDOG_PID: "1" }, 2)).toBeNull();
  expect(watchdogPauseMs({ WATCHDOG_USEC: "0" }, 2)).toBeNull();
  expect(watchdogPauseMs({ WATCHDOG_USEC: "soon" }, 2)).toBeNull();
  expect(watchdogPauseMs({ WATCHDOG_USEC: "30000000" }, 2)).toBe(15_000);
});

test("addresses: paths end in a NUL, abstract names begin with one", () => {
  expect([...unixAddress("/a")]).toEqual([1, 0, 47, 97, 0]);
  expect([...unixAddress("@a")]).toEqual([1, 0, 0, 97]);
  for (const bad of ["", "/", "@", "a/b", "vsock:2:9", `/${"x".repeat(107)}`]) {
    expect(() => unixAddress(bad)).toThrow();
  }
});

test("where nobody listens, sending fails with the reason", async () => {
  const socket = await openNotifySocket("/nonexistent/notify");
  expect(() => socket.send("READY=1")).toThrow("ENOENT");
  socket.close();
});

for (const kind of ["path", "abstract name"]) {
  test(`a daemon tells of its start, its life and its end (socket with a ${kind})`, async () => {
    const directory = await mkdtemp(join(tmpdir(), "xdevd-notify-"));
    ends.push(() => rm(directory, { recursive: true }));
    const address = kind === "path" ? `${directory}/notify` : `@xdevd-notify-${process.pid}`;
    const listener = listenForNotifications(address);
    ends.push(() => listener.close());
    const store = await startEmbeddedStore([7]);
    ends.push(() => store.stop());
    const dom0 = await connectTo(store.socketPath(0));
    await makeDomain(dom0, 7);
    dom0.close();
    const environment = [`NOTIFY_SOCKET=${address}`, "WATCHDOG_USEC=100000"];
    const daemon = await DaemonProcess.start(
      ["--store", store.socketPath(7), "--run-dir", `${directory}/run`, "--scripts", directory],
      { command: ["/usr/bin/env", ...environment, ...programCommand()] },
    );
    ends.push(() => daemon.stop("SIGKILL"));
    const { messages } = listener;
    const said = () => JSON.stringify(messages);
    await until(() => messages.filter((text) => text === "WATCHDOG=1").length >= 3, said);
    expect(messages[0]).toBe(`READY=1\nMAINPID=${daemon.pid}\nSTATUS=serving domain 7`);
    expect(await daemon.stop()).toBe(0);
    await until(() => messages.includes("STOPPING=1\nSTATUS=stopping"), said);
  });
}
