/** Whether a device's version 1 script was begun, as its undo record has it. Pure. */
import type { Undo } from "../../../contract/v1/plugin.ts";

/** Its name in the undo record. */
export const SCRIPT_RECORD = "hotplug script";

/** Of a device of which an add begins: no script has run for it. */
export const NO_SCRIPT: Undo = { [SCRIPT_RECORD]: "none" };

/** Written before the first process of an add starts. */
export const SCRIPT_BEGUN: Undo = { [SCRIPT_RECORD]: "begun" };

/**
 * Whether there may be something of a script to undo. A device that somebody else has set up has no
 * such record: that counts as begun.
 */
export function isScriptBegun(undo: Undo): boolean {
  return undo[SCRIPT_RECORD] !== NO_SCRIPT[SCRIPT_RECORD];
}
