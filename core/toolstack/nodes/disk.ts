/** Nodes of a disk (libxl_disk.c, `device_disk_add`). Pure. */
import { XenbusState } from "../../xen/states.ts";
import type { DiskBackendType, DiskFormat, DiskSpec } from "../specs/disk/spec.ts";
import {
  type CreationPlan,
  digit,
  type NodeValues,
  planCreation,
  present,
  type ScriptedPlacement,
  scriptPath,
} from "./plan.ts";

/** A disk whose backend has been chosen; devid is what the vdev encodes. */
export interface DiskPlacement extends ScriptedPlacement {
  /** What {@link ../disk/backend.ts} chose. */
  readonly backendType: Exclude<DiskBackendType, "standalone">;
  /** The guest's ABI, such as `x86_64-abi` (protocols.h), if it is a PV guest. */
  readonly protocol?: string;
}

/** Backend kind, and the text of node `type`; that of `tap` is of Xen 4.19 and newer. */
const BACKENDS = {
  phy: { kind: "vbd", type: "phy" },
  qdisk: { kind: "qdisk", type: "qdisk" },
  tap: { kind: "vbd3", type: "vbd3" },
} as const;

/** What stands before the colon in the `params` of QEMU and tapback, where it is not the format. */
const PARAMS_FORMATS: Partial<Record<DiskFormat, string>> = { raw: "aio", empty: "aio" };

export function planDisk(disk: DiskSpec, placement: DiskPlacement): CreationPlan {
  const { frontendDomid, backendDomid, devid, backendType } = placement;
  const { kind, type } = BACKENDS[backendType];
  const deviceType = disk.cdrom ? "cdrom" : "disk";
  return planCreation(placement, {
    kind,
    frontendKind: "vbd",
    backend: [
      ...params(disk, placement),
      ...present(
        ["frontend-id", frontendDomid],
        ["online", 1],
        ["removable", digit(disk.cdrom)],
        ["bootable", 1],
        ["state", XenbusState.Initialising],
        ["dev", disk.vdev],
        ["type", type],
        ["mode", disk.readOnly ? "r" : "w"],
        ["device-type", deviceType],
        ["direct-io-safe", disk.directIoSafe ? 1 : undefined],
        ["discard-enable", digit(disk.discard ?? !disk.readOnly)],
        ["specification", "xen"],
      ),
    ],
    frontend: present(
      ["backend-id", backendDomid],
      ["state", XenbusState.Initialising],
      ["virtual-device", devid],
      ["device-type", deviceType],
      ["trusted", digit(disk.trusted ?? true)],
      ["protocol", placement.protocol],
    ),
  });
}

function params(disk: DiskSpec, { backendType, scriptDirectory }: DiskPlacement): NodeValues {
  const image = `${PARAMS_FORMATS[disk.format] ?? disk.format}:${disk.target ?? ""}`;
  const script = (name: string) => scriptPath(disk.script ?? name, scriptDirectory);
  if (backendType === "phy") {
    return present(["params", disk.target], ["script", script("block")]);
  }
  if (backendType === "tap") return present(["params", image], ["script", script("block-tap")]);
  if (!disk.colo) return present(["params", image]);
  return present(
    ["params", image],
    ["colo-host", disk.coloHost],
    ["colo-port", disk.coloPort ?? 0],
    ["colo-export", disk.coloExport],
    ["active-disk", disk.activeDisk],
    ["hidden-disk", disk.hiddenDisk],
  );
}
