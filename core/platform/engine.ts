/** Settings of the runtime, which takes them from the environment when it starts. */
import { calledAs, selfCommand } from "./self.ts";

/**
 * - How often a function runs before it is compiled (JavaScriptCore's runtime/OptionsList.h; 500 and
 *   100 by default; a call counts 15). A daemon that sets up a device now and then spends more on
 *   compiling than it gets back: a third of its processor time. With thousands of devices, what runs
 *   often still gets compiled.
 * - No collecting of garbage whenever there is some: see garbage.ts.
 * - Memory that is free for 10 minutes goes back to the system, and is not looked for more often
 *   (options of the runtime's mimalloc, in ms; 100 by default). It does that when something is freed
 *   next, and so for a daemon that rests when the next device is set up, which asks for it again.
 */
export const ENGINE_SETTINGS: Readonly<Record<string, string>> = {
  BUN_JSC_thresholdForJITAfterWarmUp: "200000",
  BUN_JSC_thresholdForJITSoon: "200000",
  BUN_GC_TIMER_DISABLE: "1",
  MIMALLOC_PURGE_DELAY: "600000",
  MIMALLOC_PURGE_HOLES_MIN_INTERVAL: "600000",
};

/** This process's environment with the engine's settings; whoever has set one knows better. */
export function environmentWithSettings(): Record<string, string | undefined> {
  return { ...ENGINE_SETTINGS, ...process.env };
}

/**
 * Starts this program once more in its own place, as the same process, with the engine's settings.
 * Returns if it has them, or if that cannot be done: then it works without.
 * @param args the program's arguments
 */
export function takeSettings(args: readonly string[]): void {
  if (Object.keys(ENGINE_SETTINGS).some((name) => process.env[name] !== undefined)) return;
  // The runtime's list has lost what is no UTF-8.
  if (args.some((arg) => arg.includes("\ufffd"))) return;
  const [program, ...prefix] = selfCommand();
  try {
    process.execve?.(
      program,
      [calledAs(), ...prefix, ...args],
      environmentWithSettings() as Record<string, string>,
    );
  } catch {
    // Replaced on disk just now, say.
  }
}
