/** What there is on the machine that a plugin could have made, to tell what it left behind. */
import type { ProcessTable } from "../../core/platform/process_table.ts";
import type { Files } from "../../core/platform/types.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { isWithin } from "../../core/xenstore/paths.ts";

/** Things by their names, with what tells a thing from another of its name. */
export type Inventory = ReadonlyMap<string, string>;

/** Where to look. */
export interface Surroundings {
  readonly files: Files;
  readonly table: ProcessTable;
  /** A connection as domain 0. */
  readonly dom0: StoreClient;
  /** Files below it count. */
  readonly directory: string;
  /** Loop devices with files below it count. */
  readonly loopDirectory: string;
  /** Processes with this variable and value count. */
  readonly variable: string;
  readonly value: string;
  /** Nodes at or below these do not count: the device's own. */
  readonly exempt: readonly string[];
}

/** Looks at everything. */
export async function takeInventory(around: Surroundings): Promise<Inventory> {
  const things = new Map<string, string>();
  await Promise.all([
    addFiles(things, around.files, around.directory),
    addProcesses(things, around),
    addLoops(things, around),
    addInterfaces(things, around.files),
    addNodes(things, around.dom0, "", around.exempt),
  ]);
  return things;
}

/** What is new or different, a line each. */
export function changesBetween(before: Inventory, after: Inventory): string[] {
  const lines: string[] = [];
  for (const [name, value] of after) {
    const earlier = before.get(name);
    if (earlier === undefined) lines.push(`${name} is there`);
    else if (earlier !== value) lines.push(`${name} has changed`);
  }
  for (const name of before.keys()) {
    // A process of what went before may have taken its time to end.
    if (!after.has(name) && !name.startsWith("process ")) lines.push(`${name} is missing`);
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
  for (const [pid, found] of await table.withVariable(variable)) {
    if (found === value) things.set(`process ${pid}`, "");
  }
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

async function addInterfaces(things: Map<string, string>, files: Files): Promise<void> {
  for (const name of await files.list("/sys/class/net").catch(() => [])) {
    const address = await files.readText(`/sys/class/net/${name}/address`).catch(() => "");
    things.set(`network interface ${name}`, address);
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
