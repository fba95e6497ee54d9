/**
 * What has become of an interface that was set up. What an administrator may have meant is told, and
 * left: that it was taken out of its bridge, or set down. What can only have been lost is done again,
 * where it was done in this process: routes that went while it was down, a bridge that was made anew.
 */
import type { Device, Findings, Undo } from "../../contract/v1/plugin.ts";
import type {
  HostRoute,
  LinkSwitch,
  NetworkLink,
  NetworkLinks,
} from "../../contract/v1/network.ts";
import { interfaceName } from "./interface.ts";
import { checkRules } from "./packet_filter.ts";
import { routeKey } from "./routed.ts";
import { decodeUndo } from "./undo.ts";

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

/** What a check looks for. */
interface LeftInterface {
  /** The kernel's number of it. */
  readonly index: number;
  readonly name: string;
  readonly up: boolean;
  /** In bytes; 0: not compared. */
  readonly mtu: number;
  /** What it was a port of, with the number; empty and 0 if of nothing; null: not known. */
  readonly master: string | null;
  readonly masterIndex: number;
  readonly addresses: readonly string[];
  readonly routes: readonly HostRoute[];
  /** Those that were on. */
  readonly switches: readonly LinkSwitch[];
  /** Whether it was set up in this process: what is surely missing is then done again. */
  readonly native: boolean;
}

/** The switches that scripts and native modes turn. */
const SWITCHES: readonly LinkSwitch[] = ["ipv4/proxy_arp", "ipv6/proxy_ndp"];

/** The undo record's name of what a script, or somebody else, had left. */
const RECORD = "left";

/** What the undo record says was left; null if it does not say. */
function leftOf(undo: Undo): LeftInterface | null {
  const native = decodeUndo(undo);
  if (native !== null) {
    const { index, name, givenMtu: mtu, joinedIndex, given, routes, switchedOn } = native;
    const master = native.ovsPort === "" ? native.joined : native.switchMaster || null;
    return {
      ...{ index, name, up: true, mtu, master, masterIndex: joinedIndex, native: true },
      ...{ addresses: given, routes, switches: switchedOn as LinkSwitch[] },
    };
  }
  const text = undo[RECORD];
  return typeof text === "string" ? { ...JSON.parse(text), native: false } : null;
}

/** Records how an interface is now, as a script has left it. Nothing if there is none. */
export async function recordLeft(device: Device, name: string): Promise<void> {
  const { links } = device.system;
  try {
    const left = await lookAt(links, name);
    if (left !== undefined) await device.recordUndo({ [RECORD]: JSON.stringify(left) });
  } catch (error) {
    device.log.info(`what becomes of ${name} is not followed: ${(error as Error).message}`);
  }
}

async function lookAt(
  links: NetworkLinks,
  name: string,
): Promise<Omit<LeftInterface, "native"> | undefined> {
  const link = await links.read(name);
  if (link === undefined) return undefined;
  const [master, addresses, routes, switched] = await Promise.all([
    link.master === null ? undefined : links.read(link.master),
    links.addresses(name),
    links.routes(name),
    Promise.all(SWITCHES.map((which) => links.readSwitch(name, which))),
  ]);
  return {
    ...{ index: link.index, name, up: link.up, mtu: link.mtu },
    ...{ master: link.master ?? "", masterIndex: master?.index ?? 0 },
    addresses: addresses.filter(isMeant),
    routes: routes.filter(({ destination }) => isMeant(destination)),
    switches: SWITCHES.filter((_, at) => switched[at] === true),
  };
}

/** The kernel gives and takes addresses of one link by itself (RFC 4291, 2.5.6 and 2.7). */
function isMeant(address: string): boolean {
  return !/^f(e[89ab]|f)[0-9a-f]{2}:/i.test(address);
}

/** Records that the bridge of this name is another one by now. */
async function recordMaster(
  device: Device,
  left: LeftInterface,
  masterIndex: number,
): Promise<void> {
  const { native, ...rest } = left;
  await device.recordUndo(
    native ? { joinedIndex: masterIndex } : { [RECORD]: JSON.stringify({ ...rest, masterIndex }) },
  );
}
