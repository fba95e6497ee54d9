/** What the kernel's backend drivers tell through sysfs. */
import type { DeviceId } from "../device/id.ts";
import type { Clock, Files } from "../platform/types.ts";

/** How often sysfs is looked at, in ms: it tells of nothing by itself. */
const POLL_MS = 20;

/** Directory of a backend that the kernel has registered (drivers/xen/xenbus). */
export function kernelDevicePath(id: DeviceId): string {
  return `/sys/bus/xen-backend/devices/${id.kind}-${id.frontendDomid}-${id.devid}`;
}

/**
 * Waits until the kernel has unregistered a backend: blkback reports Closed before it lets go of
 * its block device, which cannot be torn down until then. Resolves after `ms` in any case.
 */
export async function awaitKernelRelease(
  files: Files,
  clock: Clock,
  id: DeviceId,
  ms: number,
): Promise<void> {
  const end = clock.now() + ms;
  while (clock.now() < end) {
    try {
      await files.stat(kernelDevicePath(id));
    } catch {
      return;
    }
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
  }
}
