/** What the daemon itself holds for a device. What its plugin has recorded is not among it. Pure. */

/** How far a version 2 script is: `no` if the device's script turned out to be of version 1. */
export type V2Progress = "asked" | "preparing" | "adding" | "done" | "no";

/** All of it, each written before it is acquired. */
export interface Held {
  /** Command lines of the processes that serve the device, by their names. */
  readonly processes: Readonly<Record<string, string>>;
  /** Whether there may be a hotplug directory. */
  readonly hotplugDirectory: boolean;
  /** The guest's device model that is kept for it. `identity` is that of the process it was given, null before. */
  readonly deviceModel: { readonly mark: string; readonly identity: string | null } | null;
  /**
   * Whether its version 1 script was begun. Null of a device that somebody else has set up: then it
   * may have been.
   */
  readonly script: "none" | "begun" | null;
  /** Its version 2 script, for the case that the store forgets. `target` is that of its `params`. */
  readonly version2: { readonly progress: V2Progress; readonly target: string } | null;
}

/** Of a device that somebody else may have set up. */
export const UNKNOWN_HELD: Held = {
  processes: {},
  hotplugDirectory: false,
  deviceModel: null,
  script: null,
  version2: null,
};

/** Of a device of which an add begins. */
export const NOTHING_HELD: Held = { ...UNKNOWN_HELD, script: "none" };

/** Whether it is set up by a version 2 script. */
export function isVersion2({ version2 }: Held): boolean {
  return version2 !== null && version2.progress !== "no";
}
