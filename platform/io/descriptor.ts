/** Bytes from and to a descriptor that does not block. */
import type { DescriptorReader } from "../sources.ts";

/** How long a peer that does not read has before it is tried again, in ms. */
const FULL_PAUSE_MS = 5;

/** Reads to the end. @throws SystemError, or what `data` throws */
export async function readAll(
  reader: DescriptorReader,
  data: (chunk: Uint8Array) => void,
): Promise<void> {
  // `for await` takes a third longer until the first byte.
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    data(value!);
  }
}

/** What a reader reads, no further than it is asked for. */
export async function* chunksOf(reader: DescriptorReader): AsyncGenerator<Uint8Array> {
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value!;
  }
}

/** What is to be written to a descriptor, in order; what it does not take yet waits. */
export class WriteQueue {
  readonly #take: (bytes: Uint8Array) => number;
  readonly #failed: (error: Error) => void;
  readonly #drained: () => void;
  #waiting: Uint8Array[] = [];
  #queued = 0;
  #stopped = false;

  /**
   * @param take writes some of the bytes: how many, or -1 when there is no room; throws when that
   *   cannot be done, which stops the queue
   * @param failed told with what
   * @param drained called when nothing waits any more, after something has had to
   */
  constructor(
    take: (bytes: Uint8Array) => number,
    failed: (error: Error) => void,
    drained: () => void,
  ) {
    this.#take = take;
    this.#failed = failed;
    this.#drained = drained;
  }

  /** Bytes that wait. */
  get queued(): number {
    return this.#queued;
  }

  /** Writes, now as far as that can be done. Ignored once stopped. */
  push(bytes: Uint8Array): void {
    if (this.#stopped || bytes.length === 0) return;
    this.#waiting.push(bytes);
    this.#queued += bytes.length;
    if (this.#waiting.length === 1) this.#flush();
  }

  /** Nothing more is written, also of what waits. */
  stop(): void {
    this.#stopped = true;
  }

  #flush(): void {
    if (this.#stopped) return;
    try {
      for (let first; (first = this.#waiting[0]) !== undefined;) {
        const taken = this.#take(first);
        if (taken < 0) {
          setTimeout(() => this.#retry(), FULL_PAUSE_MS);
          return;
        }
        this.#queued -= taken;
        if (taken < first.length) this.#waiting[0] = first.subarray(taken);
        else this.#waiting.shift();
      }
    } catch (error) {
      this.#stopped = true;
      this.#failed(error as Error);
    }
  }

  #retry(): void {
    if (this.#stopped) return;
    this.#flush();
    if (this.#queued === 0 && !this.#stopped) this.#drained();
  }
}
