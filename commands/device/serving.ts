/** Doing the driver domain's part for one device, where this domain is its backend and no daemon runs. */
import type { DeviceId } from "../../core/xen/device_id.ts";
import { DEFAULT_TIMES } from "../../core/xen/times.ts";
import { openLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import type { DeviceOptions, DeviceSession } from "./session.ts";
import { AlreadyServed, CodedError } from "../../core/messages/error.ts";
import { choosePlugins } from "../plugin/set.ts";
import { openServing, type Serving } from "../devd/serving.ts";

/** Between two looks whether it is this command's turn, in ms. */
const TURN_PAUSE_MS = 50;

/**
 * Runs `work` while this process serves the device. What is set up by then stays, and is in the
 * journal, for the daemon that is started some time to adopt.
 * If a daemon runs it is left to that; a command that serves another device is waited for.
 * @param patienceMs how long that may take
 * @param work is told whether it is this process that serves
 * @throws CodedError when no plugin serves the kind; what `work` throws
 */
export async function whileServing<T>(
  session: DeviceSession,
  id: DeviceId,
  options: DeviceOptions,
  builtIns: readonly BuiltIn[],
  patienceMs: number,
  work: (here: boolean) => Promise<T>,
): Promise<T> {
  const serving = await open(session, id, options, builtIns, patienceMs);
  if (serving === null) return await work(false);
  const { daemon, registry } = serving;
  try {
    if (registry.find(id.kind) === undefined) {
      const kinds = registry.kinds.join(", ") || "none";
      throw new CodedError(
        "setup-failed",
        `no plugin serves kind ${id.kind} (there are: ${kinds}); --plugin FILE names one`,
      );
    }
    await daemon.start();
    return await work(true);
  } finally {
    session.store.limitPatience(DEFAULT_TIMES.stop);
    await daemon.stop(DEFAULT_TIMES.stop);
    serving.close();
  }
}

/** null when a daemon runs. */
async function open(
  session: DeviceSession,
  id: DeviceId,
  options: DeviceOptions,
  builtIns: readonly BuiltIn[],
  patienceMs: number,
): Promise<Serving | null> {
  const log = openLog();
  const chosen = await choosePlugins(options, builtIns, (line) => log.error(line));
  const times = DEFAULT_TIMES;
  const end = systemClock.now() + patienceMs;
  for (;;) {
    try {
      return await openServing(session, session.ownDomid, options, { ...chosen, times }, id);
    } catch (error) {
      if (!(error instanceof AlreadyServed)) throw error;
      if (!error.briefly) return null;
      if (systemClock.now() > end) throw error;
    }
    await new Promise<void>((resolve) => systemClock.after(TURN_PAUSE_MS, resolve));
  }
}
