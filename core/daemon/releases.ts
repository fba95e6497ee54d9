/** Who waits for other devices to give back what they hold. */
import { deviceName } from "../xen/device_id.ts";
import type { JournalEntry } from "./journal/entry.ts";
import type { JournalStore } from "./journal/memory.ts";

/** Those who wait, by the name of the device that they wait for. */
export class Releases {
  readonly #waiting = new Map<string, Set<() => void>>();

  /** To be told when nothing is held for a device any more. */
  released(name: string): void {
    for (const resolve of this.#waiting.get(name) ?? []) resolve();
  }

  /**
   * Resolves when one of these devices holds nothing, at once if that is so already.
   * @param names of devices, as in the journal
   * @throws the signal's reason
   */
  async ofAny(names: readonly string[], journal: JournalStore, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (names.some((name) => !isHolding(journal.get(name)))) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const onAbort = () => reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    for (const name of names) this.#listen(name, resolve);
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", onAbort);
      for (const name of names) this.#forget(name, resolve);
    }
  }

  #listen(name: string, resolve: () => void): void {
    const waiting = this.#waiting.get(name);
    if (waiting === undefined) this.#waiting.set(name, new Set([resolve]));
    else waiting.add(resolve);
  }

  #forget(name: string, resolve: () => void): void {
    const waiting = this.#waiting.get(name);
    waiting?.delete(resolve);
    if (waiting?.size === 0) this.#waiting.delete(name);
  }
}

/** Whether anything may be held for a device. */
export function isHolding(entry: JournalEntry | undefined): boolean {
  return entry !== undefined && entry.stage !== "failed" && entry.stage !== "removed";
}

/** Names of the devices that a refused one waits for. */
export function waitsFor(
  holders: readonly { kind: string; frontendDomid: number; devid: number }[],
): string[] {
  return holders.map(deviceName);
}
