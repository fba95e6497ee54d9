/**
 * The faults of the stock daemon, each by its number in docs/faults.md, on a simulated machine. Those
 * that need real parts are tested elsewhere; the table there says where.
 */
import { afterEach, beforeEach, describe, expect, spyOn, test } from "bun:test";
import { backendPath, frontendPath } from "../../../core/xen/device_id.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, diskNumber, NIC, nic, World } from "../../support/simulated_domain.ts";

const BACKEND = backendPath(DISK);
const never = () => new Promise<void>(() => {});
const times = { ...DEFAULT_TIMES, initWait: 200, hold: 30 };

describe("faults of the stock daemon", () => {
  let world: World;
  const calls = () => world.recorder.calls;
  const called = (call: string) => until(() => calls().includes(call), () => world.log.join(""));
  const settled = () => new Promise((resolve) => setTimeout(resolve, 60));

  beforeEach(() => {
    world = new World();
  });

  afterEach(() => world.stop());

  /** A disk that its guest uses. */
  async function connectedDisk() {
    await world.toolstack().create(disk);
    const frontend = await world.guest(DISK);
    await frontend.connected(1_000);
    return frontend;
  }

  test("fault 1: a guest that cycles its state for ever makes nothing grow", async () => {
    await world.start();
    await connectedDisk();
    const kernel = await world.connect(1);
    for (let round = 0; round < 2_000; round++) {
      await kernel.write(`${BACKEND}/state`, String(2 + round % 5));
    }
    await kernel.write(`${BACKEND}/state`, "4");
    await settled();
    expect(world.daemon.devices.known).toEqual([DISK]);
    expect(calls()).toEqual(["add vbd/51712"]);
    const looks = world.log.filter((line) => line.includes("seen:")).length;
    expect(looks).toBeLessThan(20);
  });

  test("fault 2: a device that was there before the daemon is set up", async () => {
    await world.startMachine();
    await world.toolstack().create(disk);
    await world.reaches(`${BACKEND}/state`, "2");
    await world.startDaemon();
    await (await world.guest(DISK)).connected(1_000);
    expect(calls()).toEqual(["add vbd/51712"]);
  });

  test("fault 3: so is one that no kernel takes to InitWait", async () => {
    world.plugin = { waitsForBackend: false };
    await world.startMachine({ neverReady: true });
    await world.toolstack().create(disk);
    await world.startDaemon();
    await world.reaches(`${BACKEND}/hotplug-status`, "connected");
    expect(calls()).toEqual(["add vbd/51712"]);
  });

  test("fault 4: a restart adopts what is connected, and can undo it by the journal alone", async () => {
    world.recorder.within = async (call, device) => {
      if (call === "add") await device.recordUndo({ thing: "it" });
      else calls().push(`undoes ${device.undo["thing"]}`);
    };
    await world.start();
    await connectedDisk();
    world.killDaemon();
    await world.dom0.remove(frontendPath(DISK, "vbd"));
    await world.dom0.remove(BACKEND);
    await world.startDaemon();
    await called("undoes it");
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712", "undoes it"]);
    await until(() => world.journal.entries().length === 0, () => world.log.join(""));
  });

  test("fault 4: a detach that ended while no daemon ran is finished", async () => {
    await world.start();
    await connectedDisk();
    world.killDaemon();
    const removal = world.toolstack().remove(disk).catch(() => {});
    await world.reaches(`${BACKEND}/state`, "6");
    await world.startDaemon();
    await world.gone(DISK);
    await removal;
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("fault 4: what was half set up is undone, and set up once more", async () => {
    world.recorder.within = () => never();
    await world.start();
    await world.toolstack().create(disk);
    await called("add vbd/51712");
    world.killDaemon();
    world.recorder.within = async () => {};
    await world.startDaemon();
    await (await world.guest(DISK)).connected(1_000);
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712", "add vbd/51712"]);
  });

  test("fault 4: with its journal lost, it goes by what the store tells", async () => {
    await world.start();
    await connectedDisk();
    world.killDaemon();
    world.journal.drop("vbd/7/51712");
    await world.startDaemon();
    await until(() => world.journal.entries().length === 1, () => world.log.join(""));
    expect(world.journal.entries()[0]).toMatchObject({ stage: "connected" });
    await world.toolstack().remove(disk);
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
    expect(world.journal.entries()).toEqual([]);
  });

  test("fault 5: two devices of a guest are detached at once", async () => {
    await world.start();
    const specs = [nic, diskNumber(1), diskNumber(2)];
    for (const spec of specs) {
      await world.toolstack().create(spec);
      await (await world.guest(spec.id)).connected(1_000);
    }
    await Promise.all(specs.map((spec) => world.toolstack().remove(spec)));
    expect(calls().filter((call) => call.startsWith("remove")).toSorted())
      .toEqual(["remove vbd/1", "remove vbd/2", "remove vif/0"]);
  });

  test("fault 9: a removal that takes longer than the toolstack waits loses its directory", async () => {
    world.plugin = { removesWithoutDirectory: true };
    world.parts = { times: { ...times, budget: 150 } };
    const { promise, resolve } = Promise.withResolvers<void>();
    world.recorder.within = (call) => call === "remove" ? promise : Promise.resolve();
    await world.start();
    await connectedDisk();
    await world.toolstack().remove(disk);
    expect(world.daemon.devices.stateOf(DISK)?.phase).toBe("finishing");
    // The next one of that name waits for it.
    await world.toolstack().create(disk);
    await settled();
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
    resolve();
    await (await world.guest(DISK)).connected(1_000);
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712", "add vbd/51712"]);
  });

  test("fault 9: a script that needs the directory keeps it, with a warning", async () => {
    world.parts = { times: { ...times, budget: 100 } };
    const { promise, resolve } = Promise.withResolvers<void>();
    world.recorder.within = (call) => call === "remove" ? promise : Promise.resolve();
    await world.start();
    await connectedDisk();
    const removal = world.toolstack().remove(disk);
    await until(
      () => world.log.some((line) => line.includes("takes more than 0.1 s")),
      () => world.log.join(""),
    );
    expect(await world.dom0.exists(BACKEND)).toBeTrue();
    resolve();
    await removal;
  });

  test("fault 10: a kernel that is never ready is told of, with what it said itself", async () => {
    await world.startMachine({ neverReady: true });
    const driver = await world.connect(1);
    await driver.write("error/backend/vbd/7/51712/error", "2 no module");
    await world.startDaemon();
    await world.toolstack().create(disk);
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    const error = await world.dom0.readText(`${BACKEND}/hotplug-error`);
    expect(error).toMatch(/did not reach state 2 .*is its module loaded/);
    expect(error).toContain("2 no module");
  });

  test("fault 10: a kernel that gets ready late is served after all", async () => {
    await world.start({ neverReady: true });
    await world.toolstack().create(disk);
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    await world.reaches(`${BACKEND}/state`, "6");
    const kernel = await world.connect(1);
    await kernel.write(`${BACKEND}/state`, "2");
    await world.reaches(`${BACKEND}/hotplug-status`, "connected");
  });

  test("fault 12: the directory stays for a while after Closed", async () => {
    world.parts = { times: { ...times, hold: 200 } };
    await world.start();
    await connectedDisk();
    let closedAt = 0;
    const watch = await world.dom0.watch(`${BACKEND}/state`, async () => {
      const state = await world.dom0.readOptional(`${BACKEND}/state`);
      if (state === "6" && closedAt === 0) closedAt = performance.now();
    });
    await world.toolstack().remove(disk);
    expect(performance.now() - closedAt).toBeGreaterThan(190);
    await watch.close();
  });

  test("fault 13: empty guest directories, which we may not delete, are told of", async () => {
    await world.start();
    for (let guest = 100; guest < 200; guest++) {
      await world.dom0.makeDirectory(`/local/domain/1/backend/vbd/${guest}`);
    }
    await until(
      () => world.log.some((line) => /100 empty directories/.test(line)),
      () => world.log.join(""),
    );
  });

  test("fault 15: closing all devices, each guest is told and all is undone", async () => {
    await world.start();
    const frontends = [];
    for (const spec of [disk, nic]) {
      await world.toolstack().create(spec);
      frontends.push(await world.guest(spec.id));
    }
    for (const frontend of frontends) await frontend.connected(1_000);
    await world.daemon.drain(2_000);
    expect(calls().slice(2).toSorted()).toEqual(["remove vbd/51712", "remove vif/0"]);
    expect(await world.dom0.exists(BACKEND)).toBeFalse();
    expect(await world.dom0.readText(`${frontendPath(NIC, "vif")}/state`)).toBe("6");
    expect(world.journal.entries()).toEqual([]);
  });

  test("fault 15: a guest that does not close cannot keep it from ending", async () => {
    world.parts = { times: { ...times, destroy: 150 } };
    await world.start();
    await world.toolstack().create(disk);
    await (await world.guest(DISK, { neverCloses: true })).connected(1_000);
    await world.daemon.drain(2_000);
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
    expect(world.log.join("")).toContain("did not close it within 0.15 s");
  });

  test("fault 16: guest and toolstack are told when what stands behind a device is gone", async () => {
    let gone = false;
    world.plugin = { check: async () => gone ? "its block device 7:0 is gone" : null };
    world.parts = { times: { ...times, check: 20 } };
    await world.start();
    const frontend = await connectedDisk();
    await settled();
    expect(await world.state(DISK)).toBe("4");
    gone = true;
    await world.reaches(`${BACKEND}/hotplug-error`, "its block device 7:0 is gone");
    await world.reaches(`${frontendPath(DISK, "vbd")}/state`, "6");
    await settled();
    expect(world.log.filter((line) => line.includes("error   xvda (vbd/7/51712): its block")))
      .toHaveLength(1);
    await frontend.stop();
    await world.toolstack().remove(disk);
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("fault 22: a deleted directory is noticed", async () => {
    await world.start();
    await connectedDisk();
    await world.dom0.remove(BACKEND);
    await called("remove vbd/51712");
  });

  test("fault 22: one that was made anew at once is undone first, and set up anew", async () => {
    await world.start();
    await connectedDisk();
    const before = await world.dom0.readText(`${BACKEND}/xdevd-attach`);
    await world.dom0.remove(`/libxl/7`);
    const toolstack = world.toolstack();
    // Both in one go, as far as any watcher can see.
    await world.dom0.remove(BACKEND);
    await toolstack.create(disk);
    await until(() => calls().length === 3, () => world.log.join(""));
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712", "add vbd/51712"]);
    await world.reaches(`${BACKEND}/hotplug-status`, "connected");
    expect(await world.dom0.readText(`${BACKEND}/xdevd-attach`)).not.toBe(before);
  });

  test("fault 22: a guest's death is noticed by its frontend, with no other event", async () => {
    await world.start({ neverCloses: true });
    await connectedDisk();
    // The kernel says nothing; only the guest's directory goes.
    await world.kernel.stop();
    await world.dom0.remove(frontendPath(DISK, "vbd"));
    await world.gone(DISK);
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("fault 22: a domid that is used again, while no daemon runs", async () => {
    await world.start();
    await connectedDisk();
    world.killDaemon();
    await world.kernel.stop();
    world.server.destroy(7);
    await world.dom0.remove("/libxl/7");
    await world.dom0.remove(BACKEND);
    world.server.introduce(7);
    await world.toolstack().create(disk);
    await world.startDaemon();
    await until(() => calls().length === 2, () => world.log.join(""));
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
    await world.dom0.write(`${BACKEND}/state`, "2");
    await world.reaches(`${BACKEND}/hotplug-status`, "connected");
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712", "add vbd/51712"]);
  });

  test("fault 23: a setup that failed does not keep the guest's next device waiting", async () => {
    await world.start();
    world.recorder.fails = true;
    await world.toolstack().create(disk);
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    world.recorder.fails = false;
    const other = diskNumber(51728);
    await world.toolstack().create(other);
    await (await world.guest(other.id)).connected(1_000);
  });

  test("fault 24: a backend that deletes its own directory is undone once", async () => {
    await world.start();
    await connectedDisk();
    await world.dom0.transaction(async (t) => {
      await t.write(`${BACKEND}/online`, "0");
      await t.write(`${BACKEND}/state`, "6");
    });
    await world.dom0.remove(BACKEND);
    await called("remove vbd/51712");
    await settled();
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
    expect(world.daemon.devices.known).toEqual([]);
  });

  test("fault 26: a re-attach waits for the removal before it", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    world.recorder.within = (call) => call === "remove" ? promise : Promise.resolve();
    await world.start();
    await connectedDisk();
    await world.dom0.remove(BACKEND);
    await called("remove vbd/51712");
    await world.dom0.remove("/libxl/7");
    await world.toolstack().create(disk);
    await settled();
    expect(calls()).toEqual(["add vbd/51712", "remove vbd/51712"]);
    resolve();
    await until(() => calls().length === 3, () => world.log.join(""));
  });

  test("fault 31: what no event told of is found by looking at everything now and then", async () => {
    world.parts = { times: { ...times, resync: 50 } };
    await world.start();
    await connectedDisk();
    world.deaf = true;
    await world.dom0.remove(frontendPath(DISK, "vbd"));
    await called("remove vbd/51712");
  });

  test("fault 31: also of the last of many, which are not looked at all at once", async () => {
    const throttle = { burst: 1e6, perSecond: 1e6 };
    world = new World({ quotas: { nodes: 0 } });
    world.plugin = { waitsForBackend: false };
    world.parts = { times: { ...times, initWait: 60_000, resync: 50 }, throttle };
    await world.start();
    const many = 110;
    for (let number = 0; number < many; number++) {
      await world.toolstack().create(diskNumber(number));
    }
    await until(() => calls().length === many, () => world.log.join(""));
    world.deaf = true;
    const { id } = diskNumber(many - 1);
    await world.dom0.remove(frontendPath(id, "vbd"));
    await called(`remove vbd/${id.devid}`);
  });

  test("a guest more is no reason to look at the devices of others", async () => {
    await world.start();
    await connectedDisk();
    await settled();
    const [lists, reads] = [
      spyOn(world.daemonStore, "list"),
      spyOn(world.daemonStore, "readVisible"),
    ];
    await world.dom0.makeDirectory("/local/domain/1/backend/vbd/99");
    const listed = () => lists.mock.calls.map(([path]) => path);
    await until(
      () => listed().includes("/local/domain/1/backend/vbd/99"),
      () => world.log.join(""),
    );
    await settled();
    // It was seen there, and is known.
    expect(listed()).toContain(BACKEND.slice(0, BACKEND.lastIndexOf("/")));
    expect(reads.mock.calls).toEqual([]);
    // What is written at once with all above it has one event, for the top.
    await world.dom0.write("/local/domain/1/backend", "");
    await until(
      () => reads.mock.calls.some(([path]) => path === `${BACKEND}/state`),
      () => world.log.join(""),
    );
  });

  test("fault 37: one watch for all backends, and one for each guest, as far as they go", async () => {
    await world.start();
    for (const spec of [disk, nic, diskNumber(1), diskNumber(2)]) {
      await world.toolstack().create(spec);
      await (await world.guest(spec.id)).connected(1_000);
    }
    const { daemonStore: store } = world;
    await until(() => store.watchCount > 1, () => "the guest is not watched");
    expect(store.watchCount).toBe(2);
    await world.toolstack().remove(disk);
    await world.toolstack().remove(nic);
    expect(world.daemonStore.watchCount).toBe(2);
  });
});
