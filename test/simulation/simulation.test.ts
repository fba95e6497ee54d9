/** The simulated actors, each well-behaved and not, with the real daemon's code between them. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { backendPath, frontendPath } from "../../core/xen/device_id.ts";
import { until } from "../support/daemon_process.ts";
import { DISK, disk, nic, World } from "../support/simulated_domain.ts";

describe("a simulated machine", () => {
  let world: World;

  beforeEach(() => {
    world = new World();
  });

  afterEach(() => world.stop());

  test("a disk and a network interface, attached and detached", async () => {
    await world.start();
    const toolstack = world.toolstack();
    for (const spec of [disk, nic]) {
      await toolstack.create(spec);
      const frontend = await world.guest(spec.id);
      await toolstack.waitForBackend(spec.id);
      await frontend.connected(1_000);
      expect(await world.state(spec.id)).toBe("4");
    }
    expect(world.kernel.opened(DISK)).toBe("7:0");
    for (const spec of [disk, nic]) await toolstack.remove(spec);
    expect(await world.dom0.exists(frontendPath(DISK, "vbd"))).toBeFalse();
    expect(await world.dom0.listOptional("/libxl/7/device")).toEqual([]);
    expect(world.recorder.calls)
      .toEqual(["add vbd/51712", "add vif/0", "remove vbd/51712", "remove vif/0"]);
    expect(world.daemon.devices.known).toEqual([]);
  });

  test("the same device number twice is refused by the toolstack", async () => {
    await world.start();
    await world.toolstack().create(disk);
    await expect(world.toolstack().create(disk)).rejects.toThrow(/exists already/);
  });

  test("attached again after a detach, many times", async () => {
    await world.start();
    const toolstack = world.toolstack();
    for (let round = 0; round < 10; round++) {
      await toolstack.create(disk);
      const frontend = await world.guest(DISK);
      await frontend.connected(1_000);
      await toolstack.remove(disk);
      await frontend.stop();
    }
    expect(world.recorder.calls.filter((call) => call.startsWith("add"))).toHaveLength(10);
    expect(world.recorder.calls.filter((call) => call.startsWith("remove"))).toHaveLength(10);
  });

  test("a guest that closes and comes back keeps its device, and no script runs again", async () => {
    await world.start();
    await world.toolstack().create(disk);
    const frontend = await world.guest(DISK);
    await frontend.connected(1_000);
    await frontend.close();
    await world.reaches(`${backendPath(DISK)}/state`, "6");
    await frontend.reconnect();
    await frontend.connected(1_000);
    expect(world.recorder.calls).toEqual(["add vbd/51712"]);
  });

  test("a setup that fails: the guest and the toolstack see it", async () => {
    await world.start();
    world.recorder.fails = true;
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await world.guest(DISK);
    await world.reaches(`${backendPath(DISK)}/hotplug-status`, "error");
    expect(await world.dom0.readText(`${backendPath(DISK)}/hotplug-error`)).toBe("no such thing");
    await world.reaches(`${frontendPath(DISK, "vbd")}/state`, "6");
    await toolstack.remove(disk);
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("a kernel that is never ready", async () => {
    await world.start({ neverReady: true });
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await expect(toolstack.waitForBackend(DISK)).resolves.toBeUndefined();
    await world.reaches(`${backendPath(DISK)}/hotplug-status`, "error");
    expect(await world.dom0.readText(`${backendPath(DISK)}/hotplug-error`))
      .toMatch(/did not reach state 2 \(InitWait\) within 0.2 s; it is in 1 \(Initialising\)/);
    expect(world.recorder.calls).toEqual([]);
    await toolstack.remove(disk);
  });

  test("a kernel that passes InitWait by", async () => {
    await world.start({ skipInitWait: true });
    await world.toolstack().create(disk);
    await (await world.guest(DISK)).connected(1_000);
    expect(world.recorder.calls).toEqual(["add vbd/51712"]);
  });

  test("a kernel that writes garbage", async () => {
    await world.start({ garbageState: "\x00\xffgarbage" });
    await world.toolstack().create(disk);
    await until(() => world.log.some((line) => line.includes("node state is")), () => "no line");
    expect(world.recorder.calls).toEqual([]);
  });

  test("a guest that does not let go: a graceful detach fails, a forced one does not", async () => {
    await world.start();
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await (await world.guest(DISK, { neverCloses: true })).connected(1_000);
    await expect(toolstack.remove(disk)).rejects.toThrow(/within 400 ms/);
    expect(world.recorder.calls).toEqual(["add vbd/51712"]);
    await toolstack.remove(disk, "force");
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
    expect(await world.dom0.exists(backendPath(DISK))).toBeFalse();
  });

  test("a kernel that never closes: a forced detach undoes the setup all the same", async () => {
    await world.start({ neverCloses: true });
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await (await world.guest(DISK)).connected(1_000);
    await toolstack.remove(disk, "force");
    await until(() => world.recorder.calls.length === 2, () => world.log.join(""));
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("a guest that dies", async () => {
    await world.start();
    await world.toolstack().create(disk);
    await (await world.guest(DISK)).connected(1_000);
    world.server.destroy(7);
    await until(async () => !await world.dom0.exists(backendPath(DISK)), () => world.log.join(""));
    expect(world.recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
  });

  test("a guest that writes odd and huge values", async () => {
    await world.start();
    await world.toolstack().create(disk);
    const frontend = await world.guest(DISK, {
      extraNodes: { "ring-ref": "\x1b[31m".repeat(100), protocol: "", "sub/node": "x" },
    });
    await frontend.connected(1_000);
    await world.toolstack().remove(disk);
  });

  test("a driver domain sees no more than it should", async () => {
    await world.start();
    const driver = await world.connect(1);
    for (const path of ["/local/domain/7/vm", "/local/domain/7/device", "/libxl/7"]) {
      await expect(driver.read(path)).rejects.toThrow(/EACCES/);
    }
    await expect(driver.write("backend/vbd/8/1/state", "1")).rejects.toThrow(/EACCES/);
    await driver.write("data/x", "1");
    await driver.write("libxl/x", "1");
  });
});
