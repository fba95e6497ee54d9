/** Block devices served by the kernel (blkback), set up by the hotplug script the backend names. */
import { definePlugin, type Device } from "../../plugins/contract.ts";

/** What undoing needs when the backend directory is gone. */
interface VbdUndo {
  /** Path of the script. */
  readonly script?: string;
  /** The target as the toolstack wrote it. */
  readonly params?: string;
  /** The loop device that the script set up, if any. */
  readonly node?: string;
}

export default definePlugin({
  name: "vbd",
  version: "0.1.0",
  api: 1,
  kinds: ["vbd", "vbd3"],

  async add(device, signal) {
    const script = await device.nodes.read("script");
    if (!script) throw new Error("the backend names no script (node `script` is missing or empty)");
    await remember(device, script);
    await device.scripts.run("block", script, "add", signal);
    await remember(device, script);
    if (device.id.kind === "vbd" && !await hasResult(device)) {
      throw new Error(`script ${script} succeeded but wrote no physical-device`);
    }
  },

  async adopt(device) {
    const script = await device.nodes.read("script");
    if (script) await remember(device, script);
  },

  async remove(device, signal) {
    const script = await device.nodes.read("script");
    // Set up by an earlier daemon, maybe: what the store still tells is worth knowing.
    if (script) await remember(device, String(device.undo["script"] ?? script));
    const undo: VbdUndo = device.undo;
    if (script) {
      if (undo.script !== undefined && undo.script !== script) {
        device.log.warning(`script changed since the attach; ${undo.script} undoes it`);
      }
      await device.scripts.run("block", undo.script ?? script, "remove", signal);
    }
    // Debian's script leaves the loop device when its directory or its file is gone.
    await detachLoop(device, undo, signal);
  },
});

async function remember(device: Device, script: string): Promise<void> {
  const [params, node] = await Promise.all([
    device.nodes.read("params"),
    device.nodes.read("node"),
  ]);
  await device.recordUndo({
    script,
    ...(params === undefined ? {} : { params }),
    ...(node === undefined ? {} : { node }),
  });
}

/** Linux's blkback opens `physical-device`; FreeBSD's takes `physical-device-path`. */
async function hasResult(device: Device): Promise<boolean> {
  return !!await device.nodes.read("physical-device") ||
    !!await device.nodes.read("physical-device-path");
}

/** Detaches the loop device of this attach, if it still carries this attach's file. */
async function detachLoop(device: Device, undo: VbdUndo, signal: AbortSignal): Promise<void> {
  const match = /^\/dev\/(loop\d+)$/.exec(undo.node ?? "");
  if (match === null || undo.params === undefined) return;
  const backing = `/sys/block/${match[1]}/loop/backing_file`;
  const carries = async () => {
    const file = await device.system.readText(backing);
    if (file === undefined) return false;
    // The kernel appends this to the name of a file that has been unlinked.
    const name = file.replace(/ \(deleted\)$/, "");
    return name === undo.params || name === await device.system.realPath(undo.params ?? "");
  };
  if (!await carries()) return;
  for (const losetup of ["/usr/sbin/losetup", "/sbin/losetup", "/bin/losetup"]) {
    if (!await device.system.exists(losetup)) continue;
    await device.system.run([losetup, "-d", undo.node ?? ""], signal);
    device.log.warning(`the script left ${undo.node}: detached`);
    return;
  }
  device.log.warning(`the script left ${undo.node}, and there is no losetup to detach it`);
}
