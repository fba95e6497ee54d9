/**
 * How far a device's version 2 script is. The record is a node in its hotplug directory, since the
 * daemon and the commands (`xdevd prepare` …) are different processes, and any may be killed. Pure.
 */
import type { V2Action } from "./convention.ts";

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
