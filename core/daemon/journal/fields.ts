/** Reading fields of a journal's payload, which may be anything. Pure. */
import { type DeviceId, DOMID_MAX, isKind } from "../../xen/device_id.ts";
import type { Stage } from "../../lifecycle/state.ts";
import type { Undo } from "../../../contract/v1/plugin.ts";

/** A map by names. */
export type Fields = Readonly<Record<string, unknown>>;

/** What is no map is null. */
export function fieldsOf(value: unknown): Fields | null {
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? value as Fields
    : null;
}

const STAGES: ReadonlySet<unknown> = new Set<Stage>([
  "adding",
  "connected",
  "undoing",
  "failed",
  "removing",
  "removed",
]);

/** Whether it is one of the stages. */
export function isStage(value: unknown): value is Stage {
  return STAGES.has(value);
}

/** A device's identity; null if it is none. */
export function idOf(value: unknown): DeviceId | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  const { backendDomid, kind, frontendDomid, devid } = fields;
  if (!isNumber(backendDomid, DOMID_MAX) || !isNumber(frontendDomid, DOMID_MAX)) return null;
  if (!isNumber(devid, 0xffffffff) || typeof kind !== "string" || !isKind(kind)) return null;
  return { backendDomid, kind, frontendDomid, devid };
}

/** Texts, numbers and booleans by name; null if there is anything else. */
export function undoOf(value: unknown): Undo | null {
  const fields = fieldsOf(value);
  if (fields === null) return null;
  const entries = Object.entries(fields);
  const plain = entries.every(([, value]) =>
    ["string", "number", "boolean"].includes(typeof value)
  );
  return plain ? Object.fromEntries(entries) as Undo : null;
}

/** Texts by name; null if there is anything else. */
export function textsOf(value: unknown): Readonly<Record<string, string>> | null {
  const values = undoOf(value);
  if (values === null) return null;
  const isAllText = Object.values(values).every((value) => typeof value === "string");
  return isAllText ? values as Readonly<Record<string, string>> : null;
}

/** Whether it is a whole number from 0 to `max`. */
export function isNumber(value: unknown, max: number): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= max;
}

/** Whether it is a text or null. */
export function isTextOrNull(value: unknown): value is string | null {
  return value === null || typeof value === "string";
}
