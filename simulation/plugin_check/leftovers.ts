/** What there is on the machine that a plugin could have made, to tell what it left behind. */
import { descendants, type ProcessTable } from "../../platform/linux/process_table.ts";
import { storageHelperCommand } from "../../platform/self.ts";
import { allLinks } from "../../platform/linux/network_links.ts";
import { readMountTable } from "../../platform/linux/mount_table.ts";
import type { Files } from "../../platform/types.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { isWithin } from "../../core/xenstore/paths.ts";
import { PLUGIN_VARIABLE } from "../../plugins/host/process_host.ts";

/** Things by their names, with what tells a thing from another of its name. */
export type Inventory = ReadonlyMap<string, string>;

export interface Surroundings {
  readonly files: Files;
  readonly table: ProcessTable;
  /** A connection as domain 0. */
  readonly dom0: StoreClient;
  /** Files below it count. */
  readonly directory: string;
  /** Loop devices with files below it count. */
  readonly loopDirectory: string;
  /** Processes with this variable and value count, and all that we have started. */
  readonly variable: string;
  readonly value: string;
  /** Nodes at or below these do not count: the device's own. */
  readonly exempt: readonly string[];
  /** Whether all mounts count, since nobody else sees them; else those below `loopDirectory`. */
  readonly ownMounts: boolean;
  /** Whether interfaces are nobody else's, and some are the simulated kernel's. */
  readonly ownNetwork: boolean;
}

/** Interfaces that the simulated kernel makes: they come and go with their devices. */
const OF_KERNEL = /^(vif|peer)\d+\.\d+$/;

/** What a plugin may find and lose, and must not leave changed. */
const FOUND = "the device's interface ";

/** Looks at everything. */
export async function takeInventory(around: Surroundings): Promise<Inventory> {
  const things = new Map<string, string>();
  await Promise.all([
    addFiles(things, around.files, around.directory),
    addProcesses(things, around),
    addLoops(things, around),
    addInterfaces(things, around.ownNetwork),
    addMounts(things, around),
    addNodes(things, around.dom0, "", around.exempt),
  ]);
  return things;
}

/** What is new or different, a line each. */
export function changesBetween(before: Inventory, after: Inventory): string[] {
  const lines: string[] = [];
  for (const [name, value] of after) {
    const earlier = before.get(name);
    if (earlier === undefined) {
      if (!name.startsWith(FOUND)) lines.push(`${name} is there`);
    } else if (earlier !== value) lines.push(`${name} has changed: ${value}, not ${earlier}`);
  }
  for (const name of before.keys()) {
    // A process of what went before may have taken its time to end.
    const mayGo = name.startsWith("process ") || name.startsWith(FOUND);
    if (!after.has(name) && !mayGo) lines.push(`${name} is missing`);
  }
  return lines;
}

async function addFiles(things: Map<string, string>, files: Files, path: string): Promise<void> {
  for (const name of await files.list(path).catch(() => [])) {
    const entry = `${path}/${name}`;
    const status = await files.lstat(entry).catch(() => null);
    if (status === null || status.kind === "socket") continue;
    if (status.kind === "directory") await addFiles(things, files, entry);
    // Its size, since what the sample demands may be written to.
    else things.set(`file ${entry}`, `${status.kind} ${status.size}`);
  }
}

async function addProcesses(
  things: Map<string, string>,
  { table, variable, value }: Surroundings,
): Promise<void> {
  const [marked, plugins, ours] = await Promise.all([
    table.withVariable(variable),
    table.withVariable(PLUGIN_VARIABLE),
    descendants(),
  ]);
  const pids = new Set([...marked].filter(([, found]) => found === value).map(([pid]) => pid));
  // Without a mark, but of our making; a program that is the plugin is none of what it leaves.
  for (const pid of ours) {
    if (!plugins.has(pid) && !await isStorageHelper(table, pid)) pids.add(pid);
  }
  for (const pid of pids) things.set(`process ${pid}`, "");
}

/** One that this program itself keeps, to ask storage; see `platform/storage`. */
export async function isStorageHelper(table: ProcessTable, pid: number): Promise<boolean> {
  const words = await table.commandLineOf(pid);
  return words.join("\0") === storageHelperCommand().join("\0");
}

async function addLoops(
  things: Map<string, string>,
  { files, loopDirectory }: Surroundings,
): Promise<void> {
  for (const loop of await files.list("/sys/block").catch(() => [])) {
    if (!/^loop\d+$/.test(loop)) continue;
    const file = await files.readText(`/sys/block/${loop}/loop/backing_file`).catch(() => "");
    if (file.startsWith(`${loopDirectory}/`)) things.set(`loop device ${loop}`, file);
  }
}

async function addInterfaces(things: Map<string, string>, ownNetwork: boolean): Promise<void> {
  for (const { name, mac, up, master } of await allLinks()) {
    if (!ownNetwork || !OF_KERNEL.test(name)) {
      things.set(`network interface ${name}`, `address ${mac || "none"}`);
    } else if (name.startsWith("vif")) {
      things.set(
        `${FOUND}${name}`,
        `${up ? "up" : "down"}, ${master === null ? "no port" : `a port of ${master}`}`,
      );
    }
  }
}

async function addMounts(
  things: Map<string, string>,
  { ownMounts, loopDirectory }: Surroundings,
): Promise<void> {
  for (const { id, point, source, type } of readMountTable()) {
    if (!ownMounts && !point.startsWith(`${loopDirectory}/`)) continue;
    // Several may be on one point.
    const name = `mount ${point}`;
    things.set(things.has(name) ? `${name} (number ${id})` : name, `${type} ${source}`);
  }
}

async function addNodes(
  things: Map<string, string>,
  dom0: StoreClient,
  path: string,
  exempt: readonly string[],
): Promise<void> {
  if (exempt.some((top) => isWithin(path, top))) return;
  const [value, names] = await Promise.all([
    dom0.readOptional(path || "/"),
    dom0.listOptional(path || "/"),
  ]);
  if (value === undefined) return;
  // What is above the exempt ones comes and goes with them.
  if (!exempt.some((top) => isWithin(top, path || "/"))) things.set(`node ${path}`, value);
  await Promise.all(names.map((name) => addNodes(things, dom0, `${path}/${name}`, exempt)));
}
