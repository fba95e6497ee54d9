/** Which backend serves a disk (libxl_device.c, `libxl__device_disk_set_backend`). Pure. */
import { placeIn, SpecError } from "../spec_error.ts";
import {
  DISK_BACKEND_TYPES,
  type DiskBackendType,
  type DiskSpec,
  type DiskSpecification,
} from "./spec.ts";

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
