/** The interface that netback makes: its name, and waiting for it. */
import type { Device, DeviceIdentity } from "../../contract/v1/plugin.ts";

/** How long netback may take to create the interface after state 2, in ms (qubes-issues 4446). */
export const INTERFACE_WAIT_MS = 2_000;

/** Time between two looks, in ms. */
const LOOK_MS = 20;

/** Name of the interface that netback makes: `vif7.0` (libxl_osdeps.h). */
export function interfaceName({ frontendDomid, devid }: DeviceIdentity): string {
  return `vif${frontendDomid}.${devid}`;
}

/**
 * Some kernels reach state 2 before the interface exists.
 * @param look the interface, or undefined or false while there is none
 * @returns what `look` found; undefined if there is still none when the time is up
 * @throws the signal's reason
 */
export async function waitForInterface<T>(
  device: Device,
  look: () => Promise<T | undefined | false>,
  signal: AbortSignal,
): Promise<T | undefined> {
  for (let waited = 0; waited < INTERFACE_WAIT_MS; waited += LOOK_MS) {
    const found = await look();
    if (found) return found;
    await device.system.sleep(LOOK_MS, signal);
  }
  return undefined;
}
