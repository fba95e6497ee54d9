/** Parsers of device specifications, by what they are called and by the kinds they are for. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { NIC_COLO_KEYS } from "./nic/colo.ts";
import { DISK_FLAGS, DISK_KEYS } from "./disk/lexer.ts";
import { parseDisk } from "./disk/parse.ts";
import {
  DISK_BACKEND_TYPES,
  DISK_FORMATS,
  DISK_SPECIFICATIONS,
  type DiskSpec,
} from "./disk/spec.ts";
import { describeFields } from "./fields.ts";
import { P9_FIELDS, type P9Spec, parseP9 } from "./kinds/p9.ts";
import { parsePvcalls, PVCALLS_FIELDS, type PvcallsSpec } from "./kinds/pvcalls.ts";
import { parseUsbctrl, USBCTRL_FIELDS, type UsbctrlSpec } from "./kinds/usbctrl.ts";
import { parseVirtio, VIRTIO_FIELDS, type VirtioSpec } from "./kinds/virtio.ts";
import { parseVkb, VKB_FIELDS, type VkbSpec } from "./kinds/vkb.ts";
import { parseVtpm, VTPM_FIELDS, type VtpmSpec } from "./kinds/vtpm.ts";
import { NIC_TEXT_KEYS, type ParsedNic, parseNic } from "./nic/parse.ts";

/** Parses specifications of one sort of device. */
export interface SpecParser<Spec = unknown> {
  /** What the device is called, such as `disk`. */
  readonly device: string;
  /** Backend kinds that it may become. */
  readonly kinds: readonly string[];
  /** @param texts the arguments of a command line @throws SpecError, and nothing else */
  parse(texts: readonly string[]): Spec;
  /** What is accepted, for people: one key or form a line. */
  describe(): readonly string[];
}

/** What the built-in parsers make. */
export interface BuiltInSpecs {
  readonly disk: DiskSpec;
  readonly vif: ParsedNic;
  readonly vtpm: VtpmSpec;
  readonly p9: P9Spec;
  readonly pvcalls: PvcallsSpec;
  readonly vkb: VkbSpec;
  readonly virtio: VirtioSpec;
  readonly usbctrl: UsbctrlSpec;
}

/** The built-in parsers, by what the device is called. */
export const BUILT_IN_PARSERS: {
  readonly [Device in keyof BuiltInSpecs]: SpecParser<BuiltInSpecs[Device]>;
} = {
  disk: parser("disk", ["vbd", "qdisk", "vbd3", "virtio_disk"], parseDisk, () => [
    "[TARGET[,FORMAT[,VDEV[,ACCESS]]]] and",
    ...DISK_KEYS.map((key) => `${key}=… ${own(DISK_RULES, key) ?? ""}`.trimEnd()),
    ...DISK_FLAGS,
    "target=… all the rest, commas included",
  ]),
  vif: parser("vif", ["vif"], (texts) => parseNic(texts), () => [
    ...NIC_TEXT_KEYS.map((key) => `${key}=…`),
    ...Object.entries(NIC_RULES).map(([key, rule]) => `${key}=… ${rule}`),
    "trusted, untrusted",
    ...NIC_COLO_KEYS.map((key) => `${key}=…`),
  ]),
  vtpm: parser("vtpm", ["vtpm"], parseVtpm, () => describeFields(VTPM_FIELDS)),
  p9: parser("p9", ["9pfs", "xen_9pfs"], parseP9, () => describeFields(P9_FIELDS)),
  pvcalls: parser("pvcalls", ["pvcalls"], parsePvcalls, () => describeFields(PVCALLS_FIELDS)),
  vkb: parser("vkb", ["vkbd", "vinput"], parseVkb, () => describeFields(VKB_FIELDS)),
  virtio: parser("virtio", ["virtio"], parseVirtio, () => describeFields(VIRTIO_FIELDS)),
  usbctrl: parser("usbctrl", ["vusb", "qusb"], parseUsbctrl, () => describeFields(USBCTRL_FIELDS)),
};

/** Finds parsers. Built-in ones are there from the start; plugins bring those of their own kinds. */
export class SpecRegistry {
  readonly #byName = new Map<string, SpecParser>();

  constructor(parsers: Iterable<SpecParser> = Object.values(BUILT_IN_PARSERS)) {
    for (const parser of parsers) this.register(parser);
  }

  /**
   * Adds a parser, to be found by what its device is called and by its kinds.
   * @param instead whether it takes the place of those that are there for its kinds
   * @throws Error when there is one and `instead` is not said
   */
  register(parser: SpecParser, { instead = false }: { instead?: boolean } = {}): void {
    const names = new Set([parser.device, ...parser.kinds]);
    const taken = [...names].find((name) => this.#byName.has(name));
    if (taken !== undefined && !instead) {
      throw new Error(`there is a parser of specifications for ${taken} already`);
    }
    for (const name of names) this.#byName.set(name, parser);
  }

  /** @param name of a device (`disk`) or kind (`vbd`) */
  find(name: string): SpecParser | undefined {
    return this.#byName.get(name);
  }

  /** What can be found, in alphabetical order. */
  get names(): string[] {
    return [...this.#byName.keys()].sort();
  }
}

const DISK_RULES: Readonly<Record<string, string>> = {
  format: DISK_FORMATS.join(", "),
  devtype: "disk, cdrom",
  access: "r, ro, w, rw",
  backend: "the backend domain, by name or domid",
  backendtype: DISK_BACKEND_TYPES.join(", "),
  specification: DISK_SPECIFICATIONS.join(", "),
  vdev: "xvda, sda, hda, d0p0 … (required)",
  script: "a hotplug script; the target is free text for it",
  "colo-port": "1 to 65535",
};

const NIC_RULES: Readonly<Record<string, string>> = {
  devid: "0 to 2147483647",
  mac: "six hexadecimal groups",
  mtu: "bytes, 0 (the default) to 65535",
  rate: "N[G|M|K](B|b)/s[@I[m|u][s]]",
  type: "vif, ioemu",
};

function parser<Spec>(
  device: string,
  kinds: readonly string[],
  parse: (texts: readonly string[]) => Spec,
  describe: () => readonly string[],
): SpecParser<Spec> {
  return { device, kinds, parse, describe };
}
