/** A network interface, as a specification describes it. Pure. */
import { defbool, dryRunText, type JsonValue, libxlJson, nonZero } from "../libxl_json.ts";
import { placeIn, SpecError, type SpecPlace } from "../spec_error.ts";

/** Paravirtual, or paravirtual with an emulated twin. */
export const NIC_TYPES = ["vif", "ioemu"] as const;
/** One of {@link NIC_TYPES}. */
export type NicType = typeof NIC_TYPES[number];

/** A network interface. What is undefined was not said; texts may be empty. */
export interface NicSpec {
  /** Backend domain, by name or domid. */
  readonly backend?: string;
  /** 0 … 2^31-1; by default the lowest free one. */
  readonly devid?: number;
  /** Bytes, 1 … 65535; by default 1500. */
  readonly mtu?: number;
  /** Free text for the script. */
  readonly vlan?: string;
  /** What the emulated twin is. */
  readonly model?: string;
  /** Six lower-case pairs with colons; by default one is made up. */
  readonly mac?: string;
  /** Free text for the script. */
  readonly ip?: string;
  readonly bridge?: string;
  /** Name of the interface in the backend domain. */
  readonly vifname?: string;
  /** Hotplug script; one without a leading slash is in the directory for scripts. */
  readonly script?: string;
  readonly type?: NicType;
  readonly rate?: NicRate;
  readonly gatewaydev?: string;
  /** Whether the guest trusts the backend; if not said, it does. */
  readonly trusted?: boolean;
  /** Replication (COLO). */
  readonly forwarddev?: string;
  /** Replication (COLO): values by the names in {@link NIC_COLO_KEYS}. */
  readonly colo: Readonly<Record<string, string>>;
}

/** The interface as libxl prints it (`libxl_device_nic` of libxl_types.idl). */
function nicToJson(nic: NicSpec): string {
  const { rate, type } = nic;
  return libxlJson([
    ["backend_domname", nic.backend],
    ["devid", nic.devid],
    ["mtu", nonZero(nic.mtu ?? 0)],
    ["vlan", nic.vlan],
    ["model", nic.model],
    ["mac", nic.mac === "00:00:00:00:00:00" ? undefined : nic.mac],
    ["ip", nic.ip],
    ["bridge", nic.bridge],
    ["ifname", nic.vifname],
    ["script", nic.script],
    ["nictype", type === "ioemu" ? "vif_ioemu" : type],
    ["rate_bytes_per_interval", rate && nonZero(bytesPerInterval(rate))],
    ["rate_interval_usecs", rate?.intervalUs],
    ["gatewaydev", nic.gatewaydev],
    ["coloft_forwarddev", nic.forwarddev],
    ...NIC_COLO_KEYS.map((key): [string, JsonValue] => [key, nic.colo[key]]),
    ["trusted", defbool(nic.trusted)],
  ]);
}

/** What `xl -N network-attach` prints. */
export function nicDryRun(nic: NicSpec): string {
  return dryRunText("vif", nicToJson(nic));
}

/**
 * Their names, which are those of the backend's nodes too, in the order of `libxl_device_nic`
 * (libxl_types.idl). `forwarddev` is not among them: it has another name there.
 */
export const NIC_COLO_KEYS: readonly string[] = [
  ...trios("colo_sock_", [
    "mirror",
    "compare_pri_in",
    "compare_sec_in",
    "compare_notify",
    "redirector0",
    "redirector1",
    "redirector2",
  ]),
  "colo_filter_mirror_queue",
  "colo_filter_mirror_outdev",
  "colo_filter_redirector0_queue",
  "colo_filter_redirector0_indev",
  "colo_filter_redirector0_outdev",
  "colo_filter_redirector1_queue",
  "colo_filter_redirector1_indev",
  "colo_filter_redirector1_outdev",
  "colo_compare_pri_in",
  "colo_compare_sec_in",
  "colo_compare_out",
  "colo_compare_notify_dev",
  ...trios("colo_sock_", ["sec_redirector0", "sec_redirector1"]),
  "colo_filter_sec_redirector0_queue",
  "colo_filter_sec_redirector0_indev",
  "colo_filter_sec_redirector0_outdev",
  "colo_filter_sec_redirector1_queue",
  "colo_filter_sec_redirector1_indev",
  "colo_filter_sec_redirector1_outdev",
  "colo_filter_sec_rewriter0_queue",
  "colo_checkpoint_host",
  "colo_checkpoint_port",
];

function trios(prefix: string, sockets: readonly string[]): string[] {
  return sockets.flatMap((socket) =>
    ["id", "ip", "port"].map((end) => `${prefix}${socket}_${end}`)
  );
}

/** Xen's part of an address (libxl_nic.c). */
const XEN_OUI = [0x00, 0x16, 0x3e] as const;

/**
 * Six groups of hexadecimal digits, each 0 … ff, between them any single character that is none.
 * @returns the address in the common form, six lower-case pairs with colons; undefined if it is none
 */
export function parseMac(text: string): string | undefined {
  // No x either: after a 0 it would begin another notation.
  const groups = text.split(/[ !-/:-@G-WYZ[-`g-wyz{-~]/);
  if (groups.length !== 6) return undefined;
  if (!groups.every((group) => /^0*[\da-f]{1,2}$/i.test(group) && group.length <= 16)) {
    return undefined;
  }
  return formatMac(groups.map((group) => parseInt(group, 16)));
}

/** Six lower-case pairs with colons. */
function formatMac(bytes: Iterable<number>): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join(":");
}

/**
 * An address for an interface that was given none.
 * @param random three random bytes, of which the first one's highest bit is not used
 */
export function randomMac(random: Uint8Array): string {
  const [first = 0, second = 0, third = 0] = random;
  return formatMac([...XEN_OUI, first & 0x7f, second, third]);
}

export interface NicRate {
  /** 0 … 2^32-1 times 10^9. */
  readonly bytesPerSecond: bigint;
  /** How often the guest gets new credit, in µs: 1 … 2^32-1. */
  readonly intervalUs: number;
}

/** How often a guest gets new credit if nothing is said, in µs (libxlu_vif.c). */
const RATE_INTERVAL_US = 50_000;

const NUMBER_MAX = 0xffffffff;
const U64_MAX = 2n ** 64n - 1n;
export const UNITS = { "": 1n, K: 1_000n, M: 1_000_000n, G: 1_000_000_000n } as const;
const INTERVAL_UNITS = { "": 1_000_000, m: 1_000, u: 1 } as const;

const RULE = "N[G|M|K](B|b)/s[@I[m|u][s]], such as 10MB/s or 250Kb/s@20ms";

/** Bytes that the guest may send in one interval. */
export function bytesPerInterval({ bytesPerSecond, intervalUs }: NicRate): bigint {
  return bytesPerSecond * BigInt(intervalUs) / 1_000_000n;
}

/**
 * Parses a rate.
 * @param value the rate, at the end of the text at `place`
 * @param warn is told when a leading zero makes a number octal, which nobody may have meant
 * @throws SpecError
 */
export function parseRate(
  value: string,
  place: SpecPlace,
  warn: (warning: string) => void,
): NicRate {
  const at = value.indexOf("@");
  const rateText = at < 0 ? value : value.slice(0, at);
  const start = place.offset + place.length - value.length;
  const fault = (category: string, from: number, length: number, expected: string): never => {
    throw new SpecError(
      "vif",
      category,
      placeIn(place.text, place.argument, start + from, length),
      expected,
    );
  };
  if (rateText === "") {
    throw new SpecError("vif", "no rate specified", place, RULE);
  }
  const [, digits = "", unit = "", letter] = /^(\d+)([GMK]?)([Bb])\/s$/.exec(rateText) ?? [];
  const number = letter === undefined ? undefined : parseNumber(digits, warn);
  if (number === undefined) return fault("invalid rate", 0, rateText.length, RULE);
  if (number === 0n || number > NUMBER_MAX) {
    return fault("rate overflow", 0, rateText.length, `a number 1 to ${NUMBER_MAX}`);
  }
  const units = number * UNITS[unit as keyof typeof UNITS];
  const bytesPerSecond = letter === "b" ? units / 8n : units;
  let intervalUs = RATE_INTERVAL_US;
  if (at >= 0) {
    const text = value.slice(at + 1);
    const [, count = "", scale] = /^(\d+)([mu]?)s?$/.exec(text) ?? [];
    const interval = scale === undefined ? undefined : parseNumber(count, warn);
    if (interval === undefined) {
      return fault("invalid replenishment interval", at + 1, text.length, "such as 50ms, 20us, 1s");
    }
    const microseconds = interval * BigInt(INTERVAL_UNITS[scale as keyof typeof INTERVAL_UNITS]);
    if (microseconds === 0n || interval > NUMBER_MAX || microseconds > NUMBER_MAX) {
      const expected = `1 to ${NUMBER_MAX} µs`;
      return fault("replenishment interval overflow", at + 1, text.length, expected);
    }
    intervalUs = Number(microseconds);
  }
  if (bytesPerSecond > U64_MAX / BigInt(intervalUs)) {
    return fault("rate overflow", 0, value.length, "fewer than 2^64 bytes times µs");
  }
  return { bytesPerSecond, intervalUs };
}

/** Digits as C reads them: octal after a leading zero. undefined for 08 and 09. */
function parseNumber(digits: string, warn: (warning: string) => void): bigint | undefined {
  if (!/^0\d/.test(digits)) return BigInt(digits);
  if (!/^[0-7]+$/.test(digits)) return undefined;
  const value = BigInt(`0o${digits}`);
  warn(`rate: ${digits} is taken as an octal number, ${value}; write it without the leading zero`);
  return value;
}
