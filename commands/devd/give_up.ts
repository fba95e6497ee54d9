/** `xdevd give-up` and `xdevd retry`: what a person decides about a device of this domain's daemon. */
import { printTo } from "../../platform/io/output.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { printable } from "../../core/log/log.ts";
import { askDaemon, ControlRefused } from "./control_client.ts";

/**
 * Has the daemon do it, and prints what was done.
 * @param method of the socket: `GiveUp`, `Retry`
 * @param device as the daemon's state names it: `vbd/7/51712`
 * @throws CodedError
 */
export async function decide(
  method: "GiveUp" | "Retry",
  device: string,
  runDir: string,
): Promise<number> {
  try {
    const { said } = await askDaemon(runDir, method, { device });
    printTo(1, `${printable(String(said))}\n`);
    return ExitCode.Success;
  } catch (error) {
    if (!(error instanceof ControlRefused)) throw error;
    throw new CodedError(
      error.error === "NoSuchDevice" ? "no-such-device" : "failed",
      printable(error.message),
    );
  }
}
