/**
 * Disk specifications: from tokens to a disk (docs/man/xl-disk-configuration.5, libxlu_disk_l.l,
 * libxlu_disk.c). Pure.
 */
import { parseCount } from "../fields.ts";
import { endOf, hasControlCharacters, SpecError, type SpecPlace } from "../spec_error.ts";
import { DISK_PREFIXES, type DiskFlag, type DiskKey, diskTokens } from "./lexer.ts";
import {
  DISK_BACKEND_TYPES,
  DISK_FORMATS,
  DISK_SPECIFICATIONS,
  type DiskFormat,
  type DiskSpec,
} from "./spec.ts";

/** Parameters whose value is kept as it is, and where. */
const TEXTS = {
  target: "target",
  vdev: "vdev",
  script: "script",
  backend: "backend",
  "colo-host": "coloHost",
  "colo-export": "coloExport",
  "active-disk": "activeDisk",
  "hidden-disk": "hiddenDisk",
} as const;

type Mutable<T> = { -readonly [Key in keyof T]?: T[Key] };

/**
 * Parses a disk specification.
 * @param texts one text, or several that are read one after the other into the same disk
 * @throws SpecError
 */
export function parseDisk(
  texts: string | readonly string[],
  { targetOptional = false } = {},
): DiskSpec {
  const list = typeof texts === "string" ? [texts] : texts;
  const parser = new DiskParser();
  list.forEach((text, argument) => parser.read(text, argument));
  return parser.finish(endOf(list), targetOptional);
}

class DiskParser {
  readonly #disk: Mutable<DiskSpec> = {};
  #hadPrefix = false;
  #hadAccess = false;

  read(text: string, argument: number): void {
    for (const token of diskTokens(text, argument)) {
      if (token.type === "parameter") this.#parameter(token.key, token.value, token.place);
      else if (token.type === "flag") this.#flag(token.flag);
      else if (token.type === "prefix") this.#prefix(token.name, token.place);
      else this.#positional(token.value, token.place);
    }
  }

  /** Fills in what depends on the whole. */
  finish(end: SpecPlace, targetOptional: boolean): DiskSpec {
    const { target, vdev, format = "raw", cdrom = false, readOnly = false } = this.#disk;
    if (vdev === undefined) {
      throw new SpecError("disk", "no vdev specified", end, "vdev=…, such as vdev=xvda");
    }
    if (target === undefined && !cdrom && !targetOptional) {
      const category = "no target specified (and device not removable)";
      throw new SpecError("disk", category, end, "target=… at the end, or cdrom");
    }
    return {
      ...this.#disk,
      vdev,
      format: cdrom && !target ? "empty" : format,
      cdrom,
      readOnly: cdrom || readOnly,
      directIoSafe: this.#disk.directIoSafe ?? false,
    };
  }

  #parameter(key: DiskKey, value: string, place: SpecPlace): void {
    switch (key) {
      case "format":
        return this.#format(value, place);
      case "devtype":
        this.#disk.cdrom = oneOf(["disk", "cdrom"], "type", value, place) === "cdrom";
        return;
      case "access":
        return this.#access(value, place);
      case "backendtype":
        return this.#choose("backendType", "backend", DISK_BACKEND_TYPES, value, place, key);
      case "specification":
        return this.#choose("specification", key, DISK_SPECIFICATIONS, value, place);
      case "colo-port": {
        const port = parseCount(value, 65535);
        if (!port) {
          throw new SpecError("disk", "unknown value for colo_port", place, "a port, 1 to 65535");
        }
        this.#disk.coloPort = port;
        return;
      }
      default:
        return this.#text(key, value, place);
    }
  }

  #flag(flag: DiskFlag): void {
    if (flag === "cdrom") this.#disk.cdrom = true;
    else if (flag === "direct-io-safe") this.#disk.directIoSafe = true;
    else if (flag.endsWith("discard")) this.#disk.discard = flag === "discard";
    else if (flag.endsWith("trusted")) this.#disk.trusted = flag === "trusted";
    else if (flag.endsWith("colo")) this.#disk.colo = flag === "colo";
    else this.#disk.grantUsage = flag === "grant_usage=1";
  }

  #prefix(name: string, place: SpecPlace): void {
    this.#hadPrefix = true;
    const among = (names: readonly string[]) => names.includes(name);
    if (among(DISK_PREFIXES.format)) this.#format(name, place);
    else if (among(DISK_PREFIXES.script)) this.#text("script", `block-${name}`, place);
  }

  #positional(value: string, place: SpecPlace): void {
    const { target, format, vdev } = this.#disk;
    if (target === undefined) return this.#text("target", value, place);
    if (!this.#hadPrefix && format === undefined) {
      // An empty drive, the old way: `,hdc:cdrom`.
      if (target === "" && this.#vdevAndType(value, place)) this.#disk.format = "empty";
      else this.#format(value, place);
      return;
    }
    if (vdev === undefined) {
      if (!this.#vdevAndType(value, place)) this.#text("vdev", value, place);
      return;
    }
    if (this.#hadAccess) {
      const category = "too many positional parameters";
      throw new SpecError("disk", category, place, "at most target, format, vdev and access");
    }
    this.#hadAccess = true;
    this.#access(value, place);
  }

  /** `VDEV:cdrom` or `VDEV:disk`. @returns whether it was one */
  #vdevAndType(value: string, place: SpecPlace): boolean {
    const colon = value.lastIndexOf(":");
    if (colon < 0) return false;
    this.#text("vdev", value.slice(0, colon), place);
    const type = value.slice(colon + 1);
    if (type !== "cdrom" && type !== "disk") {
      throw new SpecError("disk", "unknown deprecated type", place, "VDEV:disk or VDEV:cdrom");
    }
    this.#disk.cdrom = type === "cdrom";
    return true;
  }

  #format(value: string, place: SpecPlace): void {
    this.#choose<"format", DiskFormat>(
      "format",
      "format",
      DISK_FORMATS,
      value === "" ? "raw" : value,
      place,
    );
  }

  #access(value: string, place: SpecPlace): void {
    const word = oneOf(["r", "ro", "w", "rw", ""], "access", value, place, "r, ro, w or rw");
    this.#disk.readOnly = word.startsWith("r") && word !== "rw";
  }

  /** A word; it may be said again, but not another one. */
  #choose<Field extends "format" | "backendType" | "specification", Word extends string>(
    field: Field,
    item: string,
    words: readonly Word[],
    value: string,
    place: SpecPlace,
    key: string = item,
  ): void {
    const word = oneOf(words, key, value, place);
    const earlier = this.#disk[field] as string | undefined;
    if (earlier !== undefined && earlier !== word) {
      throw new SpecError(
        "disk",
        `${item} respecified`,
        place,
        `${earlier}, as it was said before`,
      );
    }
    this.#disk[field] = word as never;
  }

  /** A text; it may be said again only if it was empty. */
  #text(key: keyof typeof TEXTS, value: string, place: SpecPlace): void {
    const field = TEXTS[key];
    if (hasControlCharacters(value)) {
      const expected = "a value without line ends and other control characters";
      throw new SpecError("disk", "bad disk syntax", place, expected);
    }
    if (this.#disk[field]) {
      throw new SpecError("disk", `${key} respecified`, place, `one ${key} only`);
    }
    this.#disk[field] = value;
  }
}

function oneOf<Word extends string>(
  words: readonly Word[],
  item: string,
  value: string,
  place: SpecPlace,
  expected = words.join(", "),
): Word {
  const word = words.find((candidate) => candidate === value);
  if (word === undefined) {
    throw new SpecError("disk", `unknown value for ${item}`, place, expected);
  }
  return word;
}
