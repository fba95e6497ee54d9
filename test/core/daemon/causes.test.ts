/** A failure of what follows hides no cause. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DirectoryKeeper } from "../../../core/daemon/capabilities/directories.ts";
import { systemFiles } from "../../../platform/io/files.ts";
import { backendPath } from "../../../core/xen/device_id.ts";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, World } from "../../support/simulated_domain.ts";

let world: World;
let base: string;

beforeEach(async () => {
  base = await fs.mkdtemp(join(tmpdir(), "xdevd-causes-"));
  world = new World();
});

afterEach(async () => {
  await world.stop();
  await fs.rm(base, { recursive: true, force: true });
});

const errorOf = () => world.dom0.readOptional(`${backendPath(DISK)}/hotplug-error`);
const fails = async () => {
  await world.start();
  await world.toolstack().create(disk);
  await until(async () => !!await errorOf(), () => world.log.join(""));
  return await errorOf();
};

test("an add fails, and its temporary directory cannot be removed: both are said", async () => {
  world.parts = {
    directories: new DirectoryKeeper({
      ...systemFiles,
      remove: () => Promise.reject(new Error("the disk is dead")),
    }, base),
  };
  world.recorder.fails = true;
  world.recorder.within = async (call, device) => {
    if (call === "add") await device.directories.temporary();
  };
  expect(await fails()).toMatch(/^no such thing; and then: .*the disk is dead/);
});

test("a temporary directory that could not be made is said once", async () => {
  world.parts = {
    directories: new DirectoryKeeper({
      ...systemFiles,
      makeDirectory: () => Promise.reject(new Error("no space left")),
    }, base),
  };
  world.recorder.within = async (call, device) => {
    if (call === "add") await device.directories.temporary();
  };
  expect(await fails()).toMatch(/^no space left$/);
});
