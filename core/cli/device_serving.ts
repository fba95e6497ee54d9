/** Doing the driver domain's part for one device, where this domain is its backend and no daemon runs. */
import type { DeviceId } from "../device/id.ts";
import { DEFAULT_TIMES } from "../lifecycle/constants.ts";
import { openLog } from "../log/log.ts";
import type { BuiltIn } from "../../plugins/host/host.ts";
import type { DeviceOptions } from "./device_options.ts";
import type { DeviceSession } from "./device_session.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";
import { choosePlugins } from "./plugin_set.ts";
import { openServing, type Serving } from "./serving.ts";

/**
 * Runs `work` while this process serves the device. What is set up by then stays, and is in the
 * journal, for the daemon that is started some time to adopt.
 * If a daemon runs it is left to that.
 * @throws CommandError when no plugin serves the kind; what `work` throws
 */
export async function whileServing<T>(
  session: DeviceSession,
  id: DeviceId,
  options: DeviceOptions,
  builtIns: readonly BuiltIn[],
  work: () => Promise<T>,
): Promise<T> {
  const serving = await open(session, id, options, builtIns);
  if (serving === null) return await work();
  const { daemon, registry } = serving;
  try {
    if (registry.find(id.kind) === undefined) {
      const kinds = registry.kinds.join(", ") || "none";
      throw new CommandError(
        `no plugin serves kind ${id.kind} (there are: ${kinds}); --plugin FILE names one`,
        ExitCode.SetupFailed,
      );
    }
    await daemon.start();
    return await work();
  } finally {
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
): Promise<Serving | null> {
  const log = openLog();
  const chosen = await choosePlugins(options, builtIns, (line) => log.error(line));
  try {
    const times = DEFAULT_TIMES;
    return await openServing(session, session.ownDomid, options, { ...chosen, times }, id);
  } catch (error) {
    if (error instanceof CommandError && error.exitCode === ExitCode.AlreadyRunning) return null;
    throw error;
  }
}
