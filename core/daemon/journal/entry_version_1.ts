/**
 * Records as version 1 of the format had them: one map `undo` for what the plugin had recorded and
 * what the daemon held, told apart by names. Pure.
 */
import type { Undo } from "../../../contract/v1/plugin.ts";
import type { JournalEntry } from "./entry.ts";
import { fieldsOf, idOf, isStage, isTextOrNull, textsOf, undoOf } from "./fields.ts";
import { type Held, UNKNOWN_HELD, type V2Progress } from "./held.ts";

/** The names that were the daemon's. */
const SCRIPT = "hotplug script";
const DIRECTORY = "hotplug directory";
const PROGRESS = "hotplug v2";
const TARGET = "hotplug target";
const WAITS = "hotplug waits for";
const MODEL = "device model";
const MODEL_PROCESS = "device model process";
/** Those of processes begin so. */
const PROCESS = "process ";

const DAEMONS = [SCRIPT, DIRECTORY, PROGRESS, TARGET, WAITS, MODEL, MODEL_PROCESS];
const PROGRESSES: ReadonlySet<unknown> = new Set<V2Progress>([
  ...["asked", "preparing", "adding", "done", "no"] as const,
]);

/** The entry; null if it is none. */
export function entryOfVersion1(value: unknown): JournalEntry | null {
  const fields = fieldsOf(value);
  const id = idOf(fields?.["id"]);
  const undo = undoOf(fields?.["undo"]);
  const nodes = textsOf(fields?.["nodes"]);
  if (fields === null || id === null || undo === null || nodes === null) return null;
  const { token, stage, operation, error } = fields;
  if (typeof token !== "string" || !isStage(stage)) return null;
  if (!isTextOrNull(operation) || !isTextOrNull(error)) return null;
  const waits = undo[WAITS];
  return {
    id,
    attachId: token || null,
    stage,
    operation,
    error,
    waitsFor: waits === undefined ? null : String(waits).split(" ").filter((name) => name !== ""),
    undo: plugins(undo),
    held: heldIn(undo),
    nodes,
  };
}

function isProcess(name: string): boolean {
  return name.startsWith(PROCESS);
}

function plugins(undo: Undo): Undo {
  const own = Object.entries(undo).filter(([name]) => !DAEMONS.includes(name) && !isProcess(name));
  return Object.fromEntries(own);
}

function heldIn(undo: Undo): Held {
  const { [MODEL]: mark, [MODEL_PROCESS]: identity, [PROGRESS]: progress } = undo;
  const script = undo[SCRIPT];
  return {
    ...UNKNOWN_HELD,
    processes: Object.fromEntries(
      Object.entries(undo).filter(([name]) => isProcess(name))
        .map(([name, argv]) => [name.slice(PROCESS.length), String(argv)]),
    ),
    hotplugDirectory: undo[DIRECTORY] === true,
    deviceModel: mark === undefined
      ? null
      : { mark: String(mark), identity: identity === undefined ? null : String(identity) },
    script: script === "none" || script === "begun" ? script : null,
    version2: PROGRESSES.has(progress)
      ? { progress: progress as V2Progress, target: String(undo[TARGET] ?? "") }
      : null,
  };
}
