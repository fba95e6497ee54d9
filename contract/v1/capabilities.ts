/**
 * All capabilities, a row each. What stands between a plugin and its device, the protocol of programs,
 * the faults of `plugin check` and the reference (docs/plugin-protocol.md) are made from the rows.
 * The types see to it that each has its implementation in {@link Device}, and the other way round.
 */
import {
  type Argument,
  argv,
  boolean,
  fields,
  list,
  number,
  optional,
  pattern,
  plain,
  program,
  SIGNAL,
  text,
  texts,
  word,
  WORK,
} from "./arguments.ts";
import type { LoopBounds, LoopRequest, LoopUse } from "./block.ts";
import type { HostRoute, LinkSwitch } from "./network.ts";
import type { Device } from "./plugin.ts";

/** What carries a plugin. */
export type Carrier = "module" | "process";

/** How much one use may cost; what is more is an error. */
export interface CapabilityLimits {
  /** Bytes that are read. */
  readonly bytes?: number;
  /** The same of the kernel's own tables, below /proc and /sys. */
  readonly kernelBytes?: number;
  /** Things: names in a list, locks that a call holds. */
  readonly count?: number;
}

// deno-lint-ignore no-explicit-any -- of whatever arguments
type Use = (...args: any[]) => any;

type ArgumentsOf<P extends readonly unknown[]> = {
  readonly [K in keyof P]-?: Argument<P[K]>;
};

/** A row. */
export interface Capability<F extends Use = Use> {
  /** In the order of the implementation's. */
  readonly args: ArgumentsOf<Parameters<F>>;
  /** What comes back, for the reference; nothing by default. */
  readonly value?: string;
  readonly limits?: CapabilityLimits;
  /** Which may have it; all by default. */
  readonly carriers?: readonly Carrier[];
  /** It takes no time: it cannot fail, and nothing waits for it. */
  readonly atOnce?: boolean;
  /** What a program is sent of what comes back. */
  readonly plain?: (value: Awaited<ReturnType<F>>) => unknown;
}

/** The functions of an object, by their names with something in front. */
type FunctionsOf<T, Prefix extends string> = {
  readonly [K in keyof T & string as T[K] extends Use ? `${Prefix}${K}` : never]: T[K];
};

/** Where in a device the groups are that are named otherwise. */
export const PLACES: Readonly<Record<string, readonly string[]>> = {
  blocks: ["system", "blocks"],
  links: ["system", "links"],
};

/** All that a device can do, by name. */
export type DeviceFunctions =
  & FunctionsOf<Omit<Device, "timeLeft">, "">
  & FunctionsOf<Device["nodes"], "nodes.">
  & FunctionsOf<Device["hotplug"], "hotplug.">
  & FunctionsOf<Device["frontend"], "frontend.">
  & FunctionsOf<Device["scripts"], "scripts.">
  & FunctionsOf<Device["system"], "system.">
  & FunctionsOf<Device["system"]["blocks"], "blocks.">
  & FunctionsOf<Device["system"]["links"], "links.">
  & FunctionsOf<Device["children"], "children.">
  & FunctionsOf<Device["deviceModel"], "deviceModel.">
  & FunctionsOf<Device["directories"], "directories.">
  & FunctionsOf<Device["server"], "server.">
  & FunctionsOf<Device["kept"], "kept.">;

/** What programs have in place of `system.exclusively`, which takes a function. */
export interface ProgramFunctions {
  "system.lock"(name: string, signal: AbortSignal): Promise<void>;
  "system.unlock"(name: string): void;
}

/** A table that has all of them, and no others. */
export type CapabilityTable<Functions> = {
  readonly [Name in keyof Functions]: Functions[Name] extends Use ? Capability<Functions[Name]>
    : never;
};

const path = text("path", "a path");
const nodeName = text("name", "the node's name");
const nodes = texts("map of names and texts", "nodes");
const copy = texts("map: nodes to run it on", "nodes");
const family = word("block", "network");
const script = text("script", "the script");
const recordName = text("name", "a name");
const value = text("value", "a value");
const whose = optional(word("any", "other guests"));
const child = pattern(
  "name",
  "the process's name",
  /^[A-Za-z0-9-]{1,32}$/,
  "letters, digits and -, at most 32 of them",
);
const directory = text("directory", "a directory's name", 64);
const file = text("file", "a file's name", 64);
const fileNames = list("array of names", "names of files");
const lock = text("name", "the lock's name", 4096);
const link = text("interface", "an interface's name");
const address = text("address", "an address");
const route = fields<HostRoute>("a route", {
  destination: "text",
  source: "text?",
  metric: "number?",
});
const linkSwitch = word<LinkSwitch>(
  "ipv4/proxy_arp",
  "ipv4/forwarding",
  "ipv6/proxy_ndp",
  "ipv6/forwarding",
);
const loop = "map: `node`, `identity`, `major`, `minor`, `file`, `tag`, `diskseq`, `readOnly`";
const interfaceMap = "map, or nil: `index`, `name`, `up`, `mtu`, `mac`, `kind`, `master`";
const modules = ["module"] as const;
const programs = ["process"] as const;

/** The table. */
export const CAPABILITIES = {
  "nodes.read": { args: [nodeName], value: "text, or nil" },
  "nodes.write": { args: [nodes] },
  "nodes.remove": { args: [nodeName] },
  "hotplug.read": { args: [nodeName], value: "text, or nil" },
  "hotplug.write": { args: [nodes] },
  "hotplug.remove": { args: [nodeName] },
  "config": { args: [], value: "map of all nodes", plain: (config) => config.nodes },
  "recordUndo": {
    args: [
      plain(
        "map of names and texts, numbers, booleans: added to the record",
        "an undo record",
      ),
    ],
    limits: { bytes: 24 * 1024 },
  },
  "heldElsewhere": { args: [recordName, value, whose], value: "boolean", atOnce: true },
  "holders": {
    args: [recordName, value, whose],
    value: "array of maps: `kind`, `frontendDomid`, `devid`, `ending`, `stage`, `undo`",
    atOnce: true,
  },
  "heldValues": {
    args: [recordName],
    value: "array: the different values that records have under it",
    atOnce: true,
  },
  "sameMachine": {
    args: [number("domid of another guest", "a domid")],
    value: "boolean: whether it is the same virtual machine",
  },
  "scripts.check": { args: [family, script] },
  "scripts.version": {
    args: [script, SIGNAL],
    value: "1 or 2: which version of the interface a block script follows",
  },
  "scripts.usesVersion2": {
    args: [],
    value: "boolean: whether a version 2 script has set the device up, or was about to",
  },
  "scripts.prepare": { args: [script, SIGNAL] },
  "scripts.run": { args: [family, script, word("add", "remove"), SIGNAL, optional(copy)] },
  "scripts.addOnCopy": {
    args: [family, script, copy, SIGNAL],
    value: "map: the nodes that it wrote",
  },
  "children.start": { args: [child, argv], limits: { count: 64 } },
  "children.running": { args: [child], value: "boolean" },
  "children.stop": {
    args: [child, optional(number("milliseconds between TERM and KILL", "milliseconds"))],
  },
  "directories.state": { args: [], value: "path" },
  "directories.temporary": { args: [], value: "path" },
  "kept.list": { args: [], value: "array of names", limits: { count: 1024 } },
  "kept.create": { args: [directory, texts("map of names and texts", "files")] },
  "kept.path": { args: [directory], value: "path, or nil" },
  "kept.files": { args: [directory], value: "array of names", limits: { count: 1024 } },
  "kept.read": { args: [directory, file], value: "text, or nil", limits: { bytes: 64 * 1024 } },
  "kept.tail": { args: [directory, file], value: "text, or nil", limits: { bytes: 4096 } },
  "kept.write": { args: [directory, file, text("text")] },
  "kept.remove": { args: [directory, file] },
  "kept.hand": { args: [directory, text("user", "a user", 64), fileNames] },
  "kept.claim": {
    args: [directory, optional(text("who has it no more", "a device", 100))],
    value: "text: who has it, or nil",
  },
  "kept.release": { args: [directory] },
  "system.exists": { args: [path], value: "boolean" },
  "system.readText": {
    args: [path],
    value: "text of a regular file, or nil",
    limits: { bytes: 64 * 1024, kernelBytes: 1024 * 1024 },
  },
  "system.list": { args: [path], value: "array of names", limits: { count: 16 * 1024 } },
  "system.realPath": { args: [path], value: "path, or nil" },
  "system.identityOf": { args: [path], value: "text, or nil" },
  "system.run": { args: [argv, SIGNAL], value: "what it printed", limits: { bytes: 64 * 1024 } },
  "system.sleep": { args: [number("milliseconds"), SIGNAL], carriers: modules },
  "system.exclusively": { args: [lock, SIGNAL, WORK], value: "work's", carriers: modules },
  "system.lock": {
    args: [lock, SIGNAL],
    value: "when no other device of the plugin holds it; it is given back when the call ends",
    limits: { count: 64 },
    carriers: programs,
  },
  "system.unlock": { args: [lock], carriers: programs },
  "frontend.state": { args: [], value: "0 to 8, or nil" },
  "frontend.read": {
    args: [text("name", "the node's name", 256)],
    value: "text, or nil",
    limits: { bytes: 4096 },
  },
  "frontend.writeMtu": { args: [number("bytes", "an MTU in bytes")] },
  "server.start": {
    args: [
      plain("map of names and texts, numbers, booleans", "what is handed to the server"),
      SIGNAL,
    ],
    carriers: modules,
  },
  "deviceModel.start": { args: [program, SIGNAL], value: "when it is ready" },
  "deviceModel.adopt": { args: [program] },
  "deviceModel.status": {
    args: [],
    value: "map: `state` (`serving`, `ended`, `replaced` or `none`), `detail`",
  },
  "deviceModel.release": { args: [] },
  "blocks.describe": {
    args: [path],
    value: "map: `path`, `kind`, `identity`, `size`, `readOnly`, and of block devices `major`, " +
      "`minor`, `diskseq`, `carries`",
  },
  "blocks.attachLoop": {
    args: [
      fields<LoopRequest>("a request", {
        path: "text",
        expectIdentity: "text",
        readOnly: "boolean",
        tag: "text",
        directIo: "boolean?",
      }),
    ],
    value: loop,
  },
  "blocks.detachLoop": {
    args: [
      text("node", "a loop device"),
      fields<LoopUse>("what it has to be", { tag: "text", file: "text", diskseq: "number?" }),
    ],
    value: "`detached`, `pending`, `absent` or `foreign`",
  },
  "blocks.loops": {
    args: [fields<LoopBounds>("bounds", { file: "text?", tag: "text?", node: "text?" })],
    value: "array of maps as of `blocks.attachLoop`",
  },
  "links.read": { args: [link], value: interfaceMap },
  "links.at": {
    args: [number("an interface's number")],
    value: "the same, whatever it is called by now",
  },
  "links.bridges": { args: [], value: "array of names" },
  "links.setUp": { args: [link] },
  "links.setDown": { args: [link] },
  "links.setMtu": { args: [link, number("bytes", "an MTU")] },
  "links.setMac": { args: [link, text("MAC address", "a MAC")] },
  "links.rename": { args: [link, text("new name", "an interface's name")] },
  "links.addToBridge": { args: [text("bridge", "an interface's name"), link] },
  "links.removeFromBridge": { args: [link] },
  "links.addresses": { args: [link], value: "array of texts" },
  "links.addAddress": { args: [link, address] },
  "links.removeAddress": { args: [link, address] },
  "links.routes": {
    args: [link],
    value: "array of maps: `destination`, and optionally `source`, `metric`",
  },
  "links.addRoute": { args: [link, route] },
  "links.removeRoute": { args: [link, route] },
  "links.readSwitch": { args: [link, linkSwitch], value: "boolean, or nil" },
  "links.writeSwitch": { args: [link, linkSwitch, boolean("on or off")] },
} as const satisfies CapabilityTable<DeviceFunctions & ProgramFunctions>;

/** The rows, for who goes through them. */
export type Capabilities = Readonly<Record<string, Capability>>;

/** Whether a carrier may have it. */
export function carries({ carriers }: Capability, carrier: Carrier): boolean {
  return carriers?.includes(carrier) ?? true;
}
