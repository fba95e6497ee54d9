/** What version 2 scripts are run with, by the daemon and by the commands. */
import { own } from "../../../contract/v1/own.ts";
import type { DeviceId } from "../../xen/device_id.ts";
import type { V2Parts } from "../../hotplug/v2/session.ts";
import type { Log } from "../../log/log.ts";
import type { HotplugDirectories } from "./hotplug_directory.ts";
import type { ScriptParts, V2Settings } from "./script_parts.ts";
import { OPERATION_VARIABLE } from "../device/orphans.ts";

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
