/** Specifications of USB controllers (docs/man/xl.cfg.5, libxl_usb.c). Pure. */
import {
  type FieldValues,
  formatFields,
  numberField,
  readFields,
  textField,
  wordField,
} from "../fields.ts";
import { placeIn, SpecError } from "../spec_error.ts";

/** Most ports of a paravirtual controller (USBIF_MAX_PORTNR, usbif.h). */
const PV_PORTS_MAX = 31;
/** Ports of QEMU's controllers, fixed but for version 3 (libxl_usb.c). */
const EMULATED_PORTS: Readonly<Record<number, number>> = { 1: 2, 2: 6 };
const XHCI_PORTS_MAX = 15;

/** Keys. `backend` is ours: the stock tools know controllers of domain 0 alone. */
export const USBCTRL_FIELDS = {
  type: wordField("type", ["auto", "pv", "devicemodel", "qusb"]),
  version: numberField(0, 3),
  ports: numberField(0, PV_PORTS_MAX),
  backend: textField("the backend domain, by name or domid"),
} as const;

/** A USB controller. */
export type UsbctrlSpec = FieldValues<typeof USBCTRL_FIELDS>;

/** A USB controller with nothing left open. */
export interface ResolvedUsbctrl {
  readonly type: "pv" | "devicemodel" | "qusb";
  /** USB version, 1 … 3. */
  readonly version: number;
  /** Number of ports, 1 … 31. */
  readonly ports: number;
}

/** @throws SpecError */
export function parseUsbctrl(texts: readonly string[]): UsbctrlSpec {
  return readFields("usbctrl", USBCTRL_FIELDS, texts).values;
}

/** A specification from which the parser makes the same again. */
export const formatUsbctrl = (spec: UsbctrlSpec): string => formatFields(spec);

/**
 * Decides what was not said.
 * @param guest `usbback`: whether the kernel has the paravirtual backend
 * @throws SpecError when version and ports do not fit the type
 */
export function resolveUsbctrl(
  spec: UsbctrlSpec,
  guest: { readonly type: "pv" | "pvh" | "hvm"; readonly usbback: boolean },
): ResolvedUsbctrl {
  const type = spec.type === undefined || spec.type === "auto"
    ? guest.type === "hvm" ? "devicemodel" : guest.usbback ? "pv" : "qusb"
    : spec.type;
  const version = spec.version || 2;
  const check = (holds: boolean, key: "version" | "ports", expected: string) => {
    if (holds) return;
    const text = formatUsbctrl({ [key]: spec[key] });
    throw new SpecError("usbctrl", "out of range", placeIn(text, 0, 0, text.length), expected);
  };
  if (type !== "devicemodel") {
    check(version <= 2, "version", `version=1 or version=2 for type ${type}`);
    return { type, version, ports: spec.ports || 8 };
  }
  const fixed = EMULATED_PORTS[version];
  if (fixed !== undefined) {
    check(!spec.ports || spec.ports === fixed, "ports", `ports=${fixed} for version ${version}`);
    return { type, version, ports: fixed };
  }
  check((spec.ports ?? 0) <= XHCI_PORTS_MAX, "ports", `at most ${XHCI_PORTS_MAX} for version 3`);
  return { type, version, ports: spec.ports || 8 };
}
