// xdevd-plugin: {"name":"ramdisk","version":"1.0.0","api":1,"kinds":["vbd"],"description":"disks in memory, as large as their target says, gone when they are detached","results":["physical-device","node"],"sample":{"backend":{"params":"4","mode":"w"}}}
/**
 * Disks in memory: the target is their size in MiB (`target=64`). A complete plugin, explained in
 * docs/plugins.md.
 */
import { open, rm } from "node:fs/promises";
import { definePlugin, type Device } from "xdevd/plugin";

const LOSETUP = "/usr/sbin/losetup";

export default definePlugin({
  name: "ramdisk",
  version: "1.0.0",
  api: 1,
  kinds: ["vbd"],
  results: ["physical-device", "node"],

  async add(device, signal) {
    const config = await device.config();
    const size = config.integer("params", { min: 1, max: 1024 });
    // The daemon's directories are below /run, which is in memory.
    const file = `${await device.directories.state()}/disk`;
    await device.recordUndo({ file });

    const disk = await open(file, "w", 0o600);
    await disk.truncate(size * 1024 * 1024);
    await disk.close();

    const readOnly = config.oneOf("mode", ["r", "w"], "w") === "r" ? ["--read-only"] : [];
    const loop = await device.system.run([LOSETUP, "--find", "--show", ...readOnly, file], signal);
    const number = await device.system.readText(`/sys/class/block/${loop.slice(5)}/dev`);
    const [major, minor] = (number ?? "").split(":").map((part) => Number(part).toString(16));
    await device.nodes.write({
      node: loop,
      "physical-device": `${major}:${minor}`,
      "hotplug-status": "connected",
    });
  },

  async remove(device, signal) {
    const { file } = device.undo;
    if (typeof file !== "string") return;
    for (const loop of await loopsOf(device, file, signal)) {
      await device.system.run([LOSETUP, "--detach", loop], signal);
    }
    await rm(file, { force: true });
  },

  async check(device, signal) {
    const { file } = device.undo;
    if (typeof file !== "string") return null;
    const loops = await loopsOf(device, file, signal);
    return loops.length > 0 ? null : "its loop device is gone";
  },
});

/** Which loop devices carry the file: asked anew each time, so that nothing has to be remembered. */
async function loopsOf(device: Device, file: string, signal: AbortSignal): Promise<string[]> {
  const lines = await device.system.run([LOSETUP, "--associated", file], signal);
  return lines.split("\n").flatMap((line) => /^(\/dev\/loop\d+):/.exec(line)?.[1] ?? []);
}
