/** What the process in which a plugin is checked reports, and how that is read. Pure. */
import { own } from "../../contract/v1/own.ts";
import type { Verdict } from "./rule.ts";

export type CheckEvent =
  /** It is alive: its event loop goes round. */
  | { readonly is: "beat" }
  | { readonly is: "begin"; readonly rule: string }
  /** What the plugin is about to do. */
  | { readonly is: "step"; readonly what: string }
  | { readonly is: "log"; readonly line: string }
  | { readonly is: "verdict"; readonly verdict: Verdict }
  /** Why the process is about to end. */
  | { readonly is: "fault"; readonly reason: string };

/** What it is told: to go on with the next rule. */
export const GO_ON = "go on";

/** Reads a report; null if it is none: the plugin may have written there. */
export function parseEvent(line: string): CheckEvent | null {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return null;
  }
  if (typeof value !== "object" || value === null) return null;
  const event = value as Record<string, unknown>;
  const texts: Readonly<Record<string, string | null>> = {
    beat: null,
    begin: "rule",
    step: "what",
    log: "line",
    fault: "reason",
  };
  const is = String(event["is"]);
  if (is === "verdict") return isVerdict(event["verdict"]) ? value as CheckEvent : null;
  const field = own(texts, is);
  if (field === undefined) return null;
  return field === null || typeof event[field] === "string" ? value as CheckEvent : null;
}

function isVerdict(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { rule, claim, faults, ms } = value as Record<string, unknown>;
  return typeof rule === "string" && typeof claim === "string" && typeof ms === "number" &&
    Array.isArray(faults) && faults.every((fault) => typeof fault === "string");
}
