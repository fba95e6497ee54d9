/**
 * Calls of the network capability, good and bad, on interfaces a0 (a veth, with a1) and br0. To be
 * run in a network namespace of its own; prints a {@link Call} for each.
 */
import { systemNetworkLinks as links } from "../../platform/linux/network_links.ts";
import type { NetworkLinks } from "../../contract/v1/network.ts";

/** What was called, and what came of it. */
export interface Call {
  readonly call: string;
  /** The result, or the symbolic code of the error. */
  readonly outcome: unknown;
  /** The error's line. */
  readonly line?: string;
}

const route = { destination: "10.9.0.1", source: "10.1.2.3", metric: 2 };

const CALLS: readonly (readonly [keyof NetworkLinks, ...unknown[]])[] = [
  ["bridges"],
  ["read", "nope"],
  ["read", "a/b"],
  ["setUp", "nope"],
  ["setMtu", "a0", 67],
  ["setMtu", "a0", 65536],
  ["setMtu", "a0", 1400],
  ["setMac", "a0", "ff:ff:ff:ff:ff:ff"],
  ["setMac", "a0", "fe:ff:ff:ff:ff:ff"],
  ["addToBridge", "a1", "a0"],
  ["addToBridge", "nope", "a0"],
  ["addToBridge", "br0", "a0"],
  ["addToBridge", "br0", "a0"],
  ["removeFromBridge", "a0"],
  ["removeFromBridge", "a0"],
  ["rename", "a0", "br0"],
  ["rename", "a0", "b%d"],
  ["rename", "a0", "sixteen-bytes-00"],
  ["rename", "a0", "lan0"],
  ["addRoute", "lan0", route],
  ["setUp", "lan0"],
  ["addAddress", "lan0", "10.1.2.3"],
  ["addAddress", "lan0", "10.1.2.3"],
  ["addAddress", "lan0", "fd00::1/64"],
  ["addAddress", "lan0", "10.1.2"],
  ["addresses", "lan0"],
  ["addRoute", "lan0", route],
  ["addRoute", "lan0", route],
  ["addRoute", "lan0", { destination: "10.9.0.1/24" }],
  ["addRoute", "lan0", { destination: "fd01::1", metric: 3 }],
  ["addRoute", "lan0", { destination: "10.9.0.2", metric: 4294967298 }],
  ["addRoute", "lan0", { destination: "10.9.0.2", metric: -1 }],
  ["addRoute", "lan0", { destination: "10.9.0.2", metric: 1.5 }],
  ["removeRoute", "lan0", { destination: "fd01::1", metric: 4294967299 }],
  ["routes", "lan0"],
  ["removeRoute", "lan0", { ...route, metric: 4 }],
  ["removeRoute", "lan0", route],
  ["removeRoute", "lan0", route],
  ["removeAddress", "lan0", "10.1.2.3/32"],
  ["removeAddress", "lan0", "10.1.2.3/32"],
  ["writeSwitch", "lan0", "ipv4/proxy_arp", true],
  ["readSwitch", "lan0", "ipv4/proxy_arp"],
  ["writeSwitch", "nope", "ipv4/proxy_arp", true],
  ["writeSwitch", "all", "ipv4/proxy_arp", true],
  ["setDown", "lan0"],
];

if (import.meta.main) {
  const calls: Call[] = [];
  for (const [name, ...args] of CALLS) {
    const call = [name, ...args.map((arg) => JSON.stringify(arg))].join(" ");
    const method = links[name] as (...args: readonly unknown[]) => Promise<unknown>;
    try {
      calls.push({ call, outcome: await method(...args) ?? null });
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      calls.push({ call, outcome: code, line: message });
    }
  }
  console.log(JSON.stringify({ calls, link: await links.read("lan0") }));
}
