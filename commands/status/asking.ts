/** What `status` and `trace` ask the daemon. */
import { CodedError } from "../../core/messages/error.ts";
import type { DeviceStatus } from "../../core/daemon/control/device_status.ts";
import type { DaemonReport } from "../../core/daemon/control/report.ts";
import type { ControlClient } from "../devd/control_client.ts";
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

/** The one device of this name. @throws CodedError `no-such-device` */
export function deviceCalled<Of extends Pick<DeviceStatus, "name" | "device">>(
  text: string,
  devices: readonly Of[],
): Of {
  const found = devices.filter(({ name, device }) => name === text || device === text);
  if (found.length === 1) return found[0]!;
  const said = JSON.stringify(text.slice(0, 100));
  throw new CodedError(
    "no-such-device",
    found.length === 0
      ? `the daemon knows no device ${said}; expected KIND/DOMID/DEVID (vbd/7/51712), or xvda`
      : `several devices are called ${said}: ${found.map(({ device }) => device).join(", ")}`,
  );
}
