/** How a device is named to people: `web: xvdb (vbd/7/51728)`; disks by docs/man/xen-vbd-interface.7. Pure. */
import { type DeviceId, deviceName } from "./device_id.ts";

/** Linux' block major of xvd, and of its small numbers. */
export const XVD_MAJOR = 202;
/** Marks the numbers of xvd that do not fit below {@link XVD_MAJOR}. */
export const EXTENDED = 1 << 28;
/** What fits below {@link XVD_MAJOR}: 16 disks of 16 partitions, the whole disk being number 0. */
export const SMALL = 16;

/** The vdev of a devid, such as `xvda2`: a name if there is one, else the number itself. */
export function formatVdev(devid: number): string {
  const [disk, partition] = [devid >> 4 & 0xf, devid & 0xf];
  switch (devid >>> 8) {
    case XVD_MAJOR:
      return vdevName("xvd", disk, partition);
    case 8:
      return vdevName("sd", disk, partition);
    case 3:
    case 22:
      if ((devid & 0x80) !== 0) return String(devid);
      return vdevName("hd", (devid >> 8 === 22 ? 2 : 0) + (devid >> 6 & 1), devid & 0x3f);
  }
  if (devid >>> 28 === 1) {
    const [disk, partition] = [devid >> 8 & 0xfffff, devid & 0xff];
    // What is small has its number below the major.
    if (disk >= SMALL || partition >= SMALL) return vdevName("xvd", disk, partition);
  }
  return String(devid);
}

/** The name of a disk and partition: 0, 26 and 702 are a, aa and aaa. */
function vdevName(prefix: string, disk: number, partition: number): string {
  let letters = "";
  for (let rest = disk; rest >= 0; rest = Math.floor(rest / 26) - 1) {
    letters = String.fromCharCode(97 + rest % 26) + letters;
  }
  return `${prefix}${letters}${partition === 0 ? "" : partition}`;
}

/** Kinds whose devices are disks, of backends and of frontends. */
const DISKS: ReadonlySet<string> = new Set(["vbd", "vbd3", "qdisk", "virtio_disk"]);

/** Whether devices of a kind are disks, which have names. */
export function isDisk(kind: string): boolean {
  return DISKS.has(kind);
}

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
  const name = deviceName(id);
  const nick = nickname(id);
  const device = nick === null ? name : `${nick} (${name})`;
  return guest === undefined ? device : `${shownName(guest)}: ${device}`;
}

/** A domain's name, which may be anything, so that it ends where it seems to end. */
export function shownName(name: string): string {
  if (PLAIN_NAME.test(name)) return name;
  return JSON.stringify(name.length > NAME_MAX ? `${name.slice(0, NAME_MAX)}…` : name);
}

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
