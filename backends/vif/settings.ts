/** What one attach works with: what the toolstack asks of an interface (the nodes, checked), and more. */
import type { Device, DeviceNodes, DeviceSystem } from "../../contract/v1/plugin.ts";
import {
  GATEWAY_DEVICE_RULE,
  INTERFACE_NAME_RULE,
  isGatewayDevice,
  isInterfaceName,
} from "../../contract/v1/interface_name.ts";
import { type IpNetwork, parseIp } from "../../contract/v1/ip_address.ts";
import type { NetworkLink, NetworkLinks } from "../../contract/v1/network.ts";
import type { VifUndo } from "./undo.ts";

/** Range of the MTU, in bytes: ETH_MIN_MTU and ETH_MAX_MTU of linux/if_ether.h. */
const [MTU_MIN, MTU_MAX] = [68, 65535];

/** Most networks taken from node `ip`; a node holds at most 2048 bytes. */
const NETWORKS_MAX = 128;

/** The nodes of a network interface that concern its setting up. */
export interface VifSettings {
  /** Name wanted for the interface; null: the kernel's. */
  readonly vifname: string | null;
  /** Node `bridge` as it is; empty if there is none. What it may say depends on the mode. */
  readonly bridge: string;
  /** In bytes; null if not given. */
  readonly mtu: number | null;
  /** The guest's MAC address, in lower case; null if not given. */
  readonly mac: string | null;
  /** The guest's addresses or networks. */
  readonly networks: readonly IpNetwork[];
  /** The interface through which its packets leave, maybe with a label: `eth0:1`; null if not given. */
  readonly gatewayDevice: string | null;
}

/**
 * Reads the nodes. An empty node is as good as none, as it is to Xen's scripts.
 * @throws Error with a line fit for `hotplug-error` that names the node, its value and what would do
 */
export async function readSettings(nodes: DeviceNodes): Promise<VifSettings> {
  const read = async (name: string) => await nodes.read(name) ?? "";
  const [vifname, bridge, mtu, mac, ip, gatewaydev] = await Promise.all(
    ["vifname", "bridge", "mtu", "mac", "ip", "gatewaydev"].map(read),
  ) as [string, string, string, string, string, string];
  return {
    vifname: vifname === "" ? null : checkVifname(vifname),
    bridge,
    mtu: mtu === "" ? null : checkMtu(mtu),
    mac: mac === "" ? null : checkMac(mac),
    networks: checkNetworks(ip),
    gatewayDevice: gatewaydev === "" ? null : checkGateway(gatewaydev),
  };
}

/** The refusal of a node's value. @param accepted what would be accepted, or what is wrong */
export function refusal(node: string, value: string, accepted: string): Error {
  const cut = value.length > 60 ? `${value.slice(0, 60)}…` : value;
  return new Error(`node ${node} is ${JSON.stringify(cut)}: ${accepted}`);
}

/** @throws Error unless the value can be the name of an interface */
export function checkInterface(node: string, value: string): string {
  if (isInterfaceName(value)) return value;
  throw refusal(node, value, `accepted is the name of an interface, ${INTERFACE_NAME_RULE}`);
}

function checkGateway(value: string): string {
  if (isGatewayDevice(value)) return value;
  const accepted = `accepted is the name of an interface, ${GATEWAY_DEVICE_RULE}`;
  throw refusal("gatewaydev", value, accepted);
}

function checkVifname(value: string): string {
  checkInterface("vifname", value);
  // One guest's name must not be in the way of another's interface.
  if (/^vif\d+\.\d+(-emu)?$/.test(value)) {
    throw refusal(
      "vifname",
      value,
      "names of this form are the kernel's to give; any other will do",
    );
  }
  return value;
}

function checkMtu(value: string): number {
  const mtu = Number(value);
  if (/^[1-9]\d{1,4}$/.test(value) && mtu >= MTU_MIN && mtu <= MTU_MAX) return mtu;
  throw refusal("mtu", value, `accepted is a decimal number of bytes, ${MTU_MIN} … ${MTU_MAX}`);
}

function checkMac(value: string): string {
  if (/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(value)) return value.toLowerCase();
  throw refusal("mac", value, "accepted are six pairs of hex digits with colons between them");
}

function checkNetworks(value: string): IpNetwork[] {
  const parts = value.split(" ").filter((part) => part !== "");
  if (parts.length > NETWORKS_MAX) {
    throw refusal("ip", value, `accepted are up to ${NETWORKS_MAX} addresses; these are more`);
  }
  return parts.map((part) => {
    const network = parseIp(part);
    if (network !== null) return network;
    const accepted = "accepted are IP addresses, or networks as address/bits, with blanks between";
    throw refusal("ip", value, accepted);
  });
}

/** What a native attach is given besides its device and the network. */
export interface NativeOptions {
  /**
   * Whether iptables, if there is one, is told to let the guest's packets pass, as Xen's scripts do
   * and Debian's do not (Debian bug 894013: the rules make all bridged traffic pass the packet
   * filter). Default false.
   */
  readonly packetFilter?: boolean;
  /** The nodes, if they are being read already. */
  readonly settings?: Promise<VifSettings>;
}

export interface Task {
  readonly device: Device;
  readonly links: NetworkLinks;
  readonly settings: VifSettings;
  readonly options: NativeOptions;
  readonly signal: AbortSignal;
  /** The interface as it was found. */
  readonly link: NetworkLink;
  /** The name that it gets before `apply` is called. */
  readonly name: string;
}

/** What a mode will do; so far it has only looked. */
export interface Preparation {
  readonly undo: Partial<VifUndo>;
  /** Networks of the guest, for the packet filter. */
  readonly networks: VifSettings["networks"];
  /** What the guest is told of the MTU, in bytes; it is told nothing without. */
  readonly guestMtu?: number;
  /** Does it. The interface has its final name. */
  apply(): Promise<void>;
}

/** A mode: finds out what is to be done and whether it can be. @throws Error if not */
export type Mode = (task: Task) => Promise<Preparation>;

const DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The path of a program; undefined if it is not installed. */
export async function findProgram(
  system: DeviceSystem,
  name: string,
): Promise<string | undefined> {
  for (const directory of DIRECTORIES) {
    const path = `${directory}/${name}`;
    if (await system.exists(path)) return path;
  }
  return undefined;
}
