/**
 * Nodes of devices that have no script: vTPMs, shared file systems, PV Calls, keyboards and USB
 * controllers (libxl_vtpm.c, libxl_9pfs.c, libxl_pvcalls.c, libxl_vkb.c, libxl_usb.c). Pure.
 */
import type { P9Spec, ResolvedUsbctrl, VkbSpec } from "../specs/kinds.ts";
import {
  commonBackend,
  commonFrontend,
  type CreationPlan,
  digit,
  type NodeValues,
  type Placement,
  planCreation,
  present,
} from "./plan.ts";

/** All nodes of a virtual TPM. @param uuid in lower case: the specification's, or a new one */
export function planVtpm(uuid: string, placement: Placement): CreationPlan {
  const handle: NodeValues = [["handle", String(placement.devid)]];
  return planCreation(placement, {
    kind: "vtpm",
    frontendKind: "vtpm",
    backend: [...commonBackend(placement), ...handle, ["uuid", uuid], ["resume", "False"]],
    frontend: [...commonFrontend(placement), ...handle],
  });
}

/** All nodes of a shared file system; type xen_9pfsd is of Xen 4.19 and newer. */
export function planP9(p9: P9Spec, placement: Placement): CreationPlan {
  const limits: NodeValues = p9.type === "qemu" ? [] : present(
    ["max-space", p9["max-space"] ?? 0],
    ["max-files", p9["max-files"] ?? 0],
    ["max-open-files", p9["max-open-files"] ?? 0],
    ["auto-delete", digit(p9["auto-delete"] ?? false)],
  );
  return planCreation(placement, {
    kind: p9.type === "qemu" ? "9pfs" : "xen_9pfs",
    frontendKind: "9pfs",
    backend: [
      ...commonBackend(placement),
      ["path", p9.path],
      ["security_model", p9.security_model],
      ...limits,
    ],
    frontend: [...commonFrontend(placement), ["tag", p9.tag]],
  });
}

/** All nodes of a connection for PV Calls. */
export function planPvcalls(placement: Placement): CreationPlan {
  return planCreation(placement, {
    kind: "pvcalls",
    frontendKind: "pvcalls",
    backend: commonBackend(placement),
    frontend: commonFrontend(placement),
  });
}

/** All nodes of a keyboard or pointer. */
export function planVkb(vkb: VkbSpec, placement: Placement): CreationPlan {
  const set = (...keys: (keyof VkbSpec)[]): NodeValues =>
    present(
      ...keys.map((key): [string, number | undefined] => [key, Number(vkb[key]) || undefined]),
    );
  const touch: NodeValues = vkb["feature-multi-touch"]
    ? present(
      ["feature-multi-touch", 1],
      ["multi-touch-width", vkb["multi-touch-width"] ?? 0],
      ["multi-touch-height", vkb["multi-touch-height"] ?? 0],
      ["multi-touch-num-contacts", vkb["multi-touch-num-contacts"] ?? 0],
    )
    : [];
  return planCreation(placement, {
    kind: vkb["backend-type"] === "linux" ? "vinput" : "vkbd",
    frontendKind: "vkbd",
    backend: [
      ...commonBackend(placement),
      ...present(["unique-id", vkb["unique-id"]]),
      ...set("feature-disable-keyboard", "feature-disable-pointer"),
      ...set("feature-abs-pointer", "feature-raw-pointer"),
      ...touch,
      ...set("width", "height"),
    ],
    frontend: commonFrontend(placement),
  });
}

/** All nodes of a USB controller; an emulated one has the record alone. */
export function planUsbctrl(usbctrl: ResolvedUsbctrl, placement: Placement): CreationPlan {
  const { type, version, ports } = usbctrl;
  const emulated = type === "devicemodel";
  return planCreation(placement, {
    kind: emulated ? null : type === "pv" ? "vusb" : "qusb",
    frontendKind: "vusb",
    backend: [
      ...(emulated ? [] : commonBackend(placement)),
      ...present(["type", type], ["usb-ver", version], ["num-ports", ports], ["port", ""]),
      ...Array.from({ length: ports }, (_, index) => [`port/${index + 1}`, ""] as const),
    ],
    frontend: emulated ? [] : commonFrontend(placement),
  });
}
