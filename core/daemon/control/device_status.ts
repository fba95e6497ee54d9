/** A device as the daemon tells of it. Pure. */
import type { LifecycleState, Phase } from "../../lifecycle/state.ts";
import type { DeviceShape, DeviceState } from "../../xen/device_shape.ts";

/** A device, and what is under way for it. */
export interface DeviceStatus extends DeviceShape {
  /** Where it is, in words. */
  readonly detail: string;
  /** What is being done or waited for; null: nothing but what the state says. */
  readonly doing: string | null;
  readonly doingMs: number | null;
}

const STATES: Readonly<Record<Phase, DeviceState>> = {
  absent: "waiting",
  recovering: "recovering",
  recovered: "recovering",
  waiting: "waiting",
  recording: "attaching",
  adding: "attaching",
  connected: "connected",
  aborting: "undoing",
  undoing: "undoing",
  redoing: "undoing",
  failed: "failed",
  busy: "busy",
  closing: "detaching",
  lingering: "detaching",
  settling: "detaching",
  removing: "detaching",
  overdue: "detaching",
  finishing: "detaching",
  holding: "detaching",
  deleting: "detaching",
  undeletable: "detaching",
};

/** A phase in the few words that all commands have for it. */
export function stateIn(
  { phase, stuck, error }: Pick<LifecycleState, "phase" | "stuck" | "error">,
): DeviceState {
  if (stuck !== null) return "stuck";
  return phase === "connected" && error !== null ? "broken" : STATES[phase];
}
