/** Interfaces that a script sets up. */
import type { Device } from "../../contract/v1/plugin.ts";
import type { NetworkLinks } from "../../contract/v1/network.ts";
import { hasSpoken, speakFor } from "../shared/mute_script.ts";
import { isShortage } from "../shared/shortage.ts";
import { bridgeNames, tellMtu } from "./bridge.ts";
import { interfaceName, waitForInterface } from "./interface.ts";
import { recordLeft } from "./check.ts";
import { modeOfScript } from "./native.ts";

/** Where a script is that the node names without a directory. */
const STOCK = "/etc/xen/scripts";

/** Sets an interface up. @param vifname what it is to be called, if not as the kernel calls it */
export async function addByScript(
  device: Device,
  script: string,
  vifname: string,
  signal: AbortSignal,
): Promise<void> {
  await device.scripts.check("network", script);
  const isNamed = vifname !== "";
  await device.recordUndo({ script, ...(isNamed ? { vifname } : {}) });
  const isThere = await awaitInterface(device, signal);
  // Without its number, the name that the script gives it would never be taken back.
  const link = isThere && isNamed
    ? await device.system.links.read(interfaceName(device.id))
    : undefined;
  if (link !== undefined) await device.recordUndo({ index: link.index });
  if (isNamed && await tellsMtuByName(device, script)) {
    await addOnCopy(device, script, vifname, signal);
  } else {
    await device.scripts.run("network", script, "add", signal);
    await completeOutcome(device, script);
  }
  await recordLeft(device, vifname || interfaceName(device.id));
}

/** Learns of one that was set up under an earlier daemon. */
export async function adoptScripts(device: Device): Promise<void> {
  const [script, vifname] = await Promise.all(
    ["script", "vifname"].map((name) => device.nodes.read(name)),
  );
  if (!script) return;
  const name = vifname || interfaceName(device.id);
  if (device.undo["left"] === undefined) await recordLeft(device, name);
  if (device.undo["script"] !== undefined) return;
  const index = vifname ? (await device.system.links.read(name))?.index : undefined;
  await device.recordUndo({
    script,
    ...(vifname && index !== undefined ? { vifname, index } : {}),
  });
}

/** Undoes it, as far as it was begun. */
export async function removeByScript(device: Device, signal: AbortSignal): Promise<void> {
  const named = await device.nodes.read("script");
  const script = device.undo["script"]?.toString() ?? named;
  if (!script) return;
  try {
    await runRemove(device, script, named === undefined, signal);
  } finally {
    await giveNameBack(device);
  }
}

async function runRemove(
  device: Device,
  script: string,
  isGone: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (!isGone) return await runOnNodes(device, script, signal);
  // The interface has gone with its directory, and with it most of what the script did. What else
  // there is (packet filter rules, say) it can undo with a copy of the nodes.
  if (Object.keys(device.copy).length === 0) {
    return device.log.warning(
      "its directory is gone, with no copy of it: no script undoes it [undo-unknown]",
    );
  }
  try {
    await device.scripts.run("network", script, "remove", signal, device.copy);
  } catch (error) {
    signal.throwIfAborted();
    if (isShortage(error)) throw error;
    device.log.info(`its script had nothing to undo: ${(error as Error).message}`);
  }
}

/**
 * Xen's `vif-bridge` wants the bridge to be there for undoing, too. Where the interface is none's port,
 * or gone, it has left nothing when it fails.
 */
async function runOnNodes(device: Device, script: string, signal: AbortSignal): Promise<void> {
  try {
    await device.scripts.run("network", script, "remove", signal);
  } catch (error) {
    signal.throwIfAborted();
    // What others set up, and where, nobody knows.
    if (modeOfScript(script) !== "bridge" || isShortage(error)) throw error;
    const names = [device.undo["vifname"]?.toString(), interfaceName(device.id)];
    for (const name of names) {
      if (name !== undefined && await isPort(device, name)) throw error;
    }
    device.log.warning(
      `its interface belongs to no bridge, so that nothing is left; but ${
        (error as Error).message
      }`,
    );
  }
}

async function isPort({ system: { links } }: Device, name: string): Promise<boolean> {
  const link = await links.read(name);
  return link !== undefined && link.master !== null;
}

/** Scripts rename the interface, and never back: the next attach would find none to set up. */
async function giveNameBack({ id, undo, system: { links }, log }: Device): Promise<void> {
  const { index, vifname } = undo;
  if (typeof index !== "number" || typeof vifname !== "string") return;
  try {
    const link = await links.at(index);
    if (link === undefined || link.name !== vifname) return;
    if (link.up) await links.setDown(link.name);
    await links.rename(link.name, interfaceName(id));
  } catch (error) {
    const { code, message } = error as Error & { code?: string };
    // The kernel was faster.
    if (code !== "ENODEV") log.warning(`it is still called ${vifname}: ${message} [setup-left]`);
  }
}

/** Scripts fail at once when there is no interface. @returns whether there is one */
async function awaitInterface(device: Device, signal: AbortSignal): Promise<boolean> {
  const name = interfaceName(device.id);
  const exists = () => device.system.exists(`/sys/class/net/${name}`);
  if (await waitForInterface(device, exists, signal)) return true;
  device.log.warning(`interface ${name} does not exist; trying all the same [interface-missing]`);
  return false;
}

/**
 * Xen's `vif-bridge`, and scripts made from it, tell the guest its MTU (`set_mtu`) in a directory
 * whose path they make from the interface's name. When that is another one than the kernel's, they
 * write where only domain 0 may, and fail.
 */
async function tellsMtuByName({ system }: Device, script: string): Promise<boolean> {
  const path = script.includes("/") ? script : `${STOCK}/${script}`;
  return (await system.readText(path))?.includes("set_mtu") === true;
}

/** Runs such a script where node `mtu` says that there is nothing to be told, and tells it then. */
async function addOnCopy(
  device: Device,
  script: string,
  vifname: string,
  signal: AbortSignal,
): Promise<void> {
  const { nodes } = await device.config();
  const silenced = { ...nodes, mtu: "0" };
  const written = await device.scripts.addOnCopy("network", script, silenced, signal);
  const { "hotplug-status": status, ...more } = written;
  await setMtu(device, vifname, nodes["mtu"] ?? "");
  const isMute = !hasSpoken(status);
  if (!isMute) await device.nodes.write({ ...more, "hotplug-status": status! });
  else if (Object.keys(more).length > 0) await device.nodes.write(more);
  if (isMute) await completeOutcome(device, script);
}

/** The MTU that the toolstack asked for, or else that of its bridge; as the script would have it. */
async function setMtu(device: Device, name: string, asked: string): Promise<void> {
  const { links } = device.system;
  try {
    const mtu = /^[1-9]\d{0,5}$/.test(asked) ? Number(asked) : await bridgeMtu(links, name);
    if (mtu === undefined) return;
    await links.setMtu(name, mtu);
    await tellMtu(device, mtu);
  } catch (error) {
    // Nor does the script mind.
    device.log.warning((error as Error).message);
  }
}

async function bridgeMtu(links: NetworkLinks, name: string): Promise<number | undefined> {
  const master = (await links.read(name))?.master;
  return master ? (await links.read(master))?.mtu : undefined;
}

/** What ports of Open vSwitch are ports of, as far as the kernel knows. */
const OPEN_VSWITCH = "ovs-system";

/** Says `connected` in place of a script that has succeeded without saying so. */
async function completeOutcome(device: Device, script: string): Promise<void> {
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
