/**
 * Setting up interfaces in this process: what Xen's scripts vif-bridge, vif-route, vif-nat and
 * vif-openvswitch do, without a shell.
 */
import type { Device } from "../../contract/v1/plugin.ts";
import type { NetworkLink, NetworkLinks } from "../../contract/v1/network.ts";
import { prepareBridge, tellMtu } from "./bridge.ts";
import { INTERFACE_WAIT_MS, interfaceName, waitForInterface } from "./interface.ts";
import { prepareNat, prepareRoute } from "./routed.ts";
import { prepareOpenvswitch, removePort } from "./openvswitch.ts";
import { addRules, removeRules, rulesFor } from "./packet_filter.ts";
import { decodeUndo, encodeUndo, NOTHING_DONE, restoreLink, type VifMode } from "./undo.ts";
import { type Mode, type NativeOptions, readSettings, refusal, type Task } from "./settings.ts";

export type { NativeOptions } from "./settings.ts";
export type { VifMode } from "./undo.ts";

/** What Xen's vif scripts run when they are done. */
const HOOKS = "/etc/xen/scripts/vif-post.d";

const MODES: Readonly<Record<VifMode, Mode>> = {
  bridge: prepareBridge,
  route: prepareRoute,
  nat: prepareNat,
  openvswitch: prepareOpenvswitch,
};

/** The mode that stands for a script of Xen's, by its file name; null if none does. */
export function modeOfScript(script: string): VifMode | null {
  const mode = /(?:^|\/)vif-([a-z]+)$/.exec(script)?.[1];
  return mode !== undefined && Object.hasOwn(MODES, mode) ? mode as VifMode : null;
}

/** Whether a device was set up, or was begun to be, by {@link addNative}. */
export function isNative(device: Device): boolean {
  return decodeUndo(device.undo) !== null;
}

/**
 * Sets an interface up and reports it `connected`. Everything is looked at before anything is
 * changed, and written down before it is changed.
 * @throws Error with a line fit for `hotplug-error`; `removeNative` then undoes what was done
 */
export async function addNative(
  device: Device,
  links: NetworkLinks,
  mode: VifMode,
  signal: AbortSignal,
  options: NativeOptions,
): Promise<void> {
  const settings = await (options.settings ?? readSettings(device.nodes));
  const link = await findInterface(device, links, signal);
  const name = settings.vifname ?? link.name;
  if (name !== link.name && await links.read(name) !== undefined) {
    throw refusal("vifname", name, "there is an interface of that name; accepted is a new one");
  }
  const task: Task = { device, links, settings, options, signal, name, link };
  const { undo, networks, guestMtu, apply } = await MODES[mode](task);
  signal.throwIfAborted();
  const { index, up, mac, mtu } = link;
  const before = { index, up, mac, mtu, from: link.name, name, master: link.master ?? "" };
  await device.recordUndo(encodeUndo({ ...NOTHING_DONE, mode, ...before, ...undo }));
  if (name !== link.name) {
    if (up) await links.setDown(link.name);
    await links.rename(link.name, name);
  }
  // Begun here, and over with what follows: the store takes its time.
  const told = guestMtu === undefined ? null : tellMtu(device, guestMtu);
  await Promise.all([apply(), warnOfHooks(device)]);
  if (options.packetFilter) await addRules(device, rulesFor(name, networks), signal);
  signal.throwIfAborted();
  await Promise.all([told, device.nodes.write({ "hotplug-status": "connected" })]);
}

/**
 * Undoes {@link addNative}, wherever it stopped, by the record alone: the directory and the
 * interface may be gone. What a device does not have (any more) is not missed, so it may be called
 * again; what was not set up by `addNative` is left alone.
 * @throws Error that tells what could not be undone, after all else was
 */
export async function removeNative(
  device: Device,
  links: NetworkLinks,
  signal: AbortSignal,
): Promise<void> {
  const undo = decodeUndo(device.undo);
  if (undo === null) return;
  await removeRules(device, undo.rules, signal);
  // Under the same name another guest's may have followed, as after a reboot with `vifname`.
  if (undo.ovsPort !== "" && !device.heldElsewhere("ovsPort", undo.ovsPort)) {
    try {
      await removePort(device, undo.ovsPort, signal);
    } catch (error) {
      // The next attach of that name removes it.
      device.log.warning(`port ${undo.ovsPort} is left: ${(error as Error).message} [setup-left]`);
    }
  }
  const link = await links.at(undo.index);
  if (link === undefined) return;
  const failures = await restoreLink(links, undo, link);
  if (failures.length > 0) throw new Error(failures.map(({ message }) => message).join("; "));
}

/** An administrator's additions to the scripts are shell code, to be read by them. */
async function warnOfHooks({ system, log }: Device): Promise<void> {
  const hooks = (await system.list(HOOKS)).filter((name) => name.endsWith(".hook"));
  if (hooks.length > 0) {
    log.warning(`not run, since no script is: ${hooks.length} hooks in ${HOOKS} [hooks-not-run]`);
  }
}

async function findInterface(
  device: Device,
  links: NetworkLinks,
  signal: AbortSignal,
): Promise<NetworkLink> {
  const name = interfaceName(device.id);
  const link = await waitForInterface(device, () => links.read(name), signal);
  if (link !== undefined) return link;
  const waited = `the kernel did not make it within ${INTERFACE_WAIT_MS / 1000} s`;
  throw new Error(`interface ${name} does not exist: ${waited} [interface-missing]`);
}
