/** Work that must not overlap, by the name of what it works on. */
export class Exclusive {
  readonly #tails = new Map<string, Promise<unknown>>();

  /**
   * Runs `work` when all earlier work of the same name has ended.
   * @throws the signal's reason when it fires while waiting; what `work` throws
   */
  async run<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(name) ?? Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    const tail = before.then(() => promise);
    this.#tails.set(name, tail);
    try {
      await settledOr(before, signal);
      return await work();
    } finally {
      resolve();
      if (this.#tails.get(name) === tail) this.#tails.delete(name);
    }
  }
}

function settledOr(before: Promise<unknown>, signal: AbortSignal): Promise<unknown> {
  if (signal.aborted) return Promise.reject(signal.reason);
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  before.then(resolve);
  return promise.finally(() => signal.removeEventListener("abort", onAbort));
}
