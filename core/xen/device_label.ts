/** How a device is named to people: `web: xvdb (vbd/7/51728)`. Pure. */
import { type DeviceId, deviceName } from "./device_id.ts";
import { formatVdev } from "./vdev_name.ts";

/** Kinds whose devices are disks, of backends and of frontends. */
const DISKS: ReadonlySet<string> = new Set(["vbd", "vbd3", "qdisk", "virtio_disk"]);

/** Names of domains that are shown as they are; others are in quotes. */
const PLAIN_NAME = /^[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}$/;

/** Longest part of another one that is shown, in characters. */
const NAME_MAX = 64;

/** What a device is, as far as a name can tell; its kind is the backend's or the frontend's. */
export type Named = Pick<DeviceId, "kind" | "frontendDomid" | "devid">;

/** What people call a device within its guest: `xvdb`, `vif7.0`; null when they have no name for it. */
export function nickname({ kind, frontendDomid, devid }: Named): string | null {
  if (kind === "vif") return `vif${frontendDomid}.${devid}`;
  if (!DISKS.has(kind)) return null;
  const vdev = formatVdev(devid);
  return vdev === String(devid) ? null : vdev;
}

/**
 * A device for people.
 * @param guest the guest's name, if it is known
 */
export function deviceLabel(id: Named, guest?: string): string {
  const name = deviceName(id as DeviceId);
  const nick = nickname(id);
  const device = nick === null ? name : `${nick} (${name})`;
  return guest === undefined ? device : `${shownName(guest)}: ${device}`;
}

/** A domain's name, which may be anything, so that it ends where it seems to end. */
export function shownName(name: string): string {
  if (PLAIN_NAME.test(name)) return name;
  return JSON.stringify(name.length > NAME_MAX ? `${name.slice(0, NAME_MAX)}…` : name);
}

/** The same in fields. */
export function deviceFields(
  id: Named,
  guestName?: string,
): Readonly<Record<string, string | number>> {
  const nick = nickname(id);
  return {
    guest: id.frontendDomid,
    ...(guestName === undefined ? {} : { guestName }),
    kind: id.kind,
    devid: id.devid,
    ...(nick === null ? {} : { [id.kind === "vif" ? "interface" : "vdev"]: nick }),
  };
}
