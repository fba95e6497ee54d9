/** What version 2 scripts are run with, the same in the daemon and in the commands. */
import { HotplugLocks, lockDirectory } from "../../core/daemon/capabilities/hotplug_locks.ts";
import type { V2Settings } from "../../core/daemon/capabilities/script_parts.ts";
import { DEFAULT_SCRIPT_DIRECTORY } from "../../core/hotplug/defaults.ts";
import { v2Limits } from "../../core/hotplug/v2/convention.ts";
import { type ForcedVersions, VersionCache } from "../../core/hotplug/v2/version.ts";
import type { LifecycleTimes } from "../../core/xen/times.ts";
import { systemClock } from "../../platform/clock.ts";
import { lockFile } from "../../platform/io/flock.ts";
import { systemFiles, targetFiles } from "../../platform/io/files.ts";

export interface V2Choices {
  readonly times: LifecycleTimes;
  readonly scripts: ForcedVersions;
  /** The daemon's run directory. */
  readonly runDir: string;
  /** Of the driver domain. */
  readonly domid: number;
}

/** Puts it together. */
export function v2Settings({ times, scripts, runDir, domid }: V2Choices): V2Settings {
  return {
    limits: v2Limits(times),
    versions: new VersionCache(targetFiles, scripts, DEFAULT_SCRIPT_DIRECTORY),
    locks: new HotplugLocks(systemFiles, systemClock, lockDirectory(runDir, domid), lockFile),
    orphanMs: times.orphans,
  };
}
