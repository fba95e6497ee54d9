/** Which device of a guest is meant by what somebody has typed. */
import { nameOfDomain } from "../../core/toolstack/names.ts";
import { listDevices, recordNode } from "../../core/toolstack/list_devices.ts";
import { parseVdev } from "../../core/toolstack/specs/disk/vdev.ts";
import { SpecError } from "../../core/toolstack/specs/spec_error.ts";
import { CodedError } from "../../core/messages/error.ts";
import type { DeviceSession } from "./session.ts";

/** Largest devid of libxl, which is an int. */
const DEVID_MAX = 0x7fffffff;

/** @throws CodedError, CodedError when there is none */
export async function devidOf(
  { store }: DeviceSession,
  frontendDomid: number,
  frontendKind: string,
  which: string,
): Promise<number> {
  if (/^(0|[1-9]\d{0,9})$/.test(which) && Number(which) <= DEVID_MAX) return Number(which);
  if (frontendKind === "vbd") {
    try {
      return parseVdev(which);
    } catch (error) {
      if (error instanceof SpecError) throw new CodedError("usage", error.message);
      throw error;
    }
  }
  if (frontendKind === "vif" && /^[\da-f]{2}(:[\da-f]{2}){5}$/i.test(which)) {
    for (const device of await listDevices(store, frontendDomid, "vif")) {
      // What the guest's directory says is the guest's word.
      const mac = await recordNode(store, device, "mac");
      if (mac?.toLowerCase() === which.toLowerCase()) return device.devid;
    }
    throw new CodedError(
      "no-such-device",
      `${await nameOfDomain(store, frontendDomid)} has no network interface with address ${which}`,
    );
  }
  const also = frontendKind === "vif" ? " or a MAC address" : "";
  throw new CodedError(
    "usage",
    `device ${JSON.stringify(which)}: expected a devid, a decimal number,${also || " of it"}`,
  );
}
