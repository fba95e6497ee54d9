/** Parsers of device specifications, by what they are called and by the kinds they are for. Pure. */
import { DISK_KEYS } from "./disk/lexer.ts";
import { parseDisk } from "./disk/parse.ts";
import type { DiskSpec } from "./disk/spec.ts";
import {
  P9_FIELDS,
  type P9Spec,
  parseP9,
  parsePvcalls,
  parseUsbctrl,
  parseVirtio,
  parseVkb,
  parseVtpm,
  PVCALLS_FIELDS,
  type PvcallsSpec,
  USBCTRL_FIELDS,
  type UsbctrlSpec,
  VIRTIO_FIELDS,
  type VirtioSpec,
  VKB_FIELDS,
  type VkbSpec,
  VTPM_FIELDS,
  type VtpmSpec,
} from "./kinds.ts";
import { NIC_KEYS, type ParsedNic, parseNic } from "./nic/parse.ts";
import type { DeviceDescription, DeviceSpecs } from "../../../contract/v1/spec.ts";
import { pathFault } from "../../xenstore/paths.ts";
import {
  commonBackend,
  commonFrontend,
  type CreationPlan,
  type NodeValues,
  type Placement,
  planCreation,
} from "../nodes/plan.ts";
import { visible } from "../../log/quoted.ts";
import { placeIn, SpecError, type SpecPlace } from "./spec_error.ts";

/** Parses specifications of one sort of device. */
interface SpecParser<Spec> {
  /** Backend kinds that it may become. */
  readonly kinds: readonly string[];
  /** What stands before `=` in one. */
  readonly keys: readonly string[];
  /** @param texts the arguments of a command line @throws SpecError, and nothing else */
  parse(texts: readonly string[]): Spec;
}

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
  disk: {
    kinds: ["vbd", "qdisk", "vbd3", "virtio_disk"],
    keys: [...DISK_KEYS, "target"],
    parse: parseDisk,
  },
  vif: { kinds: ["vif"], keys: NIC_KEYS, parse: (texts) => parseNic(texts) },
  vtpm: { kinds: ["vtpm"], keys: Object.keys(VTPM_FIELDS), parse: parseVtpm },
  p9: { kinds: ["9pfs", "xen_9pfs"], keys: Object.keys(P9_FIELDS), parse: parseP9 },
  pvcalls: { kinds: ["pvcalls"], keys: Object.keys(PVCALLS_FIELDS), parse: parsePvcalls },
  vkb: { kinds: ["vkbd", "vinput"], keys: Object.keys(VKB_FIELDS), parse: parseVkb },
  virtio: { kinds: ["virtio"], keys: Object.keys(VIRTIO_FIELDS), parse: parseVirtio },
  usbctrl: { kinds: ["vusb", "qusb"], keys: Object.keys(USBCTRL_FIELDS), parse: parseUsbctrl },
};

/** Largest devid of libxl, which is an int. */
const DEVID_MAX = 0x7fffffff;
/** Most nodes that one device may add to a directory: a domain may have 1000 in all. */
const NODES_MAX = 256;
/** Longest value, in UTF-16 units: a domain's nodes have at most 2048 bytes. */
const VALUE_MAX = 2000;
/** Longest message of a plugin's error, in characters. */
const MESSAGE_MAX = 256;

/** Nodes that all devices have, and that no plugin has a say in. */
const COMMON = new Set(["frontend", "frontend-id", "backend", "backend-id", "online", "state"]);

/** Makes a parser of a plugin's own. @param kind one of the kinds that it serves */
export function pluginParser(kind: string, specs: DeviceSpecs): SpecParser<DeviceDescription> {
  return {
    kinds: [kind],
    keys: [],
    parse(texts) {
      const text = texts.join(",");
      let description: unknown;
      try {
        description = specs.parse(text, kind);
      } catch (error) {
        throw asSpecError(kind, text, error);
      }
      const fault = faultOf(description);
      if (fault === null) return description as DeviceDescription;
      const place = placeIn(text, 0, 0, text.length);
      throw new SpecError(kind, `the plugin made ${fault} of it`, place, "a device's description");
    },
  };
}

/** All nodes of a device that a plugin described. */
export function planDescribed(
  description: DeviceDescription,
  kind: string,
  frontendKind: string,
  placement: Placement,
): CreationPlan {
  const { backendNodes, frontendNodes = {} } = description;
  return planCreation(placement, {
    kind,
    frontendKind,
    backend: [...commonBackend(placement), ...Object.entries(backendNodes)] as NodeValues,
    frontend: [...commonFrontend(placement), ...Object.entries(frontendNodes)] as NodeValues,
  });
}

function asSpecError(kind: string, text: string, error: unknown): SpecError {
  if (error instanceof SpecError) return error;
  const message = (error instanceof Error ? error.message : String(error)).split("\n")[0]!;
  return new SpecError(kind, visible(message.slice(0, MESSAGE_MAX)), placeOf(text, error), "");
}

function placeOf(text: string, error: unknown): SpecPlace {
  const { offset, length } = Object(error) as { offset?: unknown; length?: unknown };
  const start = isCount(offset, text.length) ? offset : 0;
  const rest = text.length - start;
  return placeIn(text, 0, start, isCount(length, rest) ? length : rest);
}

/** What is wrong with a plugin's answer, or null. */
function faultOf(description: unknown): string | null {
  if (typeof description !== "object" || description === null) return "no object";
  const { backend, devid, backendNodes, frontendNodes } = description as Record<string, unknown>;
  if (backend !== undefined && typeof backend !== "string") return "a backend that is no text";
  if (devid !== undefined && !isCount(devid, DEVID_MAX)) return "a devid that is no number";
  return nodesFault(backendNodes) ?? nodesFault(frontendNodes ?? {});
}

function nodesFault(nodes: unknown): string | null {
  if (typeof nodes !== "object" || nodes === null) return "no nodes";
  const entries = Object.entries(nodes);
  if (entries.length > NODES_MAX) return `more than ${NODES_MAX} nodes`;
  for (const [name, value] of entries) {
    if (pathFault(name) !== null || name.startsWith("/")) return "a node without a proper name";
    if (COMMON.has(name)) return `a node ${name}`;
    if (typeof value !== "string" || value.length > VALUE_MAX || value.includes("\0")) {
      return `a node ${name} without a proper value`;
    }
  }
  return null;
}

function isCount(value: unknown, max: number): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= max;
}
