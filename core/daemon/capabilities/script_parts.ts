/** What scripts are run with, by the daemon and by the commands. */
import type { HelperLog, ScriptLimits } from "../../hotplug/run_script.ts";
import type { ScriptPolicy } from "../../hotplug/path_rules.ts";
import type { V2Limits } from "../../hotplug/v2/convention.ts";
import type { VersionCache } from "../../hotplug/v2/version.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Clock, Files, Processes } from "../../../platform/types.ts";
import type { Orphans } from "../device/orphans.ts";
import type { HotplugLocks } from "./hotplug_locks.ts";

/** What version 2 takes besides; without it, every script is one of version 1. */
export interface V2Settings {
  readonly limits: V2Limits;
  readonly versions: VersionCache;
  readonly locks: HotplugLocks;
  /** How long scripts of a process that was killed may go on before they are ended, in ms. */
  readonly orphanMs: number;
}

/** How scripts are run. */
export interface ScriptSettings {
  readonly policy: ScriptPolicy;
  readonly limits: ScriptLimits;
  /** The PATH they get. */
  readonly path: string;
  /** More variables they get: what leads to the store, if it is not at its usual place. */
  readonly environment: Readonly<Record<string, string>>;
  /** What version 2 takes; without it, every script is one of version 1. */
  readonly v2?: V2Settings;
}

/** What running takes. */
export interface ScriptParts {
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly files: Files;
  /** The same for scripts, which lie near. */
  readonly scriptFiles?: Files;
  readonly processes: Processes;
  /** Ends what scripts leave when they are stopped. */
  readonly orphans: Orphans;
  /** Where the causes are that Xen's helpers keep to themselves; without it, they stay there. */
  readonly helperLog?: HelperLog;
  readonly scripts: ScriptSettings;
}
