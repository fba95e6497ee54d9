/** Undoing with a script of version 1: what it is given, and what it must not get hold of. */
import type { Device, DeviceSystem } from "../../contract/v1/plugin.ts";
import { isShortage } from "../shared/shortage.ts";
import { isXenBlock } from "./request.ts";
import type { VbdUndo } from "./undo.ts";

/** Nodes by which scripts find the block device that they set up. */
const DEVICE_NODES = ["node", "physical-device", "physical-device-path"];

/**
 * Runs a script's `remove`, unless it is known that its `add` was not begun.
 * @throws Error with one line of reason
 */
export async function removeByScript(device: Device, signal: AbortSignal): Promise<void> {
  const named = await device.nodes.read("script");
  const params = await device.nodes.read("params");
  const undo: VbdUndo = {
    ...(named === undefined ? {} : { script: named }),
    ...(params === undefined ? {} : { params }),
    ...device.undo,
  };
  const { script } = undo;
  if (!script) {
    return device.log.warning(
      "nothing tells which script has set it up: none is run to undo it [undo-unknown]",
    );
  }
  if (named !== undefined && script !== named) {
    device.log.warning(`script changed since the attach; ${script} undoes it`);
  }
  await device.system.exclusively(`vbd ${undo.params ?? ""}`, signal, async () => {
    const copy = named === undefined ? copyOf(device, undo) : null;
    const isXens = isXenBlock(script);
    try {
      await run(device, undo, script, copy, signal);
    } catch (error) {
      signal.throwIfAborted();
      await detach(device, undo, signal);
      // Xen's script sets up nothing but a loop device, and fails where there is none.
      if (!isXens) throw error;
      return device.log.warning(`nothing is left of it, but ${(error as Error).message}`);
    }
    // Xen's succeeds and leaves the loop device when the file is gone. What another one that succeeds
    // leaves is left on purpose.
    if (isXens) await detach(device, undo, signal);
  });
}

/** What a script can be given when the directory is gone. */
function copyOf(device: Device, { script = "", params = "", node }: VbdUndo) {
  return { script, params, ...(node === undefined ? {} : { node }), ...device.copy };
}

/** @param copy what it is run on, since there is no directory */
async function run(
  device: Device,
  undo: VbdUndo,
  script: string,
  copy: Record<string, string> | null,
  signal: AbortSignal,
): Promise<void> {
  const withheld = await withhold(device, undo, copy);
  try {
    await device.scripts.run("block", script, "remove", signal, copy ?? undefined);
  } catch (error) {
    signal.throwIfAborted();
    if (!withheld || isShortage(error)) throw error;
    // It has missed what was not its to undo.
    device.log.warning((error as Error).message);
  }
}

/**
 * Takes away the nodes that lead to a block device which is not this device's: it was another's when
 * the script named it, or was detached, by an earlier run perhaps, and may be another's by now.
 * @returns whether there were any
 */
async function withhold(
  device: Device,
  undo: VbdUndo,
  copy: Record<string, string> | null,
): Promise<boolean> {
  const node = copy === null ? await device.nodes.read("node") : copy["node"];
  const loop = /^\/dev\/(loop\d+)$/.exec(node ?? "")?.[1];
  if (undo.foreign === true) {
    device.log.info("what its script has named is another device's: its script is not told of it");
  } else if (loop === undefined || await isOurs(device, undo, loop)) return false;
  else {
    device.log.info(
      `${node} is not what it was set up with any more: its script is not told of it`,
    );
    // Also when this is tried again, without the nodes.
    await device.recordUndo({ foreign: true });
  }
  for (const name of DEVICE_NODES) {
    if (copy === null) await device.nodes.remove(name);
    else delete copy[name];
  }
  return true;
}

const LOSETUP = ["/usr/sbin/losetup", "/sbin/losetup", "/usr/bin/losetup", "/bin/losetup"];

/** Names of the loop devices that carry a file: `loop0`. */
export async function loopsOf(system: DeviceSystem, params: string): Promise<string[]> {
  if (!params.startsWith("/")) return [];
  const loops = await attachedLoops(system);
  if (loops.length === 0) return [];
  const real = await system.realPath(params);
  const carriers: string[] = [];
  for (const loop of loops) {
    const name = await backingOf(system, `/dev/${loop}`);
    if (name !== undefined && (name === params || name === real)) carriers.push(loop);
  }
  return carriers;
}

/**
 * Names of the loop devices that may carry something. The kernel's list of what has a size spares
 * looking at the others, of which there may be hundreds.
 */
async function attachedLoops(system: DeviceSystem): Promise<string[]> {
  const partitions = await system.readText("/proc/partitions");
  if (partitions !== undefined) return partitions.match(/\bloop\d+$/gm) ?? [];
  return (await system.list("/sys/block")).filter((name) => /^loop\d+$/.test(name));
}

/** Number of a loop device's present use (Linux 5.15 and later); undefined without one. */
async function sequenceOf(system: DeviceSystem, node: string): Promise<string | undefined> {
  const loop = /^\/dev\/(loop\d+)$/.exec(node)?.[1];
  return loop === undefined ? undefined : await system.readText(`/sys/block/${loop}/diskseq`);
}

/** Names one use of a loop device: numbers are taken again at once. */
export async function useOf(system: DeviceSystem, node: string): Promise<string> {
  return `${node}#${await sequenceOf(system, node) ?? ""}`;
}

/** What a loop device carries, as the kernel names it; undefined for any other device. */
export async function backingOf(system: DeviceSystem, node: string): Promise<string | undefined> {
  const loop = /^\/dev\/(loop\d+)$/.exec(node)?.[1];
  return loop === undefined
    ? undefined
    // The kernel appends this to the name of a file that has been unlinked.
    : (await system.readText(`/sys/block/${loop}/loop/backing_file`))?.replace(/ \(deleted\)$/, "");
}

/**
 * Whether a loop device is (still) the one of an attach: by the record of its use, else by what it
 * carries.
 */
async function isOurs(device: Device, undo: VbdUndo, loop: string): Promise<boolean> {
  const { params = "", node, use, backing } = undo;
  const path = `/dev/${loop}`;
  const present = await backingOf(device.system, path);
  if (present === undefined || node !== undefined && node !== path) return false;
  const presentUse = await useOf(device.system, path);
  if (use !== undefined && presentUse !== use) return false;
  if (use !== undefined && !use.endsWith("#")) return true;
  if (backing !== undefined && backing !== present) return false;
  if (backing === undefined && params.startsWith("/")) {
    if (!(await loopsOf(device.system, params)).includes(loop)) return false;
  }
  // Before Linux 5.15 nothing tells its uses apart but who recorded it.
  return !device.heldElsewhere("use", presentUse);
}

/** Detaches the loop device of an attach, as far as there (still) is one and it is surely ours. */
async function detach(device: Device, undo: VbdUndo, signal: AbortSignal): Promise<void> {
  const { params = "", node, use } = undo;
  const before = new Set((undo.loops ?? "").split(" "));
  const recorded = /^\/dev\/(loop\d+)$/.exec(node ?? "")?.[1];
  // Where the record tells, the target need not be looked for: it may not answer.
  const carriers = recorded === undefined
    ? await loopsOf(device.system, params)
    : await isOurs(device, undo, recorded)
    ? [recorded]
    : [];
  for (const loop of carriers) {
    const path = `/dev/${loop}`;
    if (node !== undefined && path !== node) continue;
    const present = await useOf(device.system, path);
    if (use === undefined ? device.heldElsewhere("use", present) : use !== present) continue;
    // Killed before it could say which it took: one that was not there when it began.
    if (node === undefined && (undo.loops === undefined || before.has(loop))) continue;
    await detachLoop(device, path, signal);
  }
}

async function detachLoop(device: Device, path: string, signal: AbortSignal): Promise<void> {
  for (const losetup of LOSETUP) {
    if (!await device.system.exists(losetup)) continue;
    await device.system.run([losetup, "-d", path], signal);
    device.log.warning(`the script left ${path}: detached`);
    return;
  }
  device.log.warning(`the script left ${path}, and there is no losetup to detach it [setup-left]`);
}
