/** What is tuned for the engine: little, since it has neither threads nor machine code. */
import { host } from "./host.ts";
import { program } from "./program.ts";
import { limitRuns } from "./run_limit.ts";

/** How much a daemon may allocate before garbage is looked for, in bytes. */
const THRESHOLD = 512 * 1024;

/** Nothing of the environment is for the engine. */
export function environmentWithSettings(): Record<string, string | undefined> {
  return { ...program.environment };
}

/** Nothing is to be done. */
export function tuneBeforeStart(_args: readonly string[]): void {}

/**
 * What the start has left is collected; from here on garbage is looked for often, since there is little,
 * and nothing runs for ever.
 */
export async function tuneAfterStart(): Promise<void> {
  limitRuns();
  await collectObjects();
  host.threshold(THRESHOLD);
}

/** Collects garbage. */
export async function collectObjects(): Promise<void> {
  await host.collect();
}
