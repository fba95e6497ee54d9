/** What an `add` that is refused says structurally, whatever carries the plugin. Pure. */
import type { Busy, HolderName } from "../../../contract/v1/plugin.ts";

/** Most devices that one is made to wait for. */
const HOLDERS_MAX = 64;

/** How far an error is looked through for what caused it. */
const DEPTH_MAX = 8;

/** Whether an error is a refusal since something is in use, and whose; null if it is none. */
export function busyOf(thrown: unknown): Busy | null {
  let error = thrown;
  for (let depth = 0; depth < DEPTH_MAX && error instanceof Error; depth++) {
    const { busy } = error as { busy?: unknown };
    if (isBusy(busy)) return busy;
    error = error.cause;
  }
  return null;
}

/** Whether a value says what {@link Busy} says. */
export function isBusy(value: unknown): value is Busy {
  if (typeof value !== "object" || value === null) return false;
  const { holders } = value as { holders?: unknown };
  return Array.isArray(holders) && holders.length <= HOLDERS_MAX && holders.every(isName);
}

function isName(value: unknown): value is HolderName {
  if (typeof value !== "object" || value === null) return false;
  const { kind, frontendDomid, devid } = value as Record<string, unknown>;
  return typeof kind === "string" && /^[\w-]{1,32}$/.test(kind) &&
    [frontendDomid, devid].every((number) =>
      Number.isSafeInteger(number) && (number as number) >= 0
    );
}
