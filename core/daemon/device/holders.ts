/** What other devices hold, by their records: for plugins that must not use the same. */
import type { Holder } from "../../../contract/v1/plugin.ts";
import type { Phase, Stage } from "../../lifecycle/state.ts";
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import type { UndoValue } from "../journal/entry_map.ts";
import type { JournalStore } from "../journal/memory.ts";

/** Phases in which a device's way leads to its being undone. */
const ENDING: ReadonlySet<Phase> = new Set<Phase>([
  "aborting",
  "undoing",
  "failed",
  "busy",
  "closing",
  "lingering",
  "settling",
  "removing",
  "overdue",
  "finishing",
  "holding",
  "deleting",
  "undeletable",
]);

function isEnding(stage: Stage, phase: Phase | undefined): boolean {
  if (stage === "adding" || stage === "connected") return phase !== undefined && ENDING.has(phase);
  // It is being undone so as to be set up anew.
  return phase !== "redoing";
}

/** The devices beside one. */
export class Holders {
  readonly #id: DeviceId;
  readonly #journal: JournalStore;
  readonly #phaseOf: (id: DeviceId) => Phase | undefined;

  /** @param phaseOf where another device is in its life, if it is known */
  constructor(
    id: DeviceId,
    journal: JournalStore,
    phaseOf: (id: DeviceId) => Phase | undefined,
  ) {
    this.#id = id;
    this.#journal = journal;
    this.#phaseOf = phaseOf;
  }

  /** Those whose undo records have this value under this name. */
  of(name: string, value: string, by: "any" | "other guests"): Holder[] {
    return this.#entries(name, value, by).map(({ id, stage, undo }) => ({
      kind: id.kind,
      frontendDomid: id.frontendDomid,
      devid: id.devid,
      ending: isEnding(stage, this.#phaseOf(id)),
      stage,
      undo,
    }));
  }

  /** Whether there are any. */
  any(name: string, value: string, by: "any" | "other guests"): boolean {
    return this.#entries(name, value, by).length > 0;
  }

  /** The different values that undo records have under this name. */
  values(name: string): UndoValue[] {
    return this.#journal.values(name);
  }

  #entries(name: string, value: string, by: "any" | "other guests") {
    const own = deviceName(this.#id);
    return this.#journal.holders(name, value).filter(({ id }) =>
      deviceName(id) !== own && (by === "any" || id.frontendDomid !== this.#id.frontendDomid)
    );
  }
}
