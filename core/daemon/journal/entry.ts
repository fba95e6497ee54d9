/** What the journal holds of one device: what undoing needs, and how far it was. Pure. */
import type { DeviceId } from "../../xen/device_id.ts";
import type { Stage } from "../../lifecycle/state.ts";
import type { Undo } from "../../../contract/v1/plugin.ts";

/** A record; the newest one of a device counts. */
export interface JournalEntry {
  readonly id: DeviceId;
  /** The attach id of the device's backend directory; empty if it never had one. */
  readonly token: string;
  readonly stage: Stage;
  /** What marks the processes of the operation under way; null when none is. */
  readonly operation: string | null;
  /** Why it failed; null if it did not. */
  readonly error: string | null;
  /** What the plugin recorded. */
  readonly undo: Undo;
  /** The device's nodes as they were when it was set up, for scripts that undo it later. */
  readonly nodes: Readonly<Record<string, string>>;
}
