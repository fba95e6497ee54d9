/** Undoing with a script of version 1: what it is given, and what it must not get hold of. */
import type { Device } from "../../contract/v1/plugin.ts";
import { detach, isOurs } from "./loop.ts";
import { isXenBlock } from "./script.ts";
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
    // Xen's script succeeds and leaves the loop device when the file is gone. What another one that
    // succeeds leaves is left on purpose.
    let isLeft = isXenBlock(script);
    try {
      await run(device, undo, script, named === undefined ? copyOf(device, undo) : null, signal);
    } catch (error) {
      isLeft = true;
      throw error;
    } finally {
      if (isLeft) await detach(device, undo, signal);
    }
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
    if (!withheld) throw error;
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
  }
  for (const name of DEVICE_NODES) {
    if (copy === null) await device.nodes.remove(name);
    else delete copy[name];
  }
  return true;
}
