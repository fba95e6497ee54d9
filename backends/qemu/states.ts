/** What the states of backend and frontend say about QEMU and a device. */
import type { Device } from "../../contract/v1/plugin.ts";

/** XenbusState (xen/include/public/io/xenbus.h). */
const INITIALISING = 1;
const CONNECTED = 4;
const CLOSING = 5;
const CLOSED = 6;

/** How long QEMU may take to take a device, in ms: LIBXL_INIT_TIMEOUT, libxl_internal.h. */
export const TAKE_MS = 10_000;
const POLL_MS = 50;

/**
 * Waits until QEMU has taken the device: it leaves state Initialising. One that it cannot open, it
 * leaves as it is.
 * @returns whether it has; false also when the QEMU has ended, and when the toolstack wants the
 * device removed: that it writes state Closing then says nothing of QEMU
 * @throws the signal's reason
 */
export async function taken(device: Device, signal: AbortSignal): Promise<boolean> {
  for (let waited = 0;; waited += POLL_MS) {
    const [state, online] = await Promise.all([stateOf(device), device.nodes.read("online")]);
    // Deleted meanwhile: that is for the daemon to see.
    if (state === undefined) return true;
    if (online === "0") return false;
    if (state > INITIALISING) return true;
    const { state: model } = await device.deviceModel.status();
    if (model !== "serving" || waited >= TAKE_MS) return false;
    await device.system.sleep(POLL_MS, signal);
  }
}

/** Whether the guest has, or may have, memory shared with the backend. */
export async function isConnected(device: Device): Promise<boolean> {
  const [backend, frontend] = await Promise.all([stateOf(device), device.frontend.state()]);
  if (backend === undefined || backend < CONNECTED) return false;
  // Whatever the backend's node says: a guest that has let go, or has started anew, has nothing.
  if (frontend === CLOSED || frontend === INITIALISING) return false;
  return backend === CONNECTED || backend === CLOSING || frontend !== undefined;
}

/** Makes the device one that a QEMU will take: it takes what is Initialising. */
export async function offer(device: Device): Promise<void> {
  await device.nodes.remove("hotplug-error");
  await device.nodes.write({ "hotplug-status": "", state: String(INITIALISING) });
}

async function stateOf(device: Device): Promise<number | undefined> {
  const text = await device.nodes.read("state");
  return text !== undefined && /^[0-8]$/.test(text) ? Number(text) : undefined;
}
