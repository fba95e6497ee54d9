/** A disk, as a specification describes it. Pure. */
import { defbool, dryRunText, libxlJson, nonZero } from "../libxl_json.ts";
import { placeIn, SpecError } from "../spec_error.ts";

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
type DiskSpecification = typeof DISK_SPECIFICATIONS[number];

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

/** The disk as libxl prints it (`libxl_device_disk` of libxl_types.idl). */
function diskToJson(disk: DiskSpec): string {
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

/** What has to be known besides the specification. */
export interface DiskContext {
  /** Domid of the backend: what is in another domain cannot be looked at. */
  readonly backendDomid: number;
  readonly guest: "pv" | "pvh" | "hvm";
  /** What the target is in domain 0; only looked at if that is the backend. */
  readonly target?: "block device" | "file" | "other";
  /** Whether the guest runs already, so that this is a hot-plug. */
  readonly running: boolean;
}

/** In the order in which they are tried. */
const TRIED: readonly DiskBackendType[] = ["phy", "qdisk", "tap", "standalone"];

/**
 * The backend of a disk.
 * @throws SpecError when there is none for it, or not the one that was asked for
 */
export function chooseDiskBackend(disk: DiskSpec, where: DiskContext): DiskBackendType {
  const specification = disk.specification ?? "xen";
  if (specification === "virtio" && where.running) {
    throw fault("Hotplug isn't supported for specification virtio", "specification", "virtio", [
      "xen",
    ]);
  }
  if (disk.format === "empty" && (!disk.cdrom || disk.target)) {
    throw fault(
      "no suitable backend",
      "format",
      "empty",
      ["an image's format, or a CD-ROM without target"],
    );
  }
  let asked = disk.backendType;
  if (disk.cdrom && where.guest === "hvm") {
    asked ??= "qdisk";
    if (asked !== "qdisk" && asked !== "phy") {
      throw fault("no suitable backend", "backendtype", asked, ["qdisk", "phy (for a CD-ROM)"]);
    }
  }
  const suitable = TRIED.filter((type) => refusal(type, disk, specification, where) === null);
  const chosen = asked === undefined ? suitable[0] : suitable.find((type) => type === asked);
  if (chosen !== undefined) return chosen;
  const reasons = (asked === undefined ? TRIED : [asked]).map((type) =>
    `${type} ${refusal(type, disk, specification, where)}`
  );
  throw fault("no suitable backend", "backendtype", asked ?? "", [
    ...(suitable.length > 0 ? suitable : DISK_BACKEND_TYPES),
  ], reasons.join("; "));
}

/** Why a backend cannot serve a disk; null if it can. */
function refusal(
  type: DiskBackendType,
  disk: DiskSpec,
  specification: DiskSpecification,
  where: DiskContext,
): string | null {
  if ((specification === "virtio") !== (type === "standalone")) {
    return `is not for specification ${specification}`;
  }
  if (type === "qdisk") return disk.script === undefined ? null : "runs no scripts";
  if (disk.colo) return "does not replicate (colo)";
  if (type === "tap") {
    return disk.format === "raw" || disk.format === "vhd" ? null : "serves formats raw and vhd";
  }
  if (type === "phy" && disk.cdrom && disk.format === "empty") return null;
  if (disk.format !== "raw") return "serves format raw";
  if (type === "standalone" && disk.script !== undefined) return "runs no scripts";
  const unseen = where.backendDomid !== 0 || disk.script !== undefined;
  if (unseen || where.target === "block device" || where.target === "file") return null;
  return "needs a block device or file as its target";
}

function fault(
  category: string,
  key: string,
  value: string,
  expected: readonly string[],
  reason?: string,
): SpecError {
  const text = value === "" ? "" : `${key}=${value}`;
  const rule = `${key} ${expected.join(", ")}${reason === undefined ? "" : ` (${reason})`}`;
  return new SpecError("disk", category, placeIn(text, 0, 0, text.length), rule);
}
