/** Network specifications (docs/man/xl-network-configuration.5, xl_parse.c). Pure. */
import { checkValue, keyAndValue, parseCount, type SpecItem, wholeItems } from "../fields.ts";
import { SpecError } from "../spec_error.ts";
import { NIC_COLO_KEYS, NIC_TYPES, type NicSpec, parseMac, parseRate } from "./spec.ts";

/** Parameters whose value is kept as it is. */
export const NIC_TEXT_KEYS = [
  "backend",
  "bridge",
  "forwarddev",
  "gatewaydev",
  "ip",
  "model",
  "script",
  "vifname",
  "vlan",
] as const;

const OTHER_KEYS = ["devid=", "mac=", "mtu=", "rate=", "type=", "trusted", "untrusted"] as const;

/** Parameters that have a value, but for those of COLO. */
export const NIC_KEYS: readonly string[] = [
  ...NIC_TEXT_KEYS,
  ...OTHER_KEYS.filter((key) => key.endsWith("=")).map((key) => key.slice(0, -1)),
];

/** Largest devid of libxl, which is an int. */
const DEVID_MAX = 0x7fffffff;
const MTU_MAX = 65535;

const texts: ReadonlySet<string> = new Set(NIC_TEXT_KEYS);
const colos: ReadonlySet<string> = new Set(NIC_COLO_KEYS);

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

/** What was read, and what there is to be said of it though it is accepted. */
export interface ParsedNic {
  readonly nic: NicSpec;
  /** One line each. */
  readonly warnings: readonly string[];
}

/** Values for what is not said: `vif.default.…` of the configuration. */
export type NicDefaults = Pick<NicSpec, "backend" | "bridge" | "gatewaydev" | "script">;

/**
 * Parses the arguments of `network-attach`: each is one item, so that its value may have commas. Of
 * several values for one key the last one holds.
 * @throws SpecError
 */
export function parseNic(items: readonly string[], defaults: NicDefaults = {}): ParsedNic {
  const parser = new NicParser(defaults);
  for (const item of wholeItems(items)) {
    if (!parser.read(item)) {
      throw new SpecError("vif", "unrecognized argument", item.place, nicRule());
    }
  }
  return parser;
}

class NicParser implements ParsedNic {
  readonly nic: Mutable<NicSpec>;
  readonly warnings: string[] = [];
  readonly #colo: Record<string, string> = {};

  constructor(defaults: NicDefaults) {
    this.nic = { ...defaults, colo: this.#colo };
  }

  /** @returns whether the item is known */
  read(item: SpecItem): boolean {
    const [key, value] = keyAndValue(item);
    if (value === undefined) {
      if (key !== "trusted" && key !== "untrusted") return false;
      this.nic.trusted = key === "trusted";
      return true;
    }
    if (texts.has(key) || colos.has(key) || key === "netdev") checkValue("vif", item);
    if (texts.has(key)) this.nic[key as typeof NIC_TEXT_KEYS[number]] = value;
    else if (colos.has(key)) this.#colo[key] = value;
    else return this.#readOther(key, value, item);
    return true;
  }

  #readOther(key: string, value: string, item: SpecItem): boolean {
    const fault = (category: string, expected: string): never => {
      throw new SpecError("vif", category, item.place, expected);
    };
    const count = (max: number): number =>
      parseCount(value, max) ??
        fault(/^\d+$/.test(value) ? "Invalid parameter" : "not a number", `a number, 0 to ${max}`);
    switch (key) {
      case "netdev":
        this.warnings.push("netdev is deprecated: write gatewaydev");
        this.nic.gatewaydev = value;
        return true;
      case "accel":
        this.warnings.push("accel is not supported and is ignored");
        return true;
      case "type":
        this.nic.type = NIC_TYPES.find((type) => type === value) ??
          fault("Invalid parameter", "type=vif or type=ioemu");
        return true;
      case "mac":
        this.nic.mac = parseMac(value) ??
          fault("Invalid parameter", "six hexadecimal groups, such as mac=00:16:3e:12:34:56");
        return true;
      case "devid":
        this.nic.devid = count(DEVID_MAX);
        return true;
      case "mtu": {
        const mtu = count(MTU_MAX);
        // As the stock tools have it, 0 is the default.
        if (mtu === 0) delete this.nic.mtu;
        else this.nic.mtu = mtu;
        return true;
      }
      case "rate":
        this.nic.rate = parseRate(value, item.place, (warning) => this.warnings.push(warning));
        return true;
      default:
        return false;
    }
  }
}

function nicRule(): string {
  return [...NIC_TEXT_KEYS.map((key) => `${key}=`), ...OTHER_KEYS, "colo_…="].join(" ");
}
