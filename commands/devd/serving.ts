/** A daemon with all it needs on this machine: lock, journal, plugins. */
import { Daemon } from "../../core/daemon/daemon.ts";
import { DirectoryKeeper } from "../../core/daemon/capabilities/directories.ts";
import { Journal } from "../../core/daemon/journal/journal.ts";
import { systemParts } from "../../machine/system_parts.ts";
import { type DeviceId, deviceName } from "../../core/xen/device_id.ts";
import { callLimits, type LifecycleTimes } from "../../core/xen/times.ts";
import { openLog } from "../../core/log/log.ts";
import { systemAppendFiles } from "../../platform/io/append_file.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles, targetFiles } from "../../platform/io/files.ts";
import type { LockedFile } from "../../platform/io/flock.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import { effectiveUid, processId } from "../../platform/self.ts";
import { IdleCollector } from "../../platform/idle_collector.ts";
import type { PluginRegistry } from "../../core/daemon/plugin/host.ts";
import { storeEnvironment } from "../../core/xenstore/locate.ts";
import { VERSION } from "../../core/version.ts";
import type { Connected } from "../../machine/connect.ts";
import { lockInRunDirectory, lockPidFile, prepareRunDirectory } from "./daemon_files.ts";
import { AlreadyServed, CodedError } from "../../core/messages/error.ts";
import { v2Settings } from "../hotplug/settings.ts";
import { LiveSettings } from "./live_settings.ts";
import { type Chosen, makeRegistry } from "../plugin/set.ts";

/** Options of whatever serves devices. */
export interface ServingOptions {
  readonly pidfile?: string;
  readonly scripts: readonly string[];
  readonly scriptPath: string;
  readonly runDir: string;
  /** What outlives a restart of the machine; default: its usual place. */
  readonly stateDir?: string;
  /** Whether requests are taken, where the toolstack allows it; default: they are. */
  readonly requests?: boolean;
}

/** A daemon that has not been started, and what it holds. */
export interface Serving {
  readonly daemon: Daemon;
  readonly registry: PluginRegistry;
  readonly settings: LiveSettings;
  /** To be called when something besides the devices has left garbage. */
  leavesGarbage(): void;
  /** Gives lock and journal back. */
  close(): void;
}

/** What is done on the way. */
export interface ServingHooks {
  /** Called once nobody else serves, before anything else is touched. */
  locked?(): Promise<void>;
}

/** Tells one start of the machine from another (random(4)). */
export const BOOT_ID = "/proc/sys/kernel/random/boot_id";

/**
 * Makes a daemon ready to be started.
 * @param only the one device that it is to serve; by default, all
 * @throws AlreadyServed when another process serves already; CodedError when something cannot be
 *   opened; what `hooks` throw
 */
export async function openServing(
  { store, location }: Connected,
  domid: number,
  options: ServingOptions,
  { selection, settings, times }: Chosen & { readonly times: LifecycleTimes },
  only?: DeviceId,
  hooks: ServingHooks = {},
): Promise<Serving> {
  const { runDir, scripts, scriptPath: path, pidfile, stateDir, requests = true } = options;
  const own = `${runDir}/devd-${domid}`;
  const locks: LockedFile[] = [];
  let journal: Journal | null = null;
  const close = () => {
    journal?.close();
    for (const lock of locks) lock.remove();
  };
  try {
    await prepareRunDirectory(runDir);
    locks.push(await lockOrRefuse(`${own}.lock`, lockInRunDirectory));
    if (pidfile !== undefined) locks.push(await lockOrRefuse(pidfile, lockPidFile));
    await hooks.locked?.();
    const what = only === undefined ? "" : ` ${deviceName(only)}`;
    for (const lock of locks) lock.write(`${processId()}${what}\n`);
    journal = await openJournal(`${own}.journal`, domid);
    const registry = makeRegistry(selection, { owner: own, path, answerMs: times.abandon });
    const parts = systemParts(store, scripts, stateDir);
    const v2 = v2Settings({ times, scripts: settings.scripts, runDir, domid });
    const hosts = [...selection.byKind].map(([kind, plugin]) =>
      [plugin, registry.find(kind)!] as const
    );
    const collector = new IdleCollector(systemClock);
    const daemon = new Daemon(domid, {
      ...parts,
      plugins: registry,
      journal,
      times,
      onActivity: () => collector.busy(),
      ...(only === undefined ? {} : { only }),
      // One that serves a single device is somebody's who made that himself.
      ...(only === undefined && requests
        ? { requests: { presence: `${VERSION} ${await bootId()}`, files: "loop" as const } }
        : {}),
      // Something that does not answer may be mounted in one that is removed.
      directories: new DirectoryKeeper({ ...systemFiles, remove: targetFiles.remove }, own),
      calls: callLimits(times),
      scripts: {
        policy: { directories: scripts, trustedUids: [0, effectiveUid()] },
        limits: { timeoutMs: times.hotplug, killGraceMs: times.killGrace },
        path,
        environment: storeEnvironment(location),
        v2,
      },
    });
    const live = new LiveSettings(settings, [...new Map(hosts)], v2.versions);
    const leavesGarbage = () => collector.busy();
    return { daemon, registry, settings: live, leavesGarbage, close };
  } catch (error) {
    close();
    throw error;
  }
}

/** @throws CodedError: whether a journal is of this boot can then not be told */
async function bootId(): Promise<string> {
  try {
    return (await systemFiles.readText(BOOT_ID)).trim();
  } catch (error) {
    throw new CodedError(
      "failed",
      `cannot tell this start of the machine from others: ${(error as Error).message}`,
    );
  }
}

async function openJournal(path: string, domid: number): Promise<Journal> {
  const log = openLog();
  return Journal.open({
    files: systemAppendFiles,
    path,
    domid,
    bootId: await bootId(),
    report: (level, text) => log[level](text),
  });
}

/**
 * How long a lock may be held on, in ms, whose holder has ended: what that was about to start has all that was
 * open, until it has become another program.
 */
const HANDED_ON_MS = 2_000;
const HANDED_ON_PAUSE_MS = 20;

/** @throws AlreadyServed */
async function lockOrRefuse(
  path: string,
  make: (path: string) => Promise<LockedFile | null>,
): Promise<LockedFile> {
  const end = systemClock.now() + HANDED_ON_MS;
  let [pid, device]: (string | undefined)[] = [];
  for (;;) {
    const lock = await make(path);
    if (lock !== null) return lock;
    [pid, device] = (await systemFiles.readText(path).catch(() => "")).trim().split(" ");
    if (!pid || systemClock.now() > end) break;
    if (await systemProcessTable.identityOf(Number(pid)) !== undefined) break;
    await new Promise<void>((resolve) => void systemClock.after(HANDED_ON_PAUSE_MS, resolve));
  }
  const holder = pid ? `, process ${pid},` : "";
  throw device === undefined
    // Who has only just begun has written nothing yet.
    ? new AlreadyServed(`another daemon${holder} serves already: ${path} is locked`, !pid)
    : new AlreadyServed(`another command${holder} serves ${device}: ${path} is locked`, true);
}
