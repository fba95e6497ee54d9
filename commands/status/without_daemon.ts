/** How things are when no daemon answers: what its journal and the store tell. */
import { systemFiles } from "../../platform/io/files.ts";
import { CodedError } from "../../core/messages/error.ts";
import { ownDomid } from "../../core/daemon/daemon.ts";
import type { DeviceStatus } from "../../core/daemon/control/device_status.ts";
import { type Served, servedIn, targetOf } from "../../core/daemon/device/served.ts";
import type { JournalEntry } from "../../core/daemon/journal/entry.ts";
import { replay } from "../../core/daemon/journal/format.ts";
import type { Stage } from "../../core/lifecycle/state.ts";
import { stateOfNodes } from "../../core/toolstack/list_devices.ts";
import {
  backendPath,
  backendRoot,
  type DeviceId,
  deviceName,
  placeOf,
} from "../../core/xen/device_id.ts";
import { deviceJson, type DeviceState } from "../../core/xen/device_json.ts";
import { parseState } from "../../core/xen/states.ts";
import { absentOrHidden } from "../../core/xenstore/access.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { nameIn } from "../../core/toolstack/domains.ts";
import { connectStore } from "../../machine/connect.ts";
import { BOOT_ID } from "../devd/serving.ts";
import type { StatusOptions } from "./options.ts";
import type { Picture } from "./status_text.ts";

/** Longest journal that is read, in bytes. */
const JOURNAL_MAX = 64 * 1024 * 1024;

/** What a record says of a device when the store says nothing. */
const STAGES: Readonly<Record<Stage, DeviceState>> = {
  adding: "setting-up",
  connected: "ready",
  undoing: "undoing",
  failed: "failed",
  removing: "closing",
  removed: "closed",
};

const STAGE_WORDS: Readonly<Record<Stage, string>> = {
  adding: "its setup had begun",
  connected: "set up",
  undoing: "its setup had failed; undoing it had begun",
  failed: "could not be set up",
  removing: "undoing it had begun",
  removed: "undone",
};

/** @param why nobody answers @throws CodedError when neither journal nor store can be read */
export async function withoutDaemon(options: StatusOptions, why: string): Promise<Picture> {
  const [journal, store] = await Promise.all([
    readJournal(options.runDir).catch((error: Error) =>
      `the journal cannot be read: ${error.message}`
    ),
    connectStore(options.store).then(({ store }) => store, (error: Error) => error.message),
  ]);
  if (typeof store === "string") {
    if (typeof journal === "string") {
      throw new CodedError("daemon-silent", why, [journal, `the store tells nothing: ${store}`]);
    }
    const devices = [...journal.values()].map((entry) => statusOf(entry.id, entry, undefined));
    return picture(why, `the journal alone, since the store tells nothing (${store})`, devices);
  }
  try {
    const entries = typeof journal === "string" ? new Map<string, JournalEntry>() : journal;
    const domid = await ownDomid(store);
    const devices = await readDevices(store, domid, entries);
    const from = typeof journal === "string" ? `the store alone (${journal})` : "journal and store";
    const hint = domid === 0 ? "; of a driver domain tells xdevd status --domain NAME" : "";
    return picture(why, from + hint, devices);
  } finally {
    store.close();
  }
}

function picture(why: string, from: string, devices: readonly DeviceStatus[]): Picture {
  return {
    ...{ daemon: null, note: `${why}; what follows is from ${from}`, devices },
    ...{ failures: [], unanswered: [] },
  };
}

/** The records of this start of the machine, by device names. @throws SystemError when nobody can tell */
async function readJournal(runDir: string): Promise<Map<string, JournalEntry>> {
  const names = (await systemFiles.list(runDir)).filter((name) => /^devd-\d+\.journal$/.test(name));
  // None is no empty one.
  if (names.length === 0) throw new Error(`there is none in ${runDir}`);
  const bootId = (await systemFiles.readText(BOOT_ID)).trim();
  const all = new Map<string, JournalEntry>();
  for (const name of names) {
    const bytes = await systemFiles.readAt(`${runDir}/${name}`, 0, JOURNAL_MAX);
    const { header, entries } = replay(bytes);
    if (header?.bootId !== bootId) continue;
    for (const [device, entry] of entries) all.set(device, entry);
  }
  return all;
}

/** All that the journal knows, and all that is in the store. */
async function readDevices(
  store: StoreClient,
  domid: number,
  entries: Map<string, JournalEntry>,
): Promise<DeviceStatus[]> {
  const root = backendRoot(domid);
  const ids = new Map<string, DeviceId>([...entries].map(([name, { id }]) => [name, id]));
  const list = async (path: string) => await absentOrHidden(store.list(path)) ?? [];
  for (const kind of await list(root)) {
    for (const guest of await list(`${root}/${kind}`)) {
      for (const devid of await list(`${root}/${kind}/${guest}`)) {
        const place = placeOf(`${root}/${kind}/${guest}/${devid}`, domid);
        if (place.at === "device") ids.set(deviceName(place.id), place.id);
      }
    }
  }
  return await Promise.all([...ids].map(async ([name, id]) => {
    const names = ["state", "hotplug-status", "hotplug-error", "params", "bridge", "path"];
    const [state, ...values] = await Promise.all(
      names.map((node) => store.readVisible(`${backendPath(id)}/${node}`)),
    );
    const [status, error, params, bridge, path] = values;
    const guestName = await nameIn(store, id.frontendDomid);
    return statusOf(
      id,
      entries.get(name),
      state === undefined ? undefined : {
        state: stateOfNodes(parseState(state), status),
        error: error || null,
        target: targetOf({ params, bridge, path }),
      },
      guestName,
    );
  }));
}

/** @param seen in the store; undefined: nothing */
function statusOf(
  id: DeviceId,
  entry: JournalEntry | undefined,
  seen: { state: DeviceState; error: string | null; target: string | null } | undefined,
  guestName?: string,
): DeviceStatus {
  const served: Served = entry === undefined ? { target: null, way: null } : servedIn(entry);
  const stage = entry?.stage;
  return {
    ...deviceJson({
      ...{ ...id, backend: id.backendDomid, guestName, way: served.way },
      target: served.target ?? seen?.target,
      state: seen?.state ?? (stage === undefined ? "unknown" : STAGES[stage]),
      since: entry?.since === undefined ? null : new Date(entry.since).toISOString(),
    }),
    device: deviceName(id),
    detail: stage === undefined ? "the journal does not know it" : STAGE_WORDS[stage],
    error: entry?.error ?? seen?.error ?? null,
    ...{ doing: null, doingMs: null },
  };
}
