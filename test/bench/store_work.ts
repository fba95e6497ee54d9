/** Work on a store by our client, as `peers/libxenstore.c` does it by the C library. */
import type { StoreClient } from "../../core/xenstore/client.ts";

/** Requests under way at a time, where they are pipelined. */
const IN_FLIGHT = 64;

/** Runs work one piece after the other. */
export async function inTurn(
  count: number,
  work: (number: number) => Promise<void>,
): Promise<void> {
  for (let number = 0; number < count; number++) await work(number);
}

/** Runs work with many pieces under way at a time. */
export async function pipelined(
  count: number,
  work: (number: number) => Promise<void>,
): Promise<void> {
  let next = 0;
  await Promise.all(Array.from({ length: IN_FLIGHT }, async () => {
    while (next < count) await work(next++);
  }));
}

/** @returns µs that each of so many pieces of work took, on average */
export async function microseconds(count: number, work: () => Promise<void>): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) * 1000 / count;
}

/** Sets watches below a directory and waits for the first event of each; returns how to end them. */
export async function watchMany(
  client: StoreClient,
  directory: string,
  count: number,
): Promise<() => Promise<void>> {
  let left = count;
  const { promise, resolve } = Promise.withResolvers<void>();
  const watches = await Promise.all(Array.from({ length: count }, (_, number) => {
    let fired = false;
    return client.watch(`${directory}/${number}`, () => {
      if (fired) return;
      fired = true;
      if (--left === 0) resolve();
    });
  }));
  await promise;
  return async () => void await Promise.all(watches.map((watch) => watch.close()));
}
