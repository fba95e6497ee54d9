/** `xdevd metrics`: what the daemon has counted, for Prometheus. */
import { ownDomid } from "../../core/daemon/daemon.ts";
import { ExitCode } from "../../core/messages/error.ts";
import type { DaemonReport } from "../../core/daemon/control/report.ts";
import { systemClock } from "../../platform/clock.ts";
import { printTo } from "../../platform/self.ts";
import { connectStore } from "../../machine/connect.ts";
import { askDaemon, NoDaemon } from "../devd/control_client.ts";
import { nodesLeft } from "../doctor/node_room.ts";
import { writeOutput } from "../output_file.ts";
import { exposition } from "./exposition.ts";
import { families, silentFamilies } from "./families.ts";

/** The command's options, as parsed. */
export interface MetricsOptions {
  readonly runDir: string;
  readonly store?: string;
  readonly textfile?: string;
}

/** How long the store may take, in ms. */
const STORE_MS = 5_000;

/** Prints them, or writes the file. @throws CodedError, also when the file tells that no daemon answers */
export async function metrics(options: MetricsOptions): Promise<number> {
  let report: DaemonReport;
  try {
    report = await askDaemon<DaemonReport>(options.runDir, "Report");
  } catch (error) {
    // What was counted before is no more true.
    if (error instanceof NoDaemon) tell(exposition(silentFamilies()), options);
    throw error;
  }
  tell(exposition(families(report, await roomInStore(options.store))), options);
  return ExitCode.Success;
}

function tell(text: string, { textfile }: MetricsOptions): void {
  if (textfile === undefined) printTo(1, text);
  else writeOutput(textfile, text);
}

/** How many nodes this domain can still make; null when the store does not tell. */
async function roomInStore(path: string | undefined): Promise<number | null> {
  const late = Promise.withResolvers<null>();
  const cancel = systemClock.after(STORE_MS, () => late.resolve(null));
  let close = () => {};
  const look = async () => {
    const { store } = await connectStore(path);
    close = () => store.close();
    const domid = await ownDomid(store);
    // Domain 0 has no quota.
    return domid === 0 ? null : await nodesLeft(store, domid);
  };
  try {
    return await Promise.race([look(), late.promise]);
  } catch {
    return null;
  } finally {
    cancel();
    close();
  }
}
