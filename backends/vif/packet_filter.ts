/** Rules that let a guest's packets pass where the packet filter drops what is not allowed. */
import type { Device } from "../../contract/v1/plugin.ts";
import { formatIp } from "../../contract/v1/ip_address.ts";
import { isShortage } from "../shared/shortage.ts";
import { findProgram, type VifSettings } from "./settings.ts";
import { encodeUndo } from "./undo.ts";

type Rule = readonly string[];

/** DHCP requests pass from whatever address. */
const DHCP: Rule = ["-p", "udp", "--sport", "68", "--dport", "67"];

/**
 * The rules for an interface: to the guest all, from it what comes from its networks; if none are
 * known, all.
 */
export function rulesFor(name: string, networks: VifSettings["networks"]): Rule[] {
  const rule = (direction: "in" | "out", ...match: string[]): Rule => [
    ...["FORWARD", "-m", "physdev", "--physdev-is-bridged", `--physdev-${direction}`, name],
    ...[...match, "-j", "ACCEPT"],
  ];
  const sources = networks.filter(({ version }) => version === 4);
  const from = networks.length === 0
    ? [rule("in")]
    : [...sources.map((source) => rule("in", "-s", formatIp(source))), rule("in", ...DHCP)];
  return [...from, rule("out")];
}

/**
 * Adds rules if there is an iptables that works. That it fails is only told, as by the scripts.
 * @throws Error when it cannot be run
 */
export async function addRules(
  device: Device,
  rules: readonly Rule[],
  signal: AbortSignal,
): Promise<void> {
  const iptables = await findProgram(device.system, "iptables");
  if (iptables === undefined) return;
  try {
    // Without the modules that it needs there is nothing to be let through.
    await device.system.run([iptables, "-w", "-L", "-n"], signal);
  } catch (error) {
    signal.throwIfAborted();
    if (isShortage(error)) throw error;
    return;
  }
  await device.recordUndo(encodeUndo({ rules }));
  for (const rule of rules) {
    try {
      await device.system.run([iptables, "-w", "-I", ...rule], signal);
    } catch (error) {
      device.log.warning(`guest networking may be affected: ${(error as Error).message}`);
      return;
    }
  }
}

/** How often the rules are looked at, in ms: that takes a process, for all interfaces together. */
const LOOK_MS = 60_000;

/** What `iptables -S FORWARD` printed last. */
let last: { readonly at: number; readonly lines: Promise<string> } | null = null;

/** Adds the rules of an interface again if all were flushed. @returns whether they were */
export async function checkRules(
  device: Device,
  name: string,
  rules: readonly Rule[],
  signal: AbortSignal,
): Promise<boolean> {
  if (rules.length === 0) return false;
  const iptables = await findProgram(device.system, "iptables");
  if (iptables === undefined) return false;
  const now = performance.now();
  if (last === null || now - last.at > LOOK_MS) {
    last = { at: now, lines: device.system.run([iptables, "-w", "-S", "FORWARD"], signal) };
    last.lines.catch(() => {});
  }
  const lines = await last.lines.catch(() => undefined);
  const words = lines?.split(/\s+/);
  if (words === undefined || words.includes(name)) return false;
  last = null;
  await addRules(device, rules, signal);
  return true;
}

/** Removes rules, as far as they are there. @throws Error when iptables cannot be run */
export async function removeRules(
  device: Device,
  rules: readonly Rule[],
  signal: AbortSignal,
): Promise<void> {
  if (rules.length === 0) return;
  const iptables = await findProgram(device.system, "iptables");
  if (iptables === undefined) return;
  for (const rule of rules) {
    try {
      await device.system.run([iptables, "-w", "-D", ...rule], signal);
    } catch (error) {
      signal.throwIfAborted();
      if (isShortage(error)) throw error;
    }
  }
}
