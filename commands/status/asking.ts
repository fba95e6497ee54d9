/** What `status` and `trace` ask the daemon. */
import { CodedError } from "../../core/messages/error.ts";
import type { DeviceStatus } from "../../core/daemon/control/device_status.ts";
import type { DaemonReport } from "../../core/daemon/control/report.ts";
import type { ControlClient } from "../devd/control_client.ts";
import { parseVdev } from "../../core/toolstack/specs/disk/vdev.ts";
import { isDisk } from "../../core/xen/device_label.ts";
import { DEVICE_RULE } from "../arguments.ts";
import type { Picture } from "./status_text.ts";

/** How things are now. @throws NoDaemon */
export async function ask(client: ControlClient): Promise<Picture> {
  const { devices } = await client.call<{ devices: DeviceStatus[] }>("List");
  const { lastFailures: failures, unanswered, ...report } = await client.call<DaemonReport>(
    "Report",
  );
  const { version, domid, startedAt, uptimeMs, residentBytes } = report;
  const daemon = { version, domid, startedAt, uptimeMs, residentBytes };
  return { daemon, note: null, devices, failures, unanswered };
}

/**
 * The full name of a device, which is the daemon's word for it.
 * @param text as `deviceText` takes it
 * @throws CodedError `no-such-device`, NoDaemon
 */
export async function fullNameOf(client: ControlClient, text: string): Promise<string> {
  const name = spelledOut(text);
  if (name.includes("/")) return name;
  const { devices } = await client.call<{ devices: DeviceStatus[] }>("List");
  return deviceCalled(name, devices).device;
}

/** `vbd/7/51728` of `vbd/7/xvdb`, `vif/7/0` of `vif7.0`: what needs no list; the text itself where that does. */
function spelledOut(text: string): string {
  const [, guest, index] = /^vif(\d+)\.(\d+)$/.exec(text) ?? [];
  if (guest !== undefined) return `vif/${guest}/${index}`;
  const [kind = "", domid, vdev = ""] = text.split("/");
  if (!isDisk(kind) || !/^[a-z]/.test(vdev)) return text;
  try {
    return `${kind}/${domid}/${parseVdev(vdev)}`;
  } catch {
    return text;
  }
}

/**
 * The one device that is called that: by its full name, by what its guest calls it, or by its number.
 * @throws CodedError `no-such-device` when there is none, or more than one
 */
export function deviceCalled<Of extends Pick<DeviceStatus, "name" | "device" | "devid">>(
  text: string,
  devices: readonly Of[],
): Of {
  const name = spelledOut(text);
  const found = devices.filter((one) =>
    one.name === text || one.device === name || String(one.devid) === text
  );
  if (found.length === 1) return found[0]!;
  const said = JSON.stringify(text.slice(0, 100));
  const names = found.slice(0, 10).map(({ device }) => device).sort().join(", ");
  const more = found.length > 10 ? `, and ${found.length - 10} more` : "";
  throw new CodedError(
    "no-such-device",
    found.length === 0
      ? `the daemon knows no device ${said}; expected ${DEVICE_RULE}`
      : `several devices are called ${said}: ${names}${more}; expected one of these`,
  );
}
