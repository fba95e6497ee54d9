/** What proves that a device was set up, and what is done when that is lost. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { backendPath } from "../../../core/xen/device_id.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import type { Findings } from "../../../contract/v1/plugin.ts";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, NIC, nic, World } from "../../support/simulated_domain.ts";

const VIF = backendPath(NIC);
const VBD = backendPath(DISK);

let world: World;

beforeEach(() => {
  world = new World();
  world.parts = { times: { ...DEFAULT_TIMES, check: 20, hold: 30 } };
});

afterEach(() => world.stop());

const calls = () => world.recorder.calls;
const called = (...expected: string[]) =>
  until(() => calls().length >= expected.length, () => world.log.join("")).then(() =>
    expect(calls()).toEqual(expected)
  );
const warned = (text: string) =>
  world.log.filter((line) => line.includes("warning") && line.includes(text)).length;
const isWarned = (text: string) => until(() => warned(text) > 0, () => world.log.join(""));
/** Several checks. */
const pause = () => new Promise((resolve) => setTimeout(resolve, 200));

describe("a state is no proof", () => {
  test("a vif in state 4 without hotplug-status is set up; one with it is not", async () => {
    await world.startMachine();
    await world.toolstack().create(nic);
    await world.reaches(`${VIF}/state`, "2");
    await world.dom0.write(`${VIF}/state`, "4");
    await world.startDaemon();
    await called("add vif/0");
    await world.reaches(`${VIF}/hotplug-status`, "connected");
    world.killDaemon();
    await world.startDaemon();
    await pause();
    expect(calls()).toEqual(["add vif/0"]);
  });

  test("what another daemon has set up is taken as it is, by its hotplug-status", async () => {
    await world.startMachine();
    await world.toolstack().create(nic);
    await world.dom0.write(`${VIF}/hotplug-status`, "connected");
    await world.reaches(`${VIF}/state`, "2");
    await world.dom0.write(`${VIF}/state`, "4");
    await world.startDaemon();
    await until(() => world.log.join("").includes("adopted"), () => world.log.join(""));
    await pause();
    expect(calls()).toEqual([]);
  });

  test("of kinds whose manifest says so, state 4 is one, and hotplug-status is written", async () => {
    world.plugin = { proof: ["status", "state"] };
    await world.startMachine();
    await world.toolstack().create(disk);
    await world.reaches(`${VBD}/state`, "2");
    await world.dom0.write(`${VBD}/state`, "4");
    await world.startDaemon();
    await world.reaches(`${VBD}/hotplug-status`, "connected");
    expect(calls()).toEqual([]);
  });

  test("a plugin that says nothing is spoken for, once", async () => {
    world.plugin = { name: "silent", add: async () => {} };
    await world.start();
    await world.toolstack().create(nic);
    await world.guest(NIC);
    await world.reaches(`${VIF}/state`, "4");
    expect(await world.dom0.readText(`${VIF}/hotplug-status`)).toBe("connected");
    expect(warned("plugin silent set it up without hotplug-status")).toBe(1);
  });
});

describe("what was set up is lost", () => {
  async function connected(): Promise<void> {
    await world.start();
    await world.toolstack().create(nic);
    const frontend = await world.guest(NIC);
    await frontend.connected(5_000);
    await called("add vif/0");
  }

  test("hotplug-status is gone and the backend waits for it: all is done again", async () => {
    await connected();
    await world.dom0.transaction(async (t) => {
      await t.remove(`${VIF}/hotplug-status`);
      await t.write(`${VIF}/state`, "2");
    });
    await called("add vif/0", "remove vif/0", "add vif/0");
    await world.reaches(`${VIF}/hotplug-status`, "connected");
    expect(warned("set up is lost: hotplug-status is gone, and its backend waits for it")).toBe(1);
    await pause();
    expect(calls()).toHaveLength(3);
  });

  test("a guest that closes its side, and comes back, is no reason", async () => {
    await connected();
    for (const state of ["5", "6", "2", "4"]) {
      await world.dom0.write(`${VIF}/state`, state);
      await pause();
    }
    expect(calls()).toEqual(["add vif/0"]);
  });

  test.each(["", "garbage"])(
    "hotplug-status is %j while it is in use: written again",
    async (status) => {
      await connected();
      await world.dom0.write(`${VIF}/hotplug-status`, status);
      await world.reaches(`${VIF}/hotplug-status`, "connected");
      await pause();
      expect(calls()).toEqual(["add vif/0"]);
      expect(warned("written again")).toBe(1);
    },
  );

  test("somebody writes that it has failed: that is told, and left", async () => {
    await connected();
    await world.dom0.write(`${VIF}/hotplug-status`, "error");
    await isWarned("hotplug-status says by now that it has failed");
    await pause();
    expect(await world.dom0.readText(`${VIF}/hotplug-status`)).toBe("error");
    expect(warned("hotplug-status says by now")).toBe(1);
  });

  test("what a check has found is told once, and again when it comes back", async () => {
    let findings: Findings | null = null;
    world.plugin = { check: async () => findings };
    await connected();
    findings = { notices: ["it is down"] };
    await isWarned("it is down");
    await pause();
    expect(warned("it is down")).toBe(1);
    findings = null;
    await until(() => world.log.join("").includes("no longer so: it is down"), () => "silence");
    findings = { notices: ["it is down"], mended: ["a route was gone: added again"] };
    await until(() => warned("it is down") === 2, () => world.log.join(""));
    await isWarned("somebody keeps undoing it");
    await pause();
    expect(warned("a route was gone")).toBe(2);
    expect(calls()).toEqual(["add vif/0"]);
  });

  test("while something is not as it was, hotplug-status is not written in its place", async () => {
    world.plugin = { check: async () => ({ notices: ["its interface is gone"] }) };
    await connected();
    await world.dom0.remove(`${VIF}/hotplug-status`);
    await isWarned("hotplug-status is gone");
    await pause();
    expect(await world.dom0.readOptional(`${VIF}/hotplug-status`)).toBeUndefined();
  });

  test("a check that says so has it set up anew", async () => {
    let lost = false;
    world.plugin = {
      check: async () => {
        const undone = lost ? "its interface was made anew" : undefined;
        lost = false;
        return undone === undefined ? null : { undone };
      },
    };
    await connected();
    lost = true;
    await called("add vif/0", "remove vif/0", "add vif/0");
    expect(warned("what was set up is lost: its interface was made anew")).toBe(1);
  });

  test("a look that began while it was being set up proves no loss", async () => {
    const finished = Promise.withResolvers<void>();
    // As a script does it: the daemon is told of it by events alone.
    world.plugin = {
      add: async () => {
        world.recorder.calls.push("add vif/0");
        await finished.promise;
        await world.dom0.write(`${VIF}/hotplug-status`, "connected");
      },
    };
    world.parts = { times: { ...DEFAULT_TIMES, check: 1e9 } };
    await world.start();
    const held: (() => void)[] = [];
    let holds = false;
    const read = world.daemonStore.readVisible.bind(world.daemonStore);
    world.daemonStore.readVisible = async (path: string) => {
      if (holds && path === `${VIF}/online`) {
        await new Promise<void>((resolve) => held.push(resolve));
      }
      return await read(path);
    };
    const holding = (count: number) => until(() => held.length === count, () => world.log.join(""));
    await world.toolstack().create(nic);
    await called("add vif/0");
    // It is let alone in the beginning.
    await new Promise((resolve) => setTimeout(resolve, 700));
    holds = true;
    await world.dom0.write(`${VIF}/online`, "1");
    await holding(1);
    finished.resolve();
    await until(
      () => world.daemon.devices.stateOf(NIC)?.phase === "connected",
      () => world.log.join(""),
    );
    held[0]!();
    await holding(2);
    world.daemon.devices.checkSome();
    await pause();
    holds = false;
    held[1]!();
    await pause();
    expect(calls()).toEqual(["add vif/0"]);
    expect(warned("is lost")).toBe(0);
  });
});
