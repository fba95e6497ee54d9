/** Kinds whose specification is a list of KEY=VALUE. */
import {
  type Field,
  FieldFault,
  type FieldValues,
  formatFields,
  numberField,
  readFields,
  type SpecItem,
  switchField,
  textField,
  wordField,
} from "./fields.ts";
import { placeIn, SpecError } from "./spec_error.ts";

/** libxl keeps these as int. */
const COUNT_MAX = 0x7fffffff;

export const P9_FIELDS = {
  tag: textField("what the guest mounts it by"),
  path: textField("the directory, in the backend domain", true),
  security_model: textField("none, passthrough, mapped-xattr …: as the backend has it", true),
  backend: textField("the backend domain, by name or domid"),
  type: wordField("type", ["qemu", "xen_9pfsd"]),
  "max-files": numberField(0, COUNT_MAX, "files; 0 for no limit"),
  "max-open-files": numberField(0, COUNT_MAX, "files; 0 for no limit"),
  "max-space": numberField(0, COUNT_MAX, "MiB; 0 for no limit"),
  "auto-delete": switchField(),
} as const;

/** Limits that only the small daemon knows. */
const DAEMON_ONLY = ["max-files", "max-open-files", "max-space", "auto-delete"] as const;

/** The tag of a file system served by xen-9pfsd if none is said (libxl_9pfs.c). */
const DAEMON_TAG = "Xen";

/** A shared file system. */
export type P9Spec = FieldValues<typeof P9_FIELDS> & {
  tag: string;
  path: string;
  security_model: string;
  type: "qemu" | "xen_9pfsd";
};

/** @throws SpecError */
export function parseP9(texts: readonly string[]): P9Spec {
  const { values, fault } = readFields("p9", P9_FIELDS, texts);
  const type = values.type ?? "qemu";
  const tag = values.tag ?? (type === "qemu" ? undefined : DAEMON_TAG);
  if (tag === undefined) {
    throw fault("missing required field", "tag", "tag=… (required for type qemu)");
  }
  const extra = DAEMON_ONLY.find((key) => values[key]);
  if (type === "qemu" && extra !== undefined) {
    throw fault("Illegal 9pfs parameter combination", extra, `${extra} only with type=xen_9pfsd`);
  }
  return { ...values, type, tag } as P9Spec;
}

export const PVCALLS_FIELDS = {
  backend: textField("the backend domain, by name or domid"),
} as const;

/** A connection for PV Calls. */
export type PvcallsSpec = FieldValues<typeof PVCALLS_FIELDS>;

/** @throws SpecError */
export function parsePvcalls(texts: readonly string[]): PvcallsSpec {
  return readFields("pvcalls", PVCALLS_FIELDS, texts).values;
}

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
    const text = formatFields({ [key]: spec[key] });
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

export const VIRTIO_FIELDS = {
  backend: textField("the backend domain, by name or domid"),
  type: textField("virtio,deviceNN as in a device tree, or another text"),
  transport: wordField("transport", ["mmio"]),
  grant_usage: switchField(),
} as const;

export type VirtioSpec = FieldValues<typeof VIRTIO_FIELDS>;

/** @throws SpecError */
export function parseVirtio(texts: readonly string[]): VirtioSpec {
  return readFields("virtio", VIRTIO_FIELDS, texts, joinTypes).values;
}

/** A type that begins with `virtio` has a comma, and so goes on in the next item. */
function joinTypes(items: SpecItem[]): SpecItem[] {
  const joined: SpecItem[] = [];
  for (let index = 0; index < items.length; index++) {
    const item = items[index]!;
    if (!item.text.startsWith("type=virtio")) {
      joined.push(item);
      continue;
    }
    const next = items[++index];
    const { text, argument, offset } = item.place;
    if (next === undefined || next.place.argument !== argument) {
      throw new SpecError("virtio", "unknown value for type", item.place, "type=virtio,deviceNN");
    }
    const place = placeIn(text, argument, offset, next.place.offset + next.place.length - offset);
    joined.push({ text: `${item.text},${next.text}`, place });
  }
  return joined;
}

const size = (unit: string) => numberField(0, 0xffffffff, unit);

/** Keys, most of them named as the nodes are. */
export const VKB_FIELDS = {
  backend: textField("the backend domain, by name or domid"),
  "backend-type": wordField("backend-type", ["qemu", "linux"], true),
  "unique-id": textField("what tells this device from others"),
  "feature-disable-keyboard": switchField(),
  "feature-disable-pointer": switchField(),
  "feature-abs-pointer": switchField(),
  "feature-raw-pointer": switchField(),
  "feature-multi-touch": switchField(),
  "multi-touch-width": size("pixels"),
  "multi-touch-height": size("pixels"),
  "multi-touch-num-contacts": size("fingers"),
  width: size("pixels"),
  height: size("pixels"),
} as const;

/** A keyboard or pointer. */
export type VkbSpec = FieldValues<typeof VKB_FIELDS> & { "backend-type": "qemu" | "linux" };

/** Sizes that make a device one for touching, and that such a device needs. */
const TOUCH = ["multi-touch-width", "multi-touch-height", "multi-touch-num-contacts"] as const;

/** @throws SpecError */
export function parseVkb(texts: readonly string[]): VkbSpec {
  const { values, fault } = readFields("vkb", VKB_FIELDS, texts);
  const touch = TOUCH.some((key) => values[key]);
  if (values["feature-multi-touch"] && !touch) {
    const expected = `${TOUCH.join("=… or ")}=… with it`;
    throw fault("missing required field", "feature-multi-touch", expected);
  }
  return { ...values, ...(touch ? { "feature-multi-touch": true } : {}) } as VkbSpec;
}

const UUID_RULE = "a UUID, such as 01234567-89ab-cdef-0123-456789abcdef";

/** A UUID; in lower case afterwards, as it is written into nodes. */
const uuid: Field<string> = {
  rule: UUID_RULE,
  read: (value) =>
    /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i.test(value)
      ? value.toLowerCase()
      : new FieldFault("Failed to parse vtpm UUID", UUID_RULE),
};

export const VTPM_FIELDS = {
  backend: textField("the domain of the vTPM, by name or domid", true),
  uuid,
} as const;

/** A virtual TPM; without a UUID, one is made up. */
export type VtpmSpec = FieldValues<typeof VTPM_FIELDS> & { backend: string };

/** @throws SpecError */
export function parseVtpm(texts: readonly string[]): VtpmSpec {
  return readFields("vtpm", VTPM_FIELDS, texts).values as VtpmSpec;
}

/**
 * A random UUID (RFC 9562, version 4).
 * @param random 16 random bytes
 */
export function randomUuid(random: Uint8Array): string {
  const bytes = [...random.slice(0, 16)];
  bytes[6] = (bytes[6] ?? 0) & 0x0f | 0x40;
  bytes[8] = (bytes[8] ?? 0) & 0x3f | 0x80;
  const digits = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
}
