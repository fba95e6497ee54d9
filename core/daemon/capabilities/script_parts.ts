/** What the parts of a device have to run scripts with. */
import type { HelperLog, ScriptLimits } from "../../hotplug/run_script.ts";
import type { ScriptPolicy } from "../../hotplug/path_rules.ts";
import type { V2Limits } from "../../hotplug/v2/convention.ts";
import type { VersionCache } from "../../hotplug/v2/version.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Clock, Files, Processes } from "../../../platform/types.ts";
import { OPERATION_VARIABLE, type Orphans } from "../device/orphans.ts";
import type { HotplugLocks } from "./hotplug_locks.ts";
import { own } from "../../../contract/v1/own.ts";
import type { DeviceId } from "../../xen/device_id.ts";
import type { V2Parts } from "../../hotplug/v2/session.ts";
import type { Log } from "../../log/log.ts";
import type { HotplugDirectories } from "./hotplug_directory.ts";

/** What version 2 takes besides; without it, every script is one of version 1. */
export interface V2Settings {
  readonly limits: V2Limits;
  readonly versions: VersionCache;
  readonly locks: HotplugLocks;
  /** How long scripts of a process that was killed may go on before they are ended, in ms. */
  readonly orphanMs: number;
}

/** How scripts are run. */
interface ScriptSettings {
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
  /** A node names a script: that may lie anywhere, as what a target names. */
  readonly files: Files;
  readonly processes: Processes;
  /** Ends what scripts leave when they are stopped. */
  readonly orphans: Orphans;
  /** Where the causes are that Xen's helpers keep to themselves; without it, they stay there. */
  readonly helperLog?: HelperLog;
  readonly scripts: ScriptSettings;
}

/** What a device's script is run with, wherever it is run from. */
export async function v2Parts(
  id: DeviceId,
  parts: ScriptParts,
  v2: V2Settings,
  hotplug: HotplugDirectories,
  log: Log,
  environment: Readonly<Record<string, string>>,
): Promise<V2Parts> {
  const { store, clock, files, processes, orphans, scripts, helperLog } = parts;
  const operation = own(environment, OPERATION_VARIABLE) ?? crypto.randomUUID();
  return {
    store,
    clock,
    files,
    processes,
    ...(helperLog === undefined ? {} : { helperLog }),
    policy: scripts.policy,
    limits: v2.limits,
    killGraceMs: scripts.limits.killGraceMs,
    environment: {
      PATH: scripts.path,
      ...scripts.environment,
      ...environment,
      [OPERATION_VARIABLE]: operation,
    },
    operation,
    directory: await hotplug.of(id),
    log,
    async awaitOrphans(orphan) {
      if (await orphans.ended(orphan, v2.orphanMs)) {
        log.warning("processes of a script that had lost its caller were ended");
      }
    },
    endMarked: () => orphans.end(operation, "SIGTERM"),
    forget: () => hotplug.remove(id, "any"),
  };
}
