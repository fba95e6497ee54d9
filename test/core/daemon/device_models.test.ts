/** The device models of guests, on made-up processes and the embedded store. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  type DeviceModelContext,
  DeviceModels,
} from "../../../core/daemon/capabilities/device_models.ts";
import { type Held, NOTHING_HELD } from "../../../core/daemon/journal/held.ts";
import { type DeviceId, deviceName } from "../../../core/xen/device_id.ts";
import { configureLog } from "../../../core/log/log.ts";
import { systemClock } from "../../../platform/clock.ts";
import { createDomainHome } from "../../../simulation/domains.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import type { DeviceModel } from "../../../contract/v1/plugin.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { type FakeProcess, FakeProcesses } from "../../support/fake_processes.ts";

const HOME = "/local/domain/1";
const STATE = `${HOME}/device-model/7/state`;
const PID = `${HOME}/libxl/7/qdisk-backend-pid`;
const PROGRAM = { argv: ["/qemu", "-xen-domid", "7", "-xen-attach"] } as const;
const FIRST: DeviceId = { backendDomid: 1, kind: "qdisk", frontendDomid: 7, devid: 51712 };
const SECOND: DeviceId = { ...FIRST, kind: "9pfs", devid: 0 };
const THIRD: DeviceId = { ...FIRST, devid: 51728 };

/** A driver domain: its store, clock, processes, journal. */
class World {
  readonly server = new XenstoreServer();
  readonly clock = new FakeClock();
  readonly processes = new FakeProcesses();
  readonly journal = new Map<string, { id: DeviceId; held: Held }>();
  readonly log: string[] = [];
  /** Devices that were told to look, in order. */
  readonly told: string[] = [];
  readonly clients: StoreClient[] = [];
  store!: StoreClient;
  models!: DeviceModels;
  /** Whether a QEMU says that it runs. */
  ready = true;

  async start(): Promise<this> {
    configureLog("info", (line) => this.log.push(line));
    for (const domid of [1, 7]) this.server.introduce(domid);
    const dom0 = await this.connect(0);
    await createDomainHome(dom0, { domid: 1, name: "driver", driverDomain: true });
    this.store = await this.connect(1);
    this.processes.onStart = (qemu) => {
      if (this.ready) this.#write(qemu);
    };
    this.newDaemon();
    return this;
  }

  /** The daemon is killed, and the next one started. */
  newDaemon(): void {
    this.models?.stop();
    const { processes, clock } = this;
    this.models = new DeviceModels(this.store, processes, processes, clock);
  }

  device(id: DeviceId): DeviceModel {
    const name = deviceName(id);
    const context: DeviceModelContext = {
      id,
      path: "/bin",
      environment: { XENSTORED_PATH: "/store" },
      held: () => this.journal.get(name)?.held.deviceModel ?? null,
      hold: (deviceModel) => {
        this.journal.set(name, { id, held: { ...NOTHING_HELD, deviceModel } });
      },
      devices: () => [...this.journal.values()],
      onTrouble: () => this.told.push(name),
    };
    return this.models.of(context);
  }

  /** Has it started, and lets time pass until that is done. */
  async begin(id: DeviceId): Promise<void> {
    await this.passing(this.device(id).start(PROGRAM, new AbortController().signal));
  }

  /** As `remove` and the note after it. */
  async end(id: DeviceId): Promise<void> {
    await this.passing(this.device(id).release());
    this.journal.delete(deviceName(id));
  }

  /** Lets time pass in small steps until something is done; no more than two minutes. */
  async passing<T>(work: Promise<T>): Promise<T> {
    let done = false;
    work.then(() => done = true, () => done = true);
    for (let ms = 0; !done && ms < 120_000; ms += 100) await this.clock.advance(100);
    return await work;
  }

  async stop(): Promise<void> {
    this.models.stop();
    for (const client of this.clients) client.close();
  }

  async connect(domid: number): Promise<StoreClient> {
    const client = await StoreClient.connect({
      clock: systemClock,
      connect: async () => connectInProcess(this.server, domid),
    });
    this.clients.push(client);
    return client;
  }

  async #write(qemu: FakeProcess): Promise<void> {
    if (qemu.alive) await this.store.write(STATE, "running");
  }
}

let world: World;
beforeEach(async () => {
  world = await new World().start();
});
afterEach(() => world.stop());

const only = () => {
  expect(world.processes.alive).toHaveLength(1);
  return world.processes.alive[0]!;
};

describe("one for all devices of a guest", () => {
  test("is started for the first one, and ended with the last one", async () => {
    await Promise.all([world.begin(FIRST), world.begin(SECOND)]);
    const qemu = only();
    expect(qemu.argv).toEqual(PROGRAM.argv);
    expect([qemu.env["PATH"], qemu.env["XENSTORED_PATH"]]).toEqual(["/bin", "/store"]);
    expect(await world.store.readText(PID)).toBe(String(qemu.pid));
    await world.end(FIRST);
    expect(qemu.signals).toEqual([]);
    await world.end(SECOND);
    expect(qemu.signals).toEqual(["SIGHUP"]);
    expect(await world.store.exists(`${HOME}/device-model/7`)).toBeFalse();
    expect(await world.store.exists(`${HOME}/libxl/7`)).toBeFalse();
  });

  test("another guest has its own", async () => {
    const other = { ...FIRST, frontendDomid: 8 };
    world.processes.onStart = ({ argv }) =>
      void world.store.write(`${HOME}/device-model/${argv[2]}/state`, "running");
    await world.begin(FIRST);
    const argv = ["/qemu", "-xen-domid", "8", "-xen-attach"] as const;
    await world.passing(world.device(other).start({ argv }, new AbortController().signal));
    expect(world.processes.alive.map(({ argv }) => argv[2])).toEqual(["7", "8"]);
    await world.end(FIRST);
    expect(only().argv[2]).toBe("8");
  });

  test("what else is in the guest's directory stays", async () => {
    await world.store.write(`${HOME}/libxl/7/other`, "x");
    await world.begin(FIRST);
    await world.end(FIRST);
    expect(await world.store.list(`${HOME}/libxl/7`)).toEqual(["other"]);
  });

  test("a release that was done already does nothing, nor one of a device without any", async () => {
    await world.begin(FIRST);
    await world.device(SECOND).release();
    await world.passing(world.device(FIRST).release());
    await world.device(FIRST).release();
    expect(world.processes.all).toHaveLength(1);
  });
});

describe("a start", () => {
  test("is not taken for done because an earlier one had left its state", async () => {
    await world.store.write(STATE, "running");
    world.ready = false;
    const start = world.device(FIRST).start(PROGRAM, new AbortController().signal);
    let done = false;
    start.then(() => done = true);
    await world.clock.advance(5_000);
    expect(only().alive).toBeTrue();
    expect(done).toBeFalse();
    await world.store.write(STATE, "running");
    await world.passing(start);
  });

  test("fails when it is not ready after 60 s; it is ended, and tried again", async () => {
    world.ready = false;
    world.processes.onStart = (qemu) => qemu.print("waiting for Godot");
    const start = world.begin(FIRST);
    expect(await start.catch((error) => error.message))
      .toBe(
        "the guest's QEMU does not start: it is not running after 60 s: waiting for Godot [qemu-ended]",
      );
    expect(world.processes.all[0]!.signals).toEqual(["SIGHUP"]);
    world.ready = true;
    await world.end(FIRST);
    await world.clock.advance(120_000);
    expect(world.processes.alive).toEqual([]);
  });

  test("fails with what it said last, when it ends", async () => {
    world.ready = false;
    world.processes.onStart = (qemu) => {
      qemu.print("-xen-attach: no Xen here");
      queueMicrotask(() => qemu.exit());
    };
    expect(await world.begin(FIRST).catch((error) => error.message)).toBe(
      "the guest's QEMU does not start: it ended: exit status 1: -xen-attach: no Xen here [qemu-ended]",
    );
  });

  test("fails when there is no such program", async () => {
    world.processes.refusal = "ENOENT";
    expect(await world.begin(FIRST).catch((error) => error.message))
      .toBe("the guest's QEMU does not start: /qemu cannot be started: ENOENT [qemu-ended]");
  });

  test("that is given up leaves nothing after the release", async () => {
    world.ready = false;
    const abort = new AbortController();
    const start = world.device(FIRST).start(PROGRAM, abort.signal);
    await world.clock.advance(1_000);
    abort.abort(new Error("no longer wanted"));
    expect(await start.catch((error) => error.message)).toBe("no longer wanted");
    await world.end(FIRST);
    await world.clock.advance(120_000);
    expect(world.processes.alive).toEqual([]);
    expect(world.processes.all).toHaveLength(1);
  });

  test("that takes long is waited for by the release, which then ends it", async () => {
    const { start } = world.processes;
    const gate = Promise.withResolvers<void>();
    world.processes.start = async (spec) => {
      await gate.promise;
      return await start.call(world.processes, spec);
    };
    const abort = new AbortController();
    const starting = world.device(FIRST).start(PROGRAM, abort.signal).catch(() => {});
    await world.clock.advance(100);
    abort.abort(new Error("no longer wanted"));
    await starting;
    let released = false;
    const release = world.device(FIRST).release().then(() => released = true);
    await world.clock.advance(1_000);
    expect(released).toBeFalse();
    gate.resolve();
    await world.passing(release);
    expect(world.processes.all).toHaveLength(1);
    expect(world.processes.alive).toEqual([]);
    expect(world.processes.all[0]!.signals).toEqual(["SIGHUP"]);
  });
});

describe("one that ends by itself", () => {
  test("is started again, later each time; its devices are told, and see the difference", async () => {
    await world.begin(FIRST);
    await world.begin(SECOND);
    const status = () => world.device(FIRST).status();
    expect(await status()).toEqual({ state: "serving", detail: "" });
    for (const pause of [1, 2, 4, 8, 16, 30, 30]) {
      const qemu = only();
      world.told.length = 0;
      qemu.print("assertion failed");
      qemu.exit({ code: null, signal: "SIGABRT" });
      await world.clock.advance(0);
      expect(world.told).toEqual(["qdisk/7/51712", "9pfs/7/0"]);
      expect(await status()).toEqual({
        state: "ended",
        detail: "it ended: killed by SIGABRT: assertion failed",
      });
      await world.clock.advance(pause * 1000 - 1);
      expect(world.processes.alive).toEqual([]);
      world.told.length = 0;
      await world.clock.advance(1);
      await world.clock.advance(0);
      expect(only().pid).not.toBe(qemu.pid);
      expect(world.told).toEqual(["qdisk/7/51712", "9pfs/7/0"]);
      expect((await status()).state).toBe("replaced");
    }
    // One that was well for a minute is started again soon.
    await world.clock.advance(60_000);
    only().exit();
    await world.clock.advance(1_000);
    await world.clock.advance(0);
    expect(only().alive).toBeTrue();
    await world.begin(FIRST);
    expect((await status()).state).toBe("serving");
    expect((await world.device(SECOND).status()).state).toBe("replaced");
  });

  test("is not started again when nobody needs it any more", async () => {
    await world.begin(FIRST);
    only().exit();
    await world.clock.advance(500);
    await world.end(FIRST);
    await world.clock.advance(60_000);
    expect(world.processes.all).toHaveLength(1);
    expect(await world.store.exists(PID)).toBeFalse();
  });

  test("a device that had it does not cut the pause short", async () => {
    await world.begin(FIRST);
    only().exit();
    await world.clock.advance(0);
    expect(await world.begin(FIRST).catch((error) => error.message))
      .toBe("the guest's QEMU: it ended: exit status 1");
    expect(world.processes.alive).toEqual([]);
  });

  test("a new device does not wait for the pause to end", async () => {
    await world.begin(FIRST);
    only().exit();
    await world.clock.advance(0);
    const before = world.clock.now();
    await world.begin(SECOND);
    expect(world.clock.now() - before).toBeLessThan(1_000);
    expect((await world.device(FIRST).status()).state).toBe("replaced");
    await world.clock.advance(60_000);
    expect(world.processes.all).toHaveLength(2);
  });
});

describe("ending it", () => {
  test.each([
    [["SIGHUP"], ["SIGHUP", "SIGTERM"], 3_000],
    [["SIGHUP", "SIGTERM"], ["SIGHUP", "SIGTERM", "SIGKILL"], 5_000],
  ])("when it ignores %j", async (ignored, sent, after) => {
    await world.begin(FIRST);
    const qemu = only();
    for (const signal of ignored) qemu.ignores.add(signal);
    const before = world.clock.now();
    await world.end(FIRST);
    expect(qemu.signals).toEqual(sent);
    expect(world.clock.now() - before).toBeGreaterThanOrEqual(after);
    expect(world.clock.now() - before).toBeLessThan(after + 500);
  });

  test("one that nothing ends is reported", async () => {
    await world.begin(FIRST);
    const qemu = only();
    for (const signal of ["SIGHUP", "SIGTERM", "SIGKILL"]) qemu.ignores.add(signal);
    expect(await world.end(FIRST).catch((error) => error.message))
      .toBe(`process ${qemu.pid} does not end`);
    qemu.exit();
    await world.end(FIRST);
    expect(await world.store.exists(PID)).toBeFalse();
  });

  test("a device that comes while it is ended gets another one", async () => {
    await world.begin(FIRST);
    const old = only();
    old.ignores.add("SIGHUP");
    const released = world.device(FIRST).release();
    await world.clock.advance(100);
    const begun = world.begin(SECOND);
    await world.passing(released);
    await begun;
    expect(only().pid).not.toBe(old.pid);
    expect(await world.store.readText(PID)).toBe(String(only().pid));
  });
});

describe("the next daemon", () => {
  test("takes it up as it is, and ends it with the last device", async () => {
    await world.begin(FIRST);
    await world.begin(SECOND);
    const qemu = only();
    world.newDaemon();
    await world.device(FIRST).adopt(PROGRAM);
    await world.device(SECOND).adopt(PROGRAM);
    expect(only()).toBe(qemu);
    expect(qemu.signals).toEqual([]);
    expect((await world.device(SECOND).status()).state).toBe("serving");
    await world.end(FIRST);
    expect(qemu.signals).toEqual([]);
    await world.end(SECOND);
    expect(qemu.signals).toEqual(["SIGHUP"]);
  });

  test("notices its end, although it is no child, and starts another one", async () => {
    await world.begin(FIRST);
    world.newDaemon();
    await world.device(FIRST).adopt(PROGRAM);
    only().exit();
    await world.clock.advance(1_000);
    expect(world.told).toEqual(["qdisk/7/51712"]);
    expect((await world.device(FIRST).status()).state).toBe("ended");
    await world.clock.advance(1_000);
    await world.clock.advance(0);
    expect((await world.device(FIRST).status()).state).toBe("replaced");
  });

  test("takes it for running while nobody can look", async () => {
    await world.begin(FIRST);
    const { identityOf } = world.processes;
    world.newDaemon();
    await world.device(FIRST).adopt(PROGRAM);
    world.processes.identityOf = () => Promise.reject(new Error("EMFILE: open /proc"));
    await world.clock.advance(3_000);
    expect(world.told).toEqual([]);
    world.processes.identityOf = identityOf;
    await world.clock.advance(1_000);
    expect((await world.device(FIRST).status()).state).toBe("serving");
    only().exit();
    await world.clock.advance(1_000);
    expect(world.told).toEqual(["qdisk/7/51712"]);
  });

  test("starts another one, if it has ended meanwhile; its number may be a stranger's", async () => {
    await world.begin(FIRST);
    const old = only();
    old.exit();
    world.newDaemon();
    const stranger = world.processes.add(["/bin/vi"], {}, old.pid);
    await world.device(FIRST).adopt(PROGRAM);
    expect(await world.device(FIRST).status())
      .toEqual({ state: "ended", detail: "it ended while no daemon ran" });
    await world.clock.advance(1_000);
    await world.clock.advance(0);
    expect((await world.device(FIRST).status()).state).toBe("replaced");
    await world.end(FIRST);
    expect(world.processes.alive).toEqual([stranger]);
    expect(stranger.signals).toEqual([]);
  });

  test("ends one of which only the journal tells, whatever else its daemon had left undone", async () => {
    world.ready = false;
    world.device(FIRST).start(PROGRAM, new AbortController().signal).catch(() => {});
    await world.clock.advance(100);
    const qemu = only();
    world.newDaemon();
    await world.end(FIRST);
    expect(qemu.alive).toBeFalse();
    expect(world.processes.all).toHaveLength(1);
  });
});

describe("one of another program's", () => {
  test("is taken up, if it is what its node says: there must not be two for one guest", async () => {
    const foreign = world.processes.add(["/usr/bin/qemu", "-xen-domid", "7", "-xen-attach"], {});
    await world.store.write(PID, String(foreign.pid));
    await world.store.write(STATE, "running");
    await world.device(FIRST).adopt(PROGRAM);
    expect((await world.device(FIRST).status()).state).toBe("serving");
    await world.begin(SECOND);
    expect(only()).toBe(foreign);
    world.newDaemon();
    await world.device(FIRST).adopt(PROGRAM);
    await world.device(SECOND).adopt(PROGRAM);
    expect((await world.device(FIRST).status()).state).toBe("serving");
    await world.end(FIRST);
    await world.end(SECOND);
    expect(foreign.signals).toEqual(["SIGHUP"]);
  });

  test.each([
    ["another guest's", ["/usr/bin/qemu", "-xen-domid", "8", "-xen-attach"]],
    ["a whole machine", ["/usr/bin/qemu", "-xen-domid", "7"]],
    ["something else", ["/bin/vi", "7"]],
  ])("is left alone, if it is %s", async (_, argv) => {
    const foreign = world.processes.add(argv, {});
    await world.store.write(PID, String(foreign.pid));
    await world.begin(FIRST);
    expect(world.processes.alive).toHaveLength(2);
    await world.end(FIRST);
    expect(world.processes.alive).toEqual([foreign]);
    expect(foreign.signals).toEqual([]);
  });

  test.each(["", "0", "-1", "1e3", "999999999999"])("a pid node %j is no process", async (text) => {
    await world.store.write(PID, text);
    await world.begin(FIRST);
    expect(world.processes.alive).toHaveLength(1);
  });
});

describe("whatever happens", () => {
  const devices = [FIRST, SECOND, THIRD];
  const step = fc.record({
    what: fc.constantFrom("start", "start", "release", "dies", "daemon dies", "time", "abort"),
    device: fc.nat(2),
    ms: fc.constantFrom(0, 10, 500, 1_000, 5_000, 70_000),
    ready: fc.boolean(),
    stubborn: fc.constantFrom(0, 0, 0, 1, 2),
  });

  test(
    "there is never more than one, none without a device, and one for each in the end",
    async () => {
      await fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 14 }), async (steps) => {
          await world.stop();
          world = await new World().start();
          let most = 0;
          const write = world.processes.onStart;
          let stubborn = 0;
          world.processes.onStart = (qemu) => {
            most = Math.max(most, world.processes.alive.length);
            for (const signal of ["SIGHUP", "SIGTERM"].slice(0, stubborn)) qemu.ignores.add(signal);
            write(qemu);
          };
          /** As a lane: one call after the other. */
          const lanes = devices.map(() => Promise.resolve());
          const aborts = devices.map(() => new AbortController());
          const wanted = new Set<number>();
          const adoptAll = async () => {
            for (const { id } of [...world.journal.values()]) await world.device(id).adopt(PROGRAM);
          };
          for (const { what, device, ms, ready, stubborn: more } of steps) {
            world.ready = ready;
            stubborn = more;
            const id = devices[device]!;
            switch (what) {
              case "start": {
                if (wanted.has(device)) break;
                wanted.add(device);
                const { signal } = aborts[device] = new AbortController();
                lanes[device] = lanes[device]!.then(() => world.device(id).start(PROGRAM, signal))
                  .catch(async () => {
                    await world.device(id).release();
                    world.journal.delete(deviceName(id));
                    if (aborts[device]!.signal === signal) wanted.delete(device);
                  });
                break;
              }
              case "release":
                if (!wanted.delete(device)) break;
                aborts[device]!.abort(new Error("no longer wanted"));
                lanes[device] = lanes[device]!.then(() => world.device(id).release())
                  .then(() => void world.journal.delete(deviceName(id)));
                break;
              case "abort":
                aborts[device]!.abort(new Error("no longer wanted"));
                break;
              case "dies":
                world.processes.alive[0]?.exit();
                break;
              case "daemon dies":
                // Between operations: what one under way leaves is tested above.
                await world.passing(Promise.all(lanes));
                world.newDaemon();
                await adoptAll();
                break;
            }
            await world.clock.advance(ms);
          }
          world.ready = true;
          await world.passing(Promise.all(lanes));
          await world.clock.advance(200_000);
          await world.passing(Promise.all(lanes));
          expect(most).toBeLessThanOrEqual(1);
          expect(world.processes.alive).toHaveLength(world.journal.size > 0 ? 1 : 0);
          expect(new Set([...wanted].map((index) => deviceName(devices[index]!))))
            .toEqual(new Set(world.journal.keys()));
          for (const index of wanted) {
            const { state } = await world.device(devices[index]!).status();
            expect(["serving", "replaced"]).toContain(state);
          }
          for (const index of wanted) await world.end(devices[index]!);
          expect(world.processes.alive).toEqual([]);
          expect(await world.store.exists(`${HOME}/device-model/7`)).toBeFalse();
        }),
        { numRuns: 1_500 },
      );
    },
    120_000,
  );
});
