/**
 * The calling convention of hotplug scripts, version 2: block scripts that can be prepared before
 * the device is added, and attached locally. docs/hotplug-v2.md describes it for their authors. Pure.
 */
import type { LifecycleTimes } from "../../xen/times.ts";

/** What a script is asked to do: its only argument. */
export const V2_ACTIONS = [
  "version",
  "prepare",
  "add",
  "remove",
  "localattach",
  "localdetach",
  "unprepare",
] as const;

/** One of {@link V2_ACTIONS}. */
export type V2Action = typeof V2_ACTIONS[number];

/** How long each action may take, in ms. */
export type V2Limits = Readonly<Record<V2Action, number>>;

/** Limits by the daemon's times. */
export function v2Limits(times: Pick<LifecycleTimes, "version" | "prepare" | "hotplug">): V2Limits {
  const { version, prepare, hotplug } = times;
  return {
    version,
    prepare,
    unprepare: prepare,
    add: hotplug,
    remove: hotplug,
    localattach: hotplug,
    localdetach: hotplug,
  };
}

/** Nodes of the hotplug directory that a script must not use for itself. */
export const V2_NODES = {
  /** The target as the toolstack wrote it. */
  target: "params",
  script: "script",
  /** What the script answers to `version`. */
  version: "version",
  /** The block device that resulted. */
  device: "pdev",
} as const;

/**
 * Environment of an action, besides PATH and what leads to the store.
 * @param hotplugPath absolute, without trailing slash
 * @param backendPath likewise; given to `add` and `remove` only, so that a misuse fails loudly
 */
export function v2Environment(
  action: V2Action,
  hotplugPath: string,
  backendPath: string,
): Record<string, string> {
  const connects = action === "add" || action === "remove";
  return {
    HOTPLUG_PATH: hotplugPath,
    ...(connects ? { BACKEND_PATH: backendPath } : {}),
  };
}

/** Whether the answer to `version` is 2. */
export function saysVersion2(text: string | undefined): boolean {
  return text !== undefined && /^\s*0*2\s*$/.test(text);
}

/** Scripts that come with Xen, in /etc/xen/scripts: all of version 1, and not to be asked. */
const STOCK = new Set([
  "block",
  "block-drbd-probe",
  "block-dummy",
  "block-enbd",
  "block-iscsi",
  "block-nbd",
  "block-tap",
  "vscsi",
]);

/** What a version 2 script cannot do without: its text has this name in it. */
export const V2_TELLTALE = "HOTPLUG_PATH";

/** Whether a script is one that comes with Xen. @param path absolute */
export function isStockScript(path: string, stockDirectory: string): boolean {
  const slash = path.lastIndexOf("/");
  return path.slice(0, slash) === stockDirectory && STOCK.has(path.slice(slash + 1));
}

/** Name of the node. */
export const RECORD_NODE = "xdevd-record";

/** The record. It is written before each action and after it. */
export interface V2Record {
  readonly stage:
    /** The script is asked for its version, or has said 2; nothing is held. */
    | "probing"
    /** `prepare` may have begun, and has not succeeded. */
    | "preparing"
    /** `prepare` has succeeded. */
    | "prepared"
    /** `unprepare` may have begun. */
    | "unpreparing";
  /** Prepared by command: it stays prepared when nobody uses it, until an attach takes it over. */
  readonly held: boolean;
  /** How many local attachments there are; the script is run for the first and after the last. */
  readonly local: number;
  /** `add` may have begun, and `remove` has not ended. */
  readonly attached: boolean;
  /** The action that runs, or was interrupted, and what its processes are marked by. */
  readonly running: { readonly action: V2Action; readonly operation: string } | null;
}

/** Nothing done yet. */
export const FRESH: V2Record = {
  stage: "probing",
  held: false,
  local: 0,
  attached: false,
  running: null,
};

/** A record that somebody has damaged: anything may be held, and undoing does no harm. */
const DAMAGED: V2Record = { ...FRESH, stage: "prepared", attached: true };

/** As the node's value. */
export function formatRecord(record: V2Record): string {
  return JSON.stringify(record);
}

/** From the node's value. */
export function parseRecord(text: string): V2Record {
  let value: Partial<V2Record>;
  try {
    value = JSON.parse(text) ?? {};
  } catch {
    return DAMAGED;
  }
  const { stage, held, local, attached, running } = value;
  const isRecord = ["probing", "preparing", "prepared", "unpreparing"].includes(stage ?? "") &&
    typeof held === "boolean" && typeof attached === "boolean" && Number.isInteger(local) &&
    (running === null || typeof running?.operation === "string");
  return isRecord ? value as V2Record : DAMAGED;
}

/**
 * What has to be done before anything else, when nothing runs any more: an interrupted or failed
 * `prepare` is undone by one `unprepare`; an interrupted local attach or detach by `localdetach`. An
 * interrupted `add` or `remove` is the daemon's to undo.
 */
export function leftToDo(record: V2Record): "nothing" | "forget" | "unprepare" | "localdetach" {
  if (record.stage === "probing") return record.running === null ? "nothing" : "forget";
  if (record.stage !== "prepared") return "unprepare";
  const { action } = record.running ?? {};
  return action === "localattach" || action === "localdetach" ? "localdetach" : "nothing";
}

/** Whether nobody uses what is prepared, and nobody wants it kept. */
export function isIdle({ held, local, attached }: V2Record): boolean {
  return !held && local === 0 && !attached;
}
