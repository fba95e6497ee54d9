/** `xdevd give-up` and `xdevd retry`: what a person decides about a device of this domain's daemon. */
import { printTo } from "../../platform/io/output.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { printable } from "../../core/log/log.ts";
import { fullNameOf } from "../status/asking.ts";
import { ControlClient, ControlRefused } from "./control_client.ts";

/**
 * Has the daemon do it, and prints what was done.
 * @param method of the socket: `GiveUp`, `Retry`
 * @param device as `deviceText` takes it
 * @throws CodedError
 */
export async function decide(
  method: "GiveUp" | "Retry",
  device: string,
  runDir: string,
): Promise<number> {
  const client = await ControlClient.open(runDir);
  try {
    const { said } = await client.call(method, { device: await fullNameOf(client, device) });
    printTo(1, `${printable(String(said))}\n`);
    return ExitCode.Success;
  } catch (error) {
    if (!(error instanceof ControlRefused)) throw error;
    throw new CodedError(
      error.error === "NoSuchDevice" ? "no-such-device" : "failed",
      printable(error.message),
    );
  } finally {
    client.close();
  }
}
