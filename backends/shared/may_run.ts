/** A script that may not be run has not been run either. */
import type { Device } from "../../plugins/contract.ts";

/** Whether there can be something to undo of a script of which nothing was recorded. */
export async function mayRun(
  device: Device,
  family: "block" | "network",
  script: string,
): Promise<boolean> {
  try {
    await device.scripts.check(family, script);
    return true;
  } catch (error) {
    device.log.info(`nothing to undo: ${(error as Error).message}`);
    return false;
  }
}
