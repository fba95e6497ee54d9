/** Attaching a file to whatever loop device is free. */
import type { LoopDevice, LoopRequest } from "../../contract/v1/block.ts";
import type { Ioctl } from "./ioctl.ts";
import {
  closeFile,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
  openFile,
  openStatus,
} from "../io/file_calls.ts";
import { diskSequence, isReadOnly } from "./block_queries.ts";
import { minorOf } from "./device_numbers.ts";
import { openLoop } from "./loop_devices.ts";
import {
  LOOP_CLR_FD,
  LOOP_CONFIGURE,
  LOOP_CTL_GET_FREE,
  LOOP_MAJOR,
  LOOP_NAME_MAX,
  LOOP_SET_DIRECT_IO,
  LOOP_SET_FD,
  LOOP_SET_STATUS64,
  loopConfig,
  loopInfo,
  type LoopSettings,
} from "./loop_info.ts";
import { hasCode, systemError } from "../system_error.ts";

const CONTROL = "/dev/loop-control";

/** Others may be faster; so many times, and at most so long in between, in ms. */
const ATTEMPTS = 50;
const PAUSE_MS = 5;

/** What a device answers that was free a moment ago and has been taken, or removed, since. */
const TAKEN = ["EBUSY", "EACCES", "ENXIO", "ENODEV"] as const;

/** See `BlockDevices.attachLoop`. */
export async function attachLoop(ioctl: Ioctl, request: LoopRequest): Promise<LoopDevice> {
  const { path, expectIdentity, readOnly, tag: name, directIo = false } = request;
  if (!/^[\x21-\x7e]+$/.test(name) || name.length > LOOP_NAME_MAX) {
    throw systemError("EINVAL", `tag ${JSON.stringify(name)}: 1 to 63 printable characters needed`);
  }
  // Non-blocking, since what was a file may have become a FIFO.
  const access = readOnly ? O_RDONLY : O_RDWR;
  const file = openFile(path, access | O_NOFOLLOW | O_NONBLOCK);
  try {
    // It has just been opened: what is known of it is at hand.
    const status = openStatus(file);
    if (status.kind !== "file") throw systemError("EINVAL", `${path}: not a regular file`);
    if (`${status.dev}:${status.ino}` !== expectIdentity) {
      throw systemError("ESTALE", `${path}: replaced by another file meanwhile`);
    }
    return await attachToFree(ioctl, file, expectIdentity, { name, readOnly, directIo });
  } finally {
    closeFile(file);
  }
}

async function attachToFree(
  ioctl: Ioctl,
  file: number,
  identity: string,
  settings: LoopSettings,
): Promise<LoopDevice> {
  const control = openFile(CONTROL, O_RDWR);
  try {
    for (let attempt = 1;; attempt++) {
      const number = ioctl(`LOOP_CTL_GET_FREE ${CONTROL}`, control, LOOP_CTL_GET_FREE);
      try {
        return attachTo(ioctl, `/dev/loop${number}`, file, identity, settings);
      } catch (error) {
        if (!hasCode(error, ...TAKEN) || attempt === ATTEMPTS) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, Math.random() * PAUSE_MS));
    }
  } finally {
    closeFile(control);
  }
}

function attachTo(
  ioctl: Ioctl,
  node: string,
  file: number,
  identity: string,
  settings: LoopSettings,
): LoopDevice {
  const device = openLoop(node, O_RDWR);
  try {
    try {
      ioctl(`LOOP_CONFIGURE ${node}`, device, LOOP_CONFIGURE, loopConfig(file, settings));
    } catch (error) {
      // Before Linux 5.8.
      if (!hasCode(error, "EINVAL", "ENOTTY", "ENOSYS")) throw error;
      configureInSteps(ioctl, device, node, file, settings);
    }
    // While it is open here, nobody can detach it: it is what it was made, and need not be asked.
    const { rdev } = openStatus(device);
    const diskseq = diskSequence(ioctl, device, node);
    return {
      node,
      identity: `block ${rdev}`,
      major: LOOP_MAJOR,
      minor: minorOf(rdev),
      file: identity,
      tag: settings.name,
      readOnly: isReadOnly(ioctl, device, node),
      ...(diskseq === undefined ? {} : { diskseq }),
    };
  } finally {
    closeFile(device);
  }
}

/**
 * As LOOP_CONFIGURE, for older kernels. Who is killed in the few microseconds between the first two
 * steps leaves a loop device without a name.
 */
function configureInSteps(
  ioctl: Ioctl,
  fd: number,
  node: string,
  file: number,
  settings: LoopSettings,
): void {
  // Read-only if the file was opened so.
  ioctl(`LOOP_SET_FD ${node}`, fd, LOOP_SET_FD, file);
  try {
    const info = loopInfo(settings);
    // These kernels want to be asked again while the device still has pages in memory.
    for (let attempt = 1;; attempt++) {
      try {
        ioctl(`LOOP_SET_STATUS64 ${node}`, fd, LOOP_SET_STATUS64, info);
        break;
      } catch (error) {
        if (!hasCode(error, "EAGAIN") || attempt === ATTEMPTS) throw error;
      }
    }
  } catch (error) {
    ioctl(`LOOP_CLR_FD ${node}`, fd, LOOP_CLR_FD);
    throw error;
  }
  if (!settings.directIo) return;
  try {
    ioctl(`LOOP_SET_DIRECT_IO ${node}`, fd, LOOP_SET_DIRECT_IO, 1);
  } catch {
    // It cannot; LOOP_CONFIGURE does without then, too.
  }
}
