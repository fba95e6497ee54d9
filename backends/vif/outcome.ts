/** What a script has made of an interface, where it does not say so itself. */
import type { Device } from "../../contract/v1/plugin.ts";
import { hasSpoken, speakFor } from "../shared/mute_script.ts";
import { interfaceName } from "./interface.ts";
import { bridgeNames } from "./bridge.ts";

/** What ports of Open vSwitch are ports of, as far as the kernel knows. */
const OPEN_VSWITCH = "ovs-system";

/** Says `connected` in place of a script that has succeeded without saying so. */
export async function completeOutcome(device: Device, script: string): Promise<void> {
  const [status, bridge = "", vifname = ""] = await Promise.all(
    ["hotplug-status", "bridge", "vifname"].map((name) => device.nodes.read(name)),
  );
  if (hasSpoken(status)) return;
  const name = vifname || interfaceName(device.id);
  await speakFor(device, script, {}, await lacking(device, name, bridge));
}

async function lacking(
  { system }: Device,
  name: string,
  bridge: string,
): Promise<string[]> {
  let link;
  try {
    link = await system.links.read(name);
  } catch (error) {
    return [`interface ${JSON.stringify(name)} cannot be looked at: ${(error as Error).message}`];
  }
  if (link === undefined) return [`interface ${name} does not exist`];
  const { master, up } = link;
  const isPort = bridge === "" || master === OPEN_VSWITCH ||
    master !== null && bridgeNames(bridge).includes(master);
  return [
    ...(up ? [] : [`${name} is down`]),
    ...(isPort ? [] : [`${name} is no port of ${bridge}`]),
  ];
}
