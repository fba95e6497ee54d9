/**
 * What has become of an interface that was set up. What an administrator may have meant is told, and
 * left: that it was taken out of its bridge, or set down. What can only have been lost is done again,
 * where it was done in this process: routes that went while it was down, a bridge that was made anew.
 */
import type { Device, Findings } from "../../contract/v1/plugin.ts";
import type { HostRoute, NetworkLink } from "../../contract/v1/network.ts";
import { interfaceName } from "./interface.ts";
import { type LeftInterface, leftOf, recordMaster } from "./left.ts";
import { checkRules } from "./packet_filter.ts";
import { routeKey } from "./routed.ts";
import { decodeUndo } from "./undo.ts";

/** Lines about an interface. */
interface Lines {
  readonly notices: string[];
  readonly mended: string[];
}

/** Compares an interface with what was left of it. */
export async function checkInterface(device: Device, signal: AbortSignal): Promise<Findings> {
  const left = leftOf(device.undo);
  if (left === null) return {};
  const { links } = device.system;
  const link = await links.at(left.index);
  if (link === undefined) {
    const another = await links.read(interfaceName(device.id));
    if (another !== undefined) return { undone: `the kernel has made ${another.name} anew` };
    return { notices: [`interface ${left.name} is gone`] };
  }
  const lines: Lines = { notices: [], mended: [] };
  if (link.name !== left.name) {
    lines.notices.push(`interface ${left.name} is called ${link.name} by now`);
  }
  if (left.up && !link.up) lines.notices.push(`interface ${link.name} is down`);
  if (left.mtu !== 0 && link.mtu !== left.mtu) {
    lines.notices.push(`the MTU of ${link.name} is ${link.mtu} by now; it was ${left.mtu}`);
  }
  await checkMaster(device, left, link, lines);
  await checkAddresses(device, left, link, lines);
  if (link.up) await checkRoutes(device, left, link, lines);
  for (const which of left.switches) {
    if (await links.readSwitch(link.name, which) !== false) continue;
    await again(
      lines,
      left,
      `${which} of ${link.name} was turned off`,
      "turned on",
      () => links.writeSwitch(link.name, which, true),
    );
  }
  const rules = decodeUndo(device.undo)?.rules ?? [];
  if (await checkRules(device, left.name, rules, signal)) {
    lines.mended.push(`the packet filter's rules for ${left.name} were gone: added again`);
  }
  return lines;
}

/** Does it again if it is surely what was asked; else it is only told. */
async function again(
  { notices, mended }: Lines,
  { native }: LeftInterface,
  loss: string,
  deed: string,
  work: () => Promise<void>,
): Promise<void> {
  if (!native) return void notices.push(loss);
  try {
    await work();
    mended.push(`${loss}: ${deed} again`);
  } catch (error) {
    notices.push(`${loss}, and cannot be ${deed} again: ${(error as Error).message}`);
  }
}

/**
 * A bridge of another number under the old name was made anew, and nobody but us would make the
 * interface its port again. One that is in no bridge though its own is still there was taken out.
 */
async function checkMaster(
  device: Device,
  left: LeftInterface,
  { name, master }: NetworkLink,
  { notices, mended }: Lines,
): Promise<void> {
  if (left.master === null || master === (left.master || null)) return;
  if (left.master === "") return void notices.push(`${name} is a port of ${master} by now`);
  const { links } = device.system;
  if (master !== null) {
    // Renamed only.
    if (left.masterIndex !== 0 && (await links.read(master))?.index === left.masterIndex) return;
    return void notices.push(`${name} is a port of ${master} by now, not of ${left.master}`);
  }
  const bridge = await links.read(left.master);
  if (bridge === undefined) {
    return void notices.push(`${left.master}, the bridge of ${name}, is gone`);
  }
  const isAnother = left.masterIndex !== 0 && bridge.index !== left.masterIndex;
  if (!isAnother || bridge.kind !== "bridge") {
    return void notices.push(`${name} was taken out of ${left.master}`);
  }
  try {
    await links.addToBridge(left.master, name);
    await recordMaster(device, left, bridge.index);
    mended.push(`bridge ${left.master} was made anew: ${name} is its port again`);
  } catch (error) {
    notices.push((error as Error).message);
  }
}

async function checkAddresses(
  { system: { links } }: Device,
  left: LeftInterface,
  { name }: NetworkLink,
  lines: Lines,
): Promise<void> {
  if (left.addresses.length === 0) return;
  const present = new Set(await links.addresses(name));
  for (const address of left.addresses) {
    if (present.has(address)) continue;
    await again(
      lines,
      left,
      `address ${address} of ${name} was removed`,
      "added",
      () => links.addAddress(name, address),
    );
  }
}

async function checkRoutes(
  { system: { links } }: Device,
  left: LeftInterface,
  { name }: NetworkLink,
  lines: Lines,
): Promise<void> {
  if (left.routes.length === 0) return;
  const present = new Set((await links.routes(name)).map(routeKey));
  for (const route of left.routes) {
    if (present.has(routeKey(route))) continue;
    await again(
      lines,
      left,
      `the route to ${shown(route)} through ${name} was removed`,
      "added",
      () => links.addRoute(name, route),
    );
  }
}

function shown({ destination }: HostRoute): string {
  return destination;
}
