/** What the looks look at: files, the store, and what it tells of this domain's devices. */
import { backendRoot, type DeviceId, parseDecimal, placeOf } from "../../core/xen/device_id.ts";
import { absentOrHidden } from "../../core/xenstore/access.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import type { DeviceStatus } from "../../core/daemon/control/device_status.ts";
import type { DaemonReport } from "../../core/daemon/control/report.ts";
import type { Files } from "../../platform/types.ts";
import type { PluginOptions, PluginSet } from "../plugin/set.ts";

/** The command's options, as parsed. */
export interface DoctorOptions extends PluginOptions {
  readonly json?: boolean;
  readonly store?: string;
  readonly root?: string;
  readonly domain?: string;
  readonly runDir: string;
  readonly scripts: readonly string[];
  readonly scriptPath: string;
}

/** The store, as this domain sees it. */
export interface SeenStore {
  readonly store: StoreClient;
  /** This domain's. */
  readonly domid: number;
}

/** A device's backend directory. */
export interface SeenDevice {
  readonly id: DeviceId;
  readonly path: string;
  /** The nodes {@link NODES}, as far as they are there. */
  readonly nodes: Readonly<Partial<Record<typeof NODES[number], string>>>;
}

/** All backends of a driver domain. */
export interface SeenDevices {
  readonly devices: readonly SeenDevice[];
  /** How many there are; more than {@link DEVICES_MAX} are not looked at. */
  readonly count: number;
  /** How many directories of guests have no device in them. */
  readonly empty: number;
}

/** What a daemon tells of itself. */
export type TellingDaemon = Pick<DaemonReport, "version" | "unanswered"> & {
  readonly devices: readonly DeviceStatus[];
};

/** Everything. */
export interface Here {
  /** Of the root that is looked at. What may lie on storage that does not answer is asked by helpers. */
  readonly files: Files;
  readonly options: DoctorOptions;
  /** Owners that are trusted. */
  readonly trustedUids: readonly number[];
  /** @throws CodedError when there is no store */
  store(): Promise<SeenStore>;
  /** The devices that this domain serves. @throws CodedError, StoreError */
  devices(): Promise<SeenDevices>;
  /** @throws CodedError when the configuration cannot be read */
  plugins(): Promise<PluginSet>;
  /** What the daemon tells; null: one answers that tells nothing. @throws NoDaemon */
  daemon(): Promise<TellingDaemon | null>;
  /** What is wrong with options of the daemon; null: nothing. */
  mistakeIn(words: readonly string[]): string | null;
  /** Whether this is a domain of Xen; null: nobody can tell. */
  isXen(): Promise<boolean | null>;
}

/** What is read of each backend. */
export const NODES = [
  "script",
  "bridge",
  "state",
  "online",
  "hotplug-status",
  "hotplug-error",
  "frontend",
] as const;

/** Most devices that are looked at. */
const DEVICES_MAX = 2_000;

/** Longest file that is read, in bytes. */
const TEXT_MAX = 1024 * 1024;

/** All backends of a domain, by the store. */
export async function devicesOf(store: StoreClient, domid: number): Promise<SeenDevices> {
  const children = async (path: string) => await absentOrHidden(store.list(path)) ?? [];
  const root = backendRoot(domid);
  const ids: DeviceId[] = [];
  let empty = 0;
  for (const kind of await children(root)) {
    const guests = (await children(`${root}/${kind}`)).slice(0, DEVICES_MAX);
    const lists = await Promise.all(guests.map((guest) => children(`${root}/${kind}/${guest}`)));
    guests.forEach((guest, index) => {
      if (lists[index]!.length === 0) empty++;
      for (const devid of lists[index]!) {
        const place = placeOf(`${root}/${kind}/${guest}/${devid}`, domid);
        if (place.at === "device") ids.push(place.id);
      }
    });
  }
  const looked = ids.slice(0, DEVICES_MAX);
  const devices = await Promise.all(looked.map(async (id) => {
    const path = `${root}/${id.kind}/${id.frontendDomid}/${id.devid}`;
    const values = await Promise.all(NODES.map((name) => store.readVisible(`${path}/${name}`)));
    const nodes = Object.fromEntries(
      NODES.map((name, index) => [name, values[index]]).filter(([, value]) => value !== undefined),
    );
    return { id, path, nodes };
  }));
  return { devices, count: ids.length, empty };
}

/** A file's text; undefined when there is no such file. @throws SystemError */
export async function textOf(files: Files, path: string): Promise<string | undefined> {
  return await unlessMissing(files.readText(path, TEXT_MAX));
}

/** The names in a directory; none when there is no such directory. @throws SystemError */
export async function namesIn(files: Files, path: string): Promise<string[]> {
  return await unlessMissing(files.list(path)) ?? [];
}

/** Of the processes below /proc. @throws SystemError; undefined without /proc */
export async function processesOf(files: Files): Promise<number[] | undefined> {
  const pids = (await namesIn(files, "/proc")).map((name) => parseDecimal(name, 0x7fffffff))
    .filter((pid) => pid !== undefined);
  return pids.length === 0 ? undefined : pids;
}

async function unlessMissing<T>(work: Promise<T>): Promise<T | undefined> {
  try {
    return await work;
  } catch (error) {
    const { code = "" } = error as { code?: string };
    // A process that has ended is ESRCH.
    if (["ENOENT", "ENOTDIR", "ESRCH", "ELOOP"].includes(code)) return undefined;
    throw error;
  }
}
