/** What the kernel's backend drivers tell through sysfs. */
import type { DeviceId } from "../../xen/device_id.ts";
import { isThere } from "../../is_there.ts";
import type { Clock, Files } from "../../../platform/types.ts";

/** How often sysfs is looked at, in ms: it tells of nothing by itself. */
const POLL_MS = 20;

/** Directory of a backend that the kernel has registered (drivers/xen/xenbus). */
export function kernelDevicePath(id: DeviceId): string {
  return `/sys/bus/xen-backend/devices/${id.kind}-${id.frontendDomid}-${id.devid}`;
}

/**
 * Waits until the kernel has unregistered a backend: blkback reports Closed before it lets go of
 * its block device, which cannot be torn down until then.
 * @param ms how long; 0 does not wait
 * @throws Error when it has not by then, or nobody could tell
 */
export async function awaitKernelRelease(
  files: Files,
  clock: Clock,
  id: DeviceId,
  ms: number,
): Promise<void> {
  const end = clock.now() + ms;
  const path = kernelDevicePath(id);
  for (let isNew = true;; isNew = false) {
    const seen = await lookAt(files, path);
    if (seen === null || ms === 0) return;
    if (isNew && !await hasDriver(files, id, path)) return;
    if (clock.now() >= end) {
      throw new Error(`the kernel has not let go of it ${ms / 1000} s after it closed: ${seen}`);
    }
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
  }
}

/** Drivers of backends, by their kinds (xenbus_register_driver_common). */
const DRIVERS = "/sys/bus/xen-backend/drivers";

/**
 * Whether a driver of the kernel's has the device, or has had it: the kernel registers a device of any kind,
 * and drops one without a driver only with its directory.
 */
async function hasDriver(files: Files, { kind }: DeviceId, path: string): Promise<boolean> {
  const looks = [`${path}/driver`, `${DRIVERS}/${kind}`].map((one) => lookAt(files, one));
  // While it is being unregistered it has none any more; its kind's stays.
  return (await Promise.all(looks)).some((seen) => seen !== null);
}

/** What there is of it; null when there is nothing. */
async function lookAt(files: Files, path: string): Promise<string | null> {
  try {
    if (!await isThere(files, path)) return null;
    return `${path} is still there, and what is behind it may be in use`;
  } catch (error) {
    return `it cannot be seen: ${(error as Error).message}`;
  }
}

/** Whether the kernel has registered a backend. @throws SystemError when nobody can tell */
export function isRegistered(files: Pick<Files, "stat">, id: DeviceId): Promise<boolean> {
  return isThere(files, kernelDevicePath(id));
}
