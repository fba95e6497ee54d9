/** Block devices served by the kernel (blkback), set up by the hotplug script the backend names. */
import { definePlugin, type Device } from "../../contract/v1/plugin.ts";
import { natively, tellWanted } from "../shared/wanted.ts";
import { goesNative, likelyNative } from "../shared/native_choice.ts";
import { manifest } from "./manifest.ts";
import { addNative, askNative, isNative, removeNative } from "./native.ts";
import { checkDisk, recordDisk } from "./check.ts";
import { claimIn } from "./claim.ts";
import { asRefusal, rivalsOf } from "./sharing.ts";
import { isTogether, togetherTooLong } from "./together.ts";
import {
  addVersion2,
  adoptClaim,
  adoptVersion2,
  claimMade,
  claimTarget,
  completeOutcome,
  removeVersion2,
} from "./scripted.ts";
import { backingOf, loopsOf, removeByScript, useOf } from "./script_removal.ts";
import { isXenBlock, targetIfMissing } from "./request.ts";

export default definePlugin({
  ...manifest,

  async add(device, signal) {
    // Asked for at once, as far as it is likely to be needed: one round trip.
    const asked = likelyNative(device) ? askNative(device) : undefined;
    const [script, params = "", mode = "w"] = await Promise.all(
      ["script", "params", "mode"].map((name) => device.nodes.read(name)),
    );
    if (!script) throw new Error("the backend names no script (node `script` is missing or empty)");
    const isKnown = (name: string) => device.id.kind === "vbd" && name === "block";
    if (await goesNative(device, script, isKnown)) {
      tellWanted(device, { target: params, mode }, natively(script));
      return await addNative(device, device.system.blocks, signal, asked);
    }
    await device.scripts.check("block", script);
    const version = await device.scripts.version(script, signal);
    tellWanted(device, { target: params, mode }, `script ${script}, version ${version}`);
    if (version === 2) {
      await addVersion2(device, script, params, mode, signal);
      return await recordDisk(device, await device.nodes.read("physical-device"));
    }
    const isClaimed = await claimTarget(device, script, params, mode, signal);
    // Of devices with the same target, only one is set up at a time: what loop device is whose could
    // not be told otherwise.
    await device.system.exclusively(`vbd ${params}`, signal, async () => {
      // Not before it is its turn: with this record, what is new is taken for this device's own.
      const loops = await loopsOf(device.system, params);
      await device.recordUndo({ loops: loops.join(" ") });
      await device.scripts.run("block", script, "add", signal).catch(async (error) => {
        const why = await targetIfMissing(device, script, params);
        if (why === "") throw await asRefusal(device, error);
        throw new Error(`${why} (${(error as Error).message}) [target-missing]`, { cause: error });
      });
      await recordResult(device);
    });
    // What Xen's script makes of a target is known beforehand.
    if (!isClaimed || !isXenBlock(script)) await claimMade(device, params, mode, signal);
    await recordDisk(device, await completeOutcome(device, script, params));
  },

  async adopt(device) {
    if (isNative(device)) return await adoptClaim(device);
    const [script, params, number] = await Promise.all(
      ["script", "params", "physical-device"].map((name) => device.nodes.read(name)),
    );
    if (device.undo["disk"] === undefined) await recordDisk(device, number);
    if (await device.scripts.usesVersion2()) {
      if (script !== undefined && device.undo["use"] === undefined) {
        await adoptVersion2(device, script);
      }
    } else {
      if (script !== undefined && device.undo["script"] === undefined) {
        await device.recordUndo({ script, params: params ?? "" });
      }
      if (device.undo["node"] === undefined) await recordResult(device);
    }
    await adoptClaim(device);
  },

  async check(device) {
    if (isTogether(device)) {
      const refused = await togetherTooLong(device, rivalsOf(device, claimIn(device.undo)));
      if (refused !== null) return { refused };
    }
    return await checkDisk(device);
  },

  async remove(device, signal) {
    if (isNative(device)) return await removeNative(device, device.system.blocks, signal);
    if (await device.scripts.usesVersion2()) return await removeVersion2(device, signal);
    await removeByScript(device, signal);
  },
});

/** What the script has set up, as far as the store tells. */
async function recordResult(device: Device): Promise<void> {
  const node = await device.nodes.read("node");
  if (node === undefined) return;
  const [use, backing] = await Promise.all([
    useOf(device.system, node),
    backingOf(device.system, node),
  ]);
  await device.recordUndo({ node, use, ...(backing === undefined ? {} : { backing }) });
}
