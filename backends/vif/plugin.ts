/** Network interfaces served by the kernel (netback), set up by the script the backend names. */
import { definePlugin, type Device } from "../../contract/v1/plugin.ts";
import { natively, tellWanted } from "../shared/wanted.ts";
import { goesNative, likelyNative } from "../shared/native_choice.ts";
import { checkInterface } from "./check.ts";
import { followBridge } from "./bridge.ts";
import { addNative, isNative, modeOfScript, removeNative, type VifMode } from "./native.ts";
import { addByScript, adoptScripts, removeByScript } from "./script.ts";
import { readSettings } from "./settings.ts";
import { manifest } from "./manifest.ts";

export default definePlugin({
  ...manifest,

  async add(device, signal) {
    // Asked for at once, as far as it is likely to be needed: one round trip.
    const settings = likelyNative(device) ? readSettings(device.nodes) : undefined;
    settings?.catch(() => {});
    const [script, type, vifname = "", bridge] = await Promise.all(
      ["script", "type", "vifname", "bridge"].map((name) => device.nodes.read(name)),
    );
    if (!script) throw new Error("the backend names no script (node `script` is missing or empty)");
    const mode = await wayOf(device, script, type);
    tellWanted(
      device,
      { bridge },
      mode === null ? `script ${script}` : natively(script),
    );
    if (mode !== null) {
      const packetFilter = device.settings["packet-filter"] === true;
      try {
        return await addNative(device, device.system.links, mode, signal, {
          packetFilter,
          ...(settings === undefined ? {} : { settings }),
        });
      } catch (error) {
        // Whatever it was: no script is needed to undo it.
        if (!isNative(device)) await device.recordUndo({ native: true });
        throw error;
      }
    }
    await addByScript(device, script, vifname, signal);
  },

  async adopt(device) {
    if (!wentNative(device)) await adoptScripts(device);
  },

  async check(device, signal) {
    await followBridge(device, device.system.links);
    return await checkInterface(device, signal);
  },

  async remove(device, signal) {
    if (wentNative(device)) return await removeNative(device, device.system.links, signal);
    await removeByScript(device, signal);
  },
});

function wentNative(device: Device): boolean {
  return device.undo["native"] === true || isNative(device);
}

/** How it is set up without a script; null: by the script. */
async function wayOf(
  device: Device,
  script: string,
  type: string | undefined,
): Promise<VifMode | null> {
  const mode = modeOfScript(script);
  if (mode === null || !await goesNative(device, script, () => true)) return null;
  // The emulated twin is the script's.
  return type === "vif_ioemu" ? null : mode;
}
