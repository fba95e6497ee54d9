/**
 * What a daemon says of itself to domain 0, by the store: one node below `data/xdevd` of the driver
 * domain. It is the driver domain's own word: who reads it believes none of it. Pure.
 */
import { DEVICE_STATES, type DeviceState } from "../../xen/device_json.ts";
import { domainPath } from "../../xenstore/paths.ts";

/** Where it is. */
export function domainStatusPath(domid: number): string {
  return `${domainPath(domid)}/data/xdevd/status`;
}

/** Longest text of the node, in bytes: a store's value has 4096 at most. */
export const STATUS_MAX = 2048;

/** Longest of its words, in characters. */
const [WORD_MAX, LINE_MAX] = [64, 300];

/** Most devices that are believed. */
const COUNT_MAX = 1_000_000;

/** What it says. */
export interface DomainStatus {
  readonly version: string;
  /** Whether the daemon serves. One that was killed says what it said last. */
  readonly ready: boolean;
  /** When this was written, by the driver domain's clock; RFC 3339, UTC. */
  readonly at: string;
  readonly startedAt: string;
  /** How many devices are in which state; of those that are none, none. */
  readonly states: Readonly<Partial<Record<DeviceState, number>>>;
  /** The last one. */
  readonly failure: {
    readonly at: string;
    readonly device: string;
    readonly code: string;
    readonly message: string;
  } | null;
}

/** As it is written. */
export function encodeDomainStatus(status: DomainStatus): string {
  const { failure } = status;
  const short = failure === null
    ? null
    : { ...failure, message: failure.message.slice(0, LINE_MAX) };
  const text = JSON.stringify({ ...status, failure: short });
  const fits = new TextEncoder().encode(text).length <= STATUS_MAX;
  return fits ? text : JSON.stringify({ ...status, failure: null });
}

/** What a node says; null: nothing that makes sense. */
export function parseDomainStatus(text: string): DomainStatus | null {
  if (text.length > STATUS_MAX) return null;
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return null;
  }
  const fields = objectOf(value);
  const [version, at, startedAt] = ["version", "at", "startedAt"].map((name) =>
    wordOf(fields?.[name], WORD_MAX)
  );
  const ready = fields?.["ready"];
  // What is no time makes no sense, and is no time to show.
  if (!isTime(at) || !isTime(startedAt)) return null;
  if (version == null || typeof ready !== "boolean") return null;
  return {
    ...{ version, ready, at, startedAt },
    states: statesOf(fields!["states"]),
    failure: failureOf(fields!["failure"]),
  };
}

function statesOf(value: unknown): DomainStatus["states"] {
  const given = objectOf(value) ?? {};
  const states = Object.keys(DEVICE_STATES) as DeviceState[];
  return Object.fromEntries(states.flatMap((state) => {
    const count = Object.hasOwn(given, state) ? given[state] : undefined;
    const isCount = Number.isInteger(count) && count as number > 0 && count as number <= COUNT_MAX;
    return isCount ? [[state, count as number]] : [];
  }));
}

function failureOf(value: unknown): DomainStatus["failure"] {
  const fields = objectOf(value);
  const [at, device, code] = ["at", "device", "code"].map((name) =>
    wordOf(fields?.[name], WORD_MAX)
  );
  const message = wordOf(fields?.["message"], LINE_MAX);
  if (!isTime(at) || device == null || code == null || message == null) return null;
  return { at, device, code, message };
}

/** RFC 3339 in UTC, as `Date` writes it. */
function isTime(text: string | null | undefined): text is string {
  return text != null && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$/.test(text);
}

function objectOf(value: unknown): Readonly<Record<string, unknown>> | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Readonly<Record<string, unknown>>
    : null;
}

function wordOf(value: unknown, max: number): string | null {
  return typeof value === "string" && value.length <= max ? value : null;
}
