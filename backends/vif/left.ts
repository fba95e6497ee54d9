/** How an interface was when it had been set up: what later checks compare with. */
import type { Device, Undo } from "../../contract/v1/plugin.ts";
import type { HostRoute, LinkSwitch, NetworkLinks } from "../../contract/v1/network.ts";
import { decodeUndo } from "./undo.ts";

/** What a check looks for. */
export interface LeftInterface {
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
export function leftOf(undo: Undo): LeftInterface | null {
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
export async function recordMaster(
  device: Device,
  left: LeftInterface,
  masterIndex: number,
): Promise<void> {
  const { native, ...rest } = left;
  await device.recordUndo(
    native ? { joinedIndex: masterIndex } : { [RECORD]: JSON.stringify({ ...rest, masterIndex }) },
  );
}
