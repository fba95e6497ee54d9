/** Devices with a server: real processes of this program, a daemon and its store, a guest without Xen. */
import { afterEach, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import random from "../../../examples/random.ts";
import type { DeviceId } from "../../../core/xen/device_id.ts";
import { backendPath, deviceName, frontendPath } from "../../../core/xen/device_id.ts";
import type { SimulatedGrant, SimulatedPort } from "../../../simulation/xen/simulated_xen.ts";
import { CHILD_VARIABLE } from "../../../core/daemon/capabilities/children.ts";
import { systemProcessTable } from "../../../platform/linux/process_table.ts";
import { until } from "../../support/daemon_process.ts";
import { SimulatedToolstack } from "../../../simulation/toolstack.ts";
import { ServedWorld, SERVER_USER } from "../../support/served_world.ts";

const RNG: DeviceId = { backendDomid: 1, kind: "vrng", frontendDomid: 7, devid: 0 };
const BACK = backendPath(RNG);
const FRONT = frontendPath(RNG, "vrng");

const worlds: ServedWorld[] = [];
afterEach(async () => {
  for (const world of worlds.splice(0)) await world.stop();
}, 20_000);

async function world(): Promise<ServedWorld> {
  const made = new ServedWorld(random, "examples/random.ts");
  worlds.push(made);
  await made.start();
  return made;
}

interface Ring {
  readonly grant: SimulatedGrant;
  readonly port: SimulatedPort;
}

/** What a frontend shares, and tells its backend of. */
async function offered(w: ServedWorld, id = RNG, state = 3): Promise<Ring> {
  const grant = w.guest7.grant(1);
  const port = await w.guest7.openPort();
  await w.offer(id, {
    "ring-ref": String(grant.references[0]),
    "event-channel": String(port.number),
  }, state);
  return { grant, port };
}

/** Puts requests into the ring and waits for all responses. @returns how long each is */
async function ask({ grant: { memory }, port }: Ring, ...wanted: number[]): Promise<number[]> {
  const first = memory.read32(0);
  wanted.forEach((bytes, index) => {
    const at = 64 + ((first + index) & 63) * 60;
    memory.write32(at, first + index);
    memory.write32(at + 8, bytes);
  });
  memory.write32(12, first + wanted.length);
  memory.write32(0, first + wanted.length);
  port.notify();
  await until(() => memory.read32(8) === first + wanted.length, () => `${memory.read32(8)}`);
  return wanted.map((_, index) => memory.read32(64 + ((first + index) & 63) * 60 + 8) | 0);
}

async function connected(w: ServedWorld): Promise<Ring> {
  await w.attach(RNG);
  await w.reaches(`${BACK}/state`, "2");
  const ring = await offered(w);
  await w.reaches(`${BACK}/state`, "4");
  await w.guestStore!.write(`${FRONT}/state`, "4");
  return ring;
}

/** The process that serves a device. */
async function pidOf(w: ServedWorld, id = RNG): Promise<number | undefined> {
  const { attachId } = w.journal.get(deviceName(id))!;
  const mark = `${deviceName(id)}/${attachId}/server`;
  const marked = await systemProcessTable.withVariable(CHILD_VARIABLE);
  return [...marked].find(([, value]) => value === mark)?.[0];
}

async function frontend(w: ServedWorld, state: number): Promise<void> {
  await w.guestStore!.write(`${FRONT}/state`, String(state));
}

/** Removes it as the toolstack does, with a guest that closes. */
async function detach(w: ServedWorld): Promise<number> {
  const start = performance.now();
  const removed = w.toolstack().remove(w.spec(RNG));
  await until(async () => await w.state(RNG) !== "4", () => w.log.join(""));
  await frontend(w, 6).catch(() => {});
  await removed;
  await w.gone(RNG);
  return performance.now() - start;
}

test("attached, used, and detached within a second", async () => {
  const w = await world();
  const ring = await connected(w);
  expect(await w.dom0.readOptional(`${BACK}/feature-random`)).toBe("1");
  expect(await ask(ring, 16, 48, 49, 0)).toEqual([16, 48, -1, -1]);
  const bytes = (slot: number) => ring.grant.memory.read(64 + slot * 60 + 12, 16).join(" ");
  expect(bytes(0)).not.toBe(bytes(1));
  expect(await detach(w)).toBeLessThan(3_000);
  expect(w.log.join("")).toContain("server: 4 requests were answered");
  expect(w.log.join("")).not.toContain("ended");
  expect(w.journal.entries()).toEqual([]);
}, 30_000);

test(
  "its process is nobody's: a user of the guest's own, no group, no capability, no way back",
  async () => {
    const w = await world();
    await connected(w);
    const status = readFileSync(`/proc/${await pidOf(w)}/status`, "utf8");
    const line = (name: string) =>
      new RegExp(`^${name}:[ \\t]*(.*)$`, "m").exec(status)?.[1]?.trim();
    const user = String(SERVER_USER);
    expect(line("Uid")).toBe(Array(4).fill(user).join("\t"));
    expect(line("Gid")).toBe(Array(4).fill(user).join("\t"));
    expect(line("Groups")).toBe("");
    for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"]) {
      expect(line(set)).toBe(
        "0".repeat(16),
      );
    }
    expect(line("NoNewPrivs")).toBe("1");
  },
  30_000,
);

test(
  "a guest's driver is unbound and bound: back to 2, and 4 again with what is new; one goes to 4 itself",
  async () => {
    const w = await world();
    const first = await connected(w);
    expect(await ask(first, 8)).toEqual([8]);
    await frontend(w, 6);
    await w.reaches(`${BACK}/state`, "2");
    const second = await offered(w);
    await w.reaches(`${BACK}/state`, "4");
    expect(await ask(second, 9)).toEqual([9]);
    // As quickly as events may be merged: it is found by its references.
    const third = await offered(w, RNG, 4);
    expect(await ask(third, 10)).toEqual([10]);
    // What the first has shared is not looked at any more.
    first.grant.memory.write32(0, 5);
    // Step by step, as a kernel that was started by another one.
    await frontend(w, 5);
    await w.reaches(`${BACK}/state`, "5");
    await frontend(w, 6);
    await w.reaches(`${BACK}/state`, "6");
    await frontend(w, 1);
    await w.reaches(`${BACK}/state`, "2");
    const fourth = await offered(w, RNG, 4);
    await w.reaches(`${BACK}/state`, "4");
    expect(await ask(fourth, 11)).toEqual([11]);
    await detach(w);
  },
  40_000,
);

test("the daemon is killed: the guest is served on, and the next daemon takes it up", async () => {
  const w = await world();
  const ring = await connected(w);
  const pid = await pidOf(w);
  w.killDaemon();
  expect(await ask(ring, 8)).toEqual([8]);
  await w.startDaemon();
  await until(() => w.log.join("").includes("recovered"), () => w.log.join(""));
  expect(await ask(ring, 9)).toEqual([9]);
  expect(await pidOf(w)).toBe(pid!);
  // Unbound and bound while nobody looked.
  w.killDaemon();
  const next = await offered(w);
  await w.startDaemon();
  expect(await ask(next, 10)).toEqual([10]);
  expect(await pidOf(w)).toBe(pid!);
  await detach(w);
}, 40_000);

test("its process is killed: the device is closed, and says why; it can be detached", async () => {
  const w = await world();
  await connected(w);
  process.kill((await pidOf(w))!, "SIGKILL");
  await w.reaches(`${BACK}/state`, "5");
  const error = await w.dom0.readText(`${BACK}/hotplug-error`);
  expect(error).toContain("its process server has ended: it was killed by SIGKILL");
  await frontend(w, 6);
  await w.reaches(`${BACK}/state`, "6");
  // Not again, whatever the guest does.
  await offered(w);
  await w.toolstack().remove(w.spec(RNG));
  await w.gone(RNG);
}, 30_000);

test("… while no daemon runs: the next one finds out", async () => {
  const w = await world();
  await connected(w);
  const pid = (await pidOf(w))!;
  w.killDaemon();
  process.kill(pid, "SIGKILL");
  await until(async () => await systemProcessTable.identityOf(pid) === undefined, () => "it runs");
  await w.startDaemon();
  await w.reaches(`${BACK}/state`, "5");
  expect(await w.dom0.readText(`${BACK}/hotplug-error`)).toContain("server has ended");
}, 30_000);

test(
  "a guest that breaks its ring is closed, and told why; another guest's device goes on",
  async () => {
    const w = await world();
    const ring = await connected(w);
    const other = { ...RNG, devid: 1 };
    await w.attach(other);
    await w.reaches(`${backendPath(other)}/state`, "2");
    const well = await offered(w, other);
    await w.reaches(`${backendPath(other)}/state`, "4");
    ring.grant.memory.write32(0, 4711);
    ring.port.notify();
    await w.reaches(`${BACK}/state`, "5");
    expect(await w.dom0.readText(`${BACK}/hotplug-error`)).toContain(
      "4711 requests wait; it has room for 64",
    );
    expect(w.log.join("")).toContain("[server-failed]");
    expect(await ask(well, 4)).toEqual([4]);
  },
  30_000,
);

test(
  "a guest whose offer makes no sense stays unconnected, and is told of once; a good one follows",
  async () => {
    const w = await world();
    await w.attach(RNG);
    await w.reaches(`${BACK}/state`, "2");
    for (
      const [nodes, complaint] of [
        [{ "event-channel": "1" }, "ring-ref is missing; expected 0 to 4294967295"],
        [{ "ring-ref": "4294967296", "event-channel": "1" }, "4294967296"],
        [{ "ring-ref": "-1", "event-channel": "1" }, '"-1"'],
        [{ "ring-ref": "1\n2", "event-channel": "1" }, "expected 0 to"],
        [{ "ring-ref": "99", "event-channel": "1" }, "the guest cannot be served"],
        [{ "ring-ref": "99", "event-channel": "x".repeat(1500) }, "event-channel is"],
      ] as [Record<string, string>, string][]
    ) {
      await w.offer(RNG, nodes);
      await until(() => w.log.join("").includes(complaint), () => complaint + w.log.join(""));
      expect(await w.state(RNG)).toBe("2");
    }
    const ring = await offered(w);
    await w.reaches(`${BACK}/state`, "4");
    expect(await ask(ring, 3)).toEqual([3]);
    await detach(w);
  },
  30_000,
);

test(
  "a guest that does not close is closed within two seconds; one that dies leaves nothing",
  async () => {
    const w = await world();
    await connected(w);
    const pid = (await pidOf(w))!;
    const start = performance.now();
    const removed = new SimulatedToolstack(w.dom0).remove(w.spec(RNG));
    await w.reaches(`${BACK}/state`, "6");
    expect(performance.now() - start).toBeLessThan(4_000);
    await removed;
    await w.gone(RNG);
    expect(await systemProcessTable.identityOf(pid)).toBeUndefined();
    const next = await connected(w);
    const another = (await pidOf(w))!;
    await w.dom0.remove(`/local/domain/7/device`);
    await w.gone(RNG);
    await until(
      async () => await systemProcessTable.identityOf(another) === undefined,
      () => w.log.join(""),
    );
    expect(next.grant.memory.isMapped).toBe(true);
  },
  40_000,
);

test("a server that does not open fails the attach, and says why; nothing is left", async () => {
  const w = await world();
  await w.attach(RNG, { most: "49" });
  await w.reaches(`${BACK}/state`, "6");
  expect(await w.dom0.readText(`${BACK}/hotplug-error`)).toContain("most");
  await w.toolstack().remove(w.spec(RNG));
  await w.gone(RNG);
}, 30_000);

test(
  "a guest that flips its state without end is followed at a bounded rate, and to where it stops",
  async () => {
    const w = await world();
    const ring = await connected(w);
    for (let flip = 0; flip < 600; flip++) await frontend(w, [6, 3, 5, 1, 4][flip % 5]!);
    const connects = () => w.log.filter((line) => line.includes("its guest has connected")).length;
    expect(connects()).toBeLessThan(300);
    await frontend(w, 6);
    await until(
      async () => ["2", "6"].includes((await w.state(RNG))!),
      () => w.log.slice(-20).join(""),
    );
    const last = await offered(w);
    await w.reaches(`${BACK}/state`, "4");
    expect(await ask(last, 7)).toEqual([7]);
    // What it shared first was let go of.
    const answered = ring.grant.memory.read32(8);
    ring.grant.memory.write32(0, answered + 1);
    ring.port.notify();
    expect(await ask(last, 8)).toEqual([8]);
    expect(ring.grant.memory.read32(8)).toBe(answered);
    await detach(w);
  },
  60_000,
);

test("a guest that is destroyed: its toolstack sees the backend close before it goes", async () => {
  const w = await world();
  for (let round = 0; round < 4; round++) {
    if (round % 2 === 0) await connected(w);
    else {
      await w.attach(RNG);
      await w.reaches(`${BACK}/state`, "2");
    }
    // As libxl destroys a domain. It throws when the directory goes without Closed.
    await new SimulatedToolstack(w.dom0).remove(w.spec(RNG), "force");
    await w.gone(RNG);
    await until(() => w.journal.entries().length === 0, () => w.log.join(""));
  }
  // Nobody has said a word: it has died, and its frontend cannot be read any more.
  await connected(w);
  const states: string[] = [];
  const watch = await w.dom0.watch(`${BACK}/state`, async () => {
    states.push(await w.dom0.readOptional(`${BACK}/state`) ?? "gone");
  });
  await w.dom0.remove(FRONT);
  await w.gone(RNG);
  await watch.close();
  expect(states).toContain("6");
}, 60_000);

test(
  "what happened while no daemon ran is finished by the next one: a detach, and a guest's destruction",
  async () => {
    const w = await world();
    for (const mode of ["graceful", "force"] as const) {
      await connected(w);
      const pid = (await pidOf(w))!;
      w.killDaemon();
      const removed = new SimulatedToolstack(w.dom0).remove(w.spec(RNG), mode);
      await w.reaches(`${BACK}/state`, "5");
      await frontend(w, 6).catch(() => {});
      const start = performance.now();
      await w.startDaemon();
      await removed;
      await w.gone(RNG);
      expect(performance.now() - start).toBeLessThan(6_000);
      expect(await systemProcessTable.identityOf(pid)).toBeUndefined();
      await until(() => w.journal.entries().length === 0, () => w.log.join(""));
    }
  },
  60_000,
);
