/** A network interface, as a specification describes it. Pure. */
import { defbool, dryRunText, type JsonValue, libxlJson, nonZero } from "../libxl_json.ts";
import { NIC_COLO_KEYS } from "./colo.ts";
import { bytesPerInterval, formatRate, type NicRate } from "./rate.ts";

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

/** Items from which the parser makes the same interface again; none has a comma added. */
export function formatNic(nic: NicSpec): string[] {
  const { colo, rate, trusted, ...rest } = nic;
  const items = Object.entries({ ...rest, ...colo }).flatMap(([key, value]) =>
    value === undefined ? [] : [`${key}=${value}`]
  );
  if (rate !== undefined) items.push(`rate=${formatRate(rate)}`);
  if (trusted !== undefined) items.push(trusted ? "trusted" : "untrusted");
  return items;
}

/** The interface as libxl prints it (`libxl_device_nic` of libxl_types.idl). */
export function nicToJson(nic: NicSpec): string {
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
