/** Takes away what a plugin under check has left behind on the machine. */
import { storage } from "../../platform/storage.ts";
import { systemClock } from "../../platform/clock.ts";
import { removeControlGroups } from "../../platform/linux/control_group.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { readMountTable, unmountAll } from "../../platform/linux/mount_table.ts";
import { allLinks, removeLink } from "../../platform/linux/network_links.ts";
import { descendants, systemProcessTable } from "../../platform/linux/process_table.ts";
import type { LoopDevice } from "../../contract/v1/block.ts";
import { PLUGIN_VARIABLE } from "../../plugins/host/process_host.ts";
import { isStorageHelper } from "./leftovers.ts";
import { type Isolation, RIG_VARIABLE } from "./rig.ts";

/** How long what was killed may take to end, and loop devices to be free, in ms. */
const PATIENCE_MS = 3_000;
const POLL_MS = 20;

/** What was there before the plugin ran, and what it is known by. */
export interface Ground {
  readonly directory: string;
  /** How the names of its control groups begin. */
  readonly groups: string;
  readonly isolation: Isolation;
  readonly mounts: ReadonlySet<number>;
  readonly interfaces: ReadonlySet<number>;
  readonly loops: ReadonlySet<string>;
}

/** Things that were taken away, or could not be, by what they are: `loop device loop3 of /tmp/x`. */
export interface Cleaned {
  readonly removed: readonly string[];
  readonly left: readonly string[];
}

/** Looks at the machine before a plugin is let loose on it. */
export async function takeGround(
  directory: string,
  groups: string,
  isolation: Isolation,
): Promise<Ground> {
  const links = isolation.network ? await allLinks() : [];
  return {
    directory,
    groups,
    isolation,
    mounts: new Set(readMountTable().map(({ id }) => id)),
    interfaces: new Set(links.map(({ index }) => index)),
    loops: new Set((await loops()).map(({ name }) => name)),
  };
}

/**
 * Takes away processes, mounts, loop devices and interfaces, as far as they are certainly the
 * plugin's: what bears the check's mark, lies below its directory, or is in its own namespaces.
 * @param runs the process in which the plugin runs on, if it does
 */
export async function clean(ground: Ground, runs?: number): Promise<Cleaned> {
  const removed: string[] = [];
  const left: string[] = [];
  await killProcesses(ground, runs, removed, left);
  // While the files behind them have names that can be seen. Those that are in use are freed by
  // the unmounting.
  const detached = await detachLoops(ground);
  await removeMounts(ground, removed, left);
  await awaitLoops(detached, removed, left);
  await removeInterfaces(ground, removed, left);
  if (runs === undefined) {
    const end = systemClock.now() + PATIENCE_MS;
    while (!removeControlGroups(ground.groups) && systemClock.now() < end) await pause();
  }
  return { removed, left };
}

/** Loop devices that were not there before, and are of files elsewhere: whose, nobody can tell. */
export async function strangeLoops({ directory, loops: before }: Ground): Promise<string[]> {
  return (await loops()).filter(({ name, file }) => !before.has(name) && !isBelow(file, directory))
    .map(({ name, file }) => `loop device ${name} of ${file}`);
}

async function killProcesses(
  { directory }: Ground,
  runs: number | undefined,
  removed: string[],
  left: string[],
): Promise<void> {
  const find = async () => {
    const [marked, plugins, ours] = await Promise.all([
      systemProcessTable.withVariable(RIG_VARIABLE),
      systemProcessTable.withVariable(PLUGIN_VARIABLE),
      descendants(),
    ]);
    const pids = [...marked].filter(([, value]) => isBelow(`${value}/`, directory))
      .map(([pid]) => pid);
    // The plugin itself, as a program, goes on with the process that carries it.
    if (runs !== undefined) pids.push(...ours.filter((pid) => !plugins.has(pid)));
    else {
      pids.push(...ours);
      for (const [pid, owner] of plugins) if (isBelow(owner, directory)) pids.push(pid);
    }
    const alive: number[] = [];
    for (const pid of new Set(pids)) {
      const identity = pid === runs ? undefined : await systemProcessTable.identityOf(pid);
      if (identity !== undefined) alive.push(pid);
    }
    return alive;
  };
  const names = new Map<number, string>();
  // The daemon's own: they end with it, and nobody has to hear of them.
  const helpers = new Set<number>();
  let alive = await find();
  for (const end = systemClock.now() + PATIENCE_MS; alive.length > 0;) {
    for (const pid of alive) {
      const words = await systemProcessTable.commandLineOf(pid);
      if (await isStorageHelper(systemProcessTable, pid)) helpers.add(pid);
      if (!names.has(pid)) names.set(pid, `process ${pid} (${words.join(" ").slice(0, 80)})`);
      systemProcessTable.signal(pid, "SIGKILL");
    }
    if (systemClock.now() > end) break;
    await pause();
    alive = await find();
  }
  for (const [pid, name] of names) {
    if (alive.includes(pid)) left.push(name);
    else if (!helpers.has(pid)) removed.push(name);
  }
}

async function removeMounts(
  { directory, isolation, mounts: before }: Ground,
  removed: string[],
  left: string[],
): Promise<void> {
  const found = readMountTable().filter(({ id, point }) =>
    !before.has(id) && (isolation.mounts || isBelow(point, directory))
  );
  const stay = new Set((await unmountAll(found)).map(({ id }) => id));
  for (const { id, point } of found) (stay.has(id) ? left : removed).push(`mount ${point}`);
}

/** A loop device of a file: `node` and its use, for detaching; and both for people. */
interface Attached {
  readonly loop: LoopDevice;
  readonly text: string;
}

async function detachLoops({ directory }: Ground): Promise<Attached[]> {
  const found: Attached[] = [];
  for (const { name, file } of await loops()) {
    if (!isBelow(file, directory)) continue;
    for (const loop of await storage.blocks.loops({ node: `/dev/${name}` })) {
      found.push({ loop, text: `loop device ${name} of ${file}` });
      await storage.blocks.detachLoop(loop.node, loop).catch(() => {});
    }
  }
  return found;
}

async function awaitLoops(
  found: readonly Attached[],
  removed: string[],
  left: string[],
): Promise<void> {
  const end = systemClock.now() + PATIENCE_MS;
  for (const { loop, text } of found) {
    const { node, tag, file } = loop;
    const stays = async () => (await storage.blocks.loops({ node, tag, file })).length > 0;
    while (await stays() && systemClock.now() < end) await pause();
    (await stays() ? left : removed).push(text);
  }
}

async function removeInterfaces(
  { isolation, interfaces }: Ground,
  removed: string[],
  left: string[],
): Promise<void> {
  if (!isolation.network) return;
  for (const { index, name } of await allLinks()) {
    if (interfaces.has(index)) continue;
    const gone = await removeLink(index).then(() => true, () => false);
    // Those of the simulated kernel, whose device has not been detached, are no fault by themselves.
    if (!/^(vif|peer)\d/.test(name)) (gone ? removed : left).push(`network interface ${name}`);
  }
}

async function loops(): Promise<{ name: string; file: string }[]> {
  const found: { name: string; file: string }[] = [];
  for (const name of await systemFiles.list("/sys/block").catch(() => [])) {
    if (!/^loop\d+$/.test(name)) continue;
    const file = await systemFiles.readText(`/sys/block/${name}/loop/backing_file`).catch(() => "");
    if (file !== "") found.push({ name, file: file.trimEnd() });
  }
  return found;
}

function isBelow(path: string, directory: string): boolean {
  return path.startsWith(`${directory}/`);
}

function pause(): Promise<void> {
  return new Promise((resolve) => void systemClock.after(POLL_MS, resolve));
}
