/** A version 2 script's `prepare` and `unprepare`, for a request. */
import type { DeviceId } from "../../xen/device_id.ts";
import { checkScript } from "../../hotplug/path_rules.ts";
import { V2Session } from "../../hotplug/v2/session.ts";
import type { Log } from "../../log/log.ts";
import type { Serving } from "../protocol/serve.ts";
import type { HotplugDirectories } from "../../daemon/capabilities/hotplug_directory.ts";
import type { ScriptParts } from "../../daemon/capabilities/script_parts.ts";
import { v2Parts } from "../../daemon/capabilities/scripts_v2_parts.ts";

/** What preparing takes. */
export interface PrepareParts extends ScriptParts {
  readonly hotplug: HotplugDirectories;
}

/**
 * Has the script of a block device do ahead what takes long; nothing for scripts of version 1. What
 * is prepared stays so until the device's lane takes it over, or `unprepare`.
 * @throws Error; `unprepare` is to follow
 */
export async function prepare(
  parts: PrepareParts,
  { id, nodes }: Serving,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  const { v2, policy } = parts.scripts;
  const value = (name: string) => nodes.find(([other]) => other === name)?.[1] ?? "";
  const script = value("script");
  if (v2 === undefined || id.kind !== "vbd" || script === "") return;
  const path = await checkScript(parts.files, script, policy);
  if (await v2.versions.find(path) === 1) return;
  await exclusively(parts, id, log, signal, async (session) => {
    const target = { script: path, params: value("params") };
    if (session.record?.stage === "prepared") {
      const { script: other, params } = session.target;
      if (other !== path || params !== target.params) {
        throw new Error(`it is prepared by ${other} for another target`);
      }
      return await session.hold(true);
    }
    if (await v2.versions.find(path) === undefined) {
      const version = await session.probe(target) ? 2 : 1;
      await v2.versions.learn(path, version);
    }
    signal.throwIfAborted();
    if (await v2.versions.find(path) === 2) await session.prepare(target, true);
  });
}

/** Undoes that, unless the device's lane has; may be called for what was never prepared. */
export async function unprepare(
  parts: PrepareParts,
  id: DeviceId,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  if (parts.scripts.v2 === undefined || await parts.hotplug.record(id) === null) return;
  await exclusively(parts, id, log, signal, async (session) => {
    if (session.record === null || session.record.attached) return;
    await session.hold(false);
    await session.release();
  });
}

async function exclusively(
  parts: PrepareParts,
  id: DeviceId,
  log: Log,
  signal: AbortSignal,
  work: (session: V2Session) => Promise<void>,
): Promise<void> {
  const { v2 } = parts.scripts;
  if (v2 === undefined) return;
  const session = await v2Parts(id, parts, v2, parts.hotplug, log, {});
  await v2.locks.run(
    id,
    signal,
    async () => await work(await V2Session.open(session, signal)),
  );
}
