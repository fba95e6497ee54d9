/** What the journal holds of one device: what undoing needs, and how far it was. Pure. */
import type { DeviceId } from "../../xen/device_id.ts";
import type { Stage } from "../../lifecycle/state.ts";
import type { Undo } from "../../../contract/v1/plugin.ts";
import type { Held } from "./held.ts";

/** A record; the newest one of a device counts. */
export interface JournalEntry {
  readonly id: DeviceId;
  /** The attach id of the device's backend directory; null if it never had one. */
  readonly attachId: string | null;
  readonly stage: Stage;
  /** Since when it is in that stage, in ms since 1970; missing: an earlier version has not kept it. */
  readonly since?: number;
  /** What marks the processes of the operation under way; null when none is. */
  readonly operation: string | null;
  /** Why it failed; null if it did not. */
  readonly error: string | null;
  /** Of one that was refused: names of the devices that it waits for. Null of all others. */
  readonly waitsFor: readonly string[] | null;
  /** What the plugin recorded. */
  readonly undo: Undo;
  /** What the daemon holds. */
  readonly held: Held;
  /** The device's nodes as they were when it was set up, for scripts that undo it later. */
  readonly nodes: Readonly<Record<string, string>>;
}
