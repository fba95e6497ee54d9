/** A device as the daemon tells of it. Pure. */
import type { LifecycleState, Phase } from "../../lifecycle/state.ts";
import type { DeviceJson, DeviceState } from "../../xen/device_json.ts";
import { XenbusState } from "../../xen/states.ts";

/** A device, and what is under way for it. */
export interface DeviceStatus extends DeviceJson {
  /** As commands and methods take it: `vbd/7/51712`. */
  readonly device: string;
  /** Where it is, in words. */
  readonly detail: string;
  /** Why it failed, does not work any more, or cannot be undone. */
  readonly error: string | null;
  /** What is being done or waited for; null: nothing but what the state says. */
  readonly doing: string | null;
  readonly doingMs: number | null;
}

const STATES: Readonly<Record<Phase, DeviceState>> = {
  absent: "waiting",
  recovering: "recovering",
  recovered: "recovering",
  waiting: "waiting",
  recording: "setting-up",
  adding: "setting-up",
  connected: "ready",
  aborting: "undoing",
  undoing: "undoing",
  redoing: "undoing",
  failed: "failed",
  busy: "busy",
  closing: "closing",
  lingering: "closing",
  settling: "closing",
  removing: "closing",
  overdue: "closing",
  finishing: "closing",
  holding: "closed",
  deleting: "closed",
  undeletable: "stuck",
};

/** A phase in the few words that all commands have for it. */
export function stateIn(
  { phase, stuck, observation }: Pick<LifecycleState, "phase" | "stuck" | "observation">,
): DeviceState {
  if (stuck !== null) return "stuck";
  const isUsed = phase === "connected" && observation.state === XenbusState.Connected;
  return isUsed ? "connected" : STATES[phase];
}
