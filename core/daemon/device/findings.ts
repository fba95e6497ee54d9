/** What checks have found: what is lost of a device that is set up, and what of it is worth a line. */
import { XenbusState } from "../../xen/states.ts";
import { type Observation, wishOf } from "../../lifecycle/observation.ts";
import type { Log } from "../../log/log.ts";
import type { Findings, ProofOfSetup } from "../../../contract/v1/plugin.ts";

/**
 * What the nodes of a device that is set up no longer say. `undone`: a backend that has yet to
 * connect waits for `hotplug-status`, which the kernel deletes with what was set up; nobody uses the
 * device now. `report`: only the node is missing. `failed`: somebody says that it has failed.
 */
export function lossOf(
  seen: Observation,
  proof: readonly ProofOfSetup[],
): "undone" | "report" | "failed" | null {
  if (!proof.includes("status") || seen.report === "connected") return null;
  // Whoever is closing, or may come back, is let alone.
  if (wishOf(seen) !== "present") return null;
  if (seen.report === "failed") return "failed";
  const waits = (seen.state ?? 0) < XenbusState.Connected;
  return waits && !proof.includes("state") ? "undone" : "report";
}

/** Whether two looks differ in what {@link lossOf} goes by. */
export function hasChanged(before: Observation, now: Observation): boolean {
  return before.report !== now.report || before.state !== now.state;
}

/** The lines about one device's checks: each of them once, as long as it holds. */
export class FindingsLog {
  readonly #log: Log;
  /** How many checks in a row have found it. */
  #notices = new Map<string, number>();
  #mended = new Map<string, number>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** Takes what the next check has found. */
  take({ notices = [], mended = [] }: Findings): void {
    for (const [notice, count] of this.#notices) {
      if (count > 1 && !notices.includes(notice)) this.#log.info(`no longer so: ${notice}`);
    }
    this.#notices = counted(this.#notices, notices);
    for (const [notice, count] of this.#notices) {
      // What is on its way is not told.
      if (count === 2) this.#log.warning(notice);
    }
    this.#mended = counted(this.#mended, mended);
    for (const [line, count] of this.#mended) {
      if (count === 1) this.#log.warning(line);
      if (count === 3) this.#log.warning(`${line}; and so each time: somebody keeps undoing it`);
    }
  }
}

function counted(before: ReadonlyMap<string, number>, lines: readonly string[]) {
  return new Map(lines.map((line) => [line, (before.get(line) ?? 0) + 1]));
}
