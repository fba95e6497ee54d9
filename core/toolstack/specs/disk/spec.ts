/** A disk, as a specification describes it. Pure. */
import { defbool, dryRunText, libxlJson, nonZero } from "../libxl_json.ts";

/** Formats of disk images (libxl_types.idl, `libxl_disk_format`); `empty` is a drive without one. */
export const DISK_FORMATS = ["raw", "qcow", "qcow2", "vhd", "qed", "empty"] as const;
/** Backend types (libxl_types.idl, `libxl_disk_backend`). */
export const DISK_BACKEND_TYPES = ["phy", "tap", "qdisk", "standalone"] as const;
/** What the guest sees (libxl_types.idl, `libxl_disk_specification`). */
export const DISK_SPECIFICATIONS = ["xen", "virtio"] as const;

/** One of {@link DISK_FORMATS}. */
export type DiskFormat = typeof DISK_FORMATS[number];
/** One of {@link DISK_BACKEND_TYPES}. */
export type DiskBackendType = typeof DISK_BACKEND_TYPES[number];
/** One of {@link DISK_SPECIFICATIONS}. */
export type DiskSpecification = typeof DISK_SPECIFICATIONS[number];

/** A disk. What is undefined was not said; texts may be empty. */
export interface DiskSpec {
  /** Path of the image or device, or free text for a script; may be absent for a CD-ROM only. */
  readonly target?: string;
  /** Virtual device as the guest sees it; {@link ./vdev.ts} says which there are. */
  readonly vdev: string;
  readonly format: DiskFormat;
  /** Removable as well, and read-only. */
  readonly cdrom: boolean;
  readonly readOnly: boolean;
  /** Backend domain, by name or domid. */
  readonly backend?: string;
  readonly backendType?: DiskBackendType;
  /** Hotplug script; one without a leading slash is in the directory for scripts. */
  readonly script?: string;
  readonly specification?: DiskSpecification;
  readonly directIoSafe: boolean;
  /** Whether the guest may discard blocks; if not said, whether it may write. */
  readonly discard?: boolean;
  /** Whether the guest trusts the backend; if not said, it does. */
  readonly trusted?: boolean;
  /** Whether a virtio disk uses grants; if not said, whether its backend is not domain 0. */
  readonly grantUsage?: boolean;
  /** Replication (COLO). */
  readonly colo?: boolean;
  readonly coloHost?: string;
  /** 1 … 65535. */
  readonly coloPort?: number;
  readonly coloExport?: string;
  readonly activeDisk?: string;
  readonly hiddenDisk?: string;
}

/** A specification from which the parser makes the same disk again. */
export function formatDisk(disk: DiskSpec): string {
  const pieces: string[] = [];
  const text = (key: string, value: string | undefined) => {
    if (value !== undefined) pieces.push(`${key}=${value}`);
  };
  const flag = (on: string, off: string, value: boolean | undefined) => {
    if (value !== undefined) pieces.push(value ? on : off);
  };
  text("format", disk.format);
  text("vdev", disk.vdev);
  if (disk.cdrom) pieces.push("cdrom");
  else text("access", disk.readOnly ? "ro" : "rw");
  text("backend", disk.backend);
  text("backendtype", disk.backendType);
  text("script", disk.script);
  text("specification", disk.specification);
  if (disk.directIoSafe) pieces.push("direct-io-safe");
  flag("discard", "no-discard", disk.discard);
  flag("trusted", "untrusted", disk.trusted);
  flag("grant_usage=1", "grant_usage=0", disk.grantUsage);
  flag("colo", "no-colo", disk.colo);
  text("colo-host", disk.coloHost);
  text("colo-port", disk.coloPort?.toString());
  text("colo-export", disk.coloExport);
  text("active-disk", disk.activeDisk);
  text("hidden-disk", disk.hiddenDisk);
  // Goes to the end of the text, and of commas there one is cut off.
  text("target", disk.target?.endsWith(",") ? `${disk.target},` : disk.target);
  return pieces.join(",");
}

/** The disk as libxl prints it (`libxl_device_disk` of libxl_types.idl). */
export function diskToJson(disk: DiskSpec): string {
  return libxlJson([
    ["backend_domname", disk.backend],
    ["pdev_path", disk.target],
    ["vdev", disk.vdev],
    ["backend", disk.backendType],
    ["format", disk.format],
    ["script", disk.script],
    ["removable", nonZero(Number(disk.cdrom))],
    ["readwrite", nonZero(Number(!disk.readOnly))],
    ["is_cdrom", nonZero(Number(disk.cdrom))],
    ["direct_io_safe", disk.directIoSafe || undefined],
    ["discard_enable", defbool(disk.discard)],
    ["specification", disk.specification],
    ["colo_enable", defbool(disk.colo)],
    ["colo_host", disk.coloHost],
    ["colo_port", disk.coloPort],
    ["colo_export", disk.coloExport],
    ["active_disk", disk.activeDisk],
    ["hidden_disk", disk.hiddenDisk],
    ["trusted", defbool(disk.trusted)],
    ["grant_usage", defbool(disk.grantUsage)],
  ]);
}

/** What `xl -N block-attach` prints. */
export function diskDryRun(disk: DiskSpec): string {
  return dryRunText("disk", diskToJson(disk));
}
