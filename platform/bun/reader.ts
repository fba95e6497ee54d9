/** Bun's reader of a descriptor, looked after: whoever waits inside the event loop makes it lose wake-ups. */
import type { DescriptorReader } from "../sources.ts";
import { must } from "../system_error.ts";
import { sys } from "./sys.ts";

// poll.h, asm-generic/fcntl.h
const POLLIN = 1;
const F_DUPFD_CLOEXEC = 1030;

/** The standard error; what is below is a standard stream, too. */
const STANDARD_MAX = 2;

/** When reads that wait are looked after, in ms after something has happened. */
const LOOK_MS = 25;

type Chunk = Awaited<ReturnType<DescriptorReader["read"]>>;

/** Looks after each read that waits, and begins it anew if it was forgotten: whether it did. */
const waiting = new Set<() => boolean>();

let timer: ReturnType<typeof setTimeout> | null = null;

/**
 * To be called when the event loop has brought something: soon after, reads that wait are looked after, once.
 *
 * Bun 1.4.5 takes what is ready in batches, and the kernel disarms each descriptor of a batch at once
 * (EPOLLONESHOT). Code that waits for a promise without giving back control (`expect(…).rejects` of `bun test`,
 * a module that is loaded in place) runs the loop within the loop, which takes another batch in the place of the
 * first: what was left of that is forgotten, and its descriptors are disarmed for good. Nothing of the daemon's
 * does that; if anything ever does, something else of the same batch has happened just before. So what happens
 * is the time to look, and a daemon to which nothing happens is not woken.
 */
export function somethingHappened(): void {
  if (timer !== null) return;
  timer = setTimeout(() => {
    timer = null;
    lookAfterReads();
  }, LOOK_MS);
  timer.unref();
}

/** Begins anew what waits while there is something to read. */
export function lookAfterReads(): void {
  // What has just come is on its way in the ordinary manner.
  setImmediate(() =>
    setImmediate(() => {
      let isOne = false;
      for (const look of [...waiting]) isOne = look() || isOne;
      if (isOne) somethingHappened();
    })
  );
}

/**
 * Reads a descriptor. A read that waits while there is something to read is begun anew, with a reader of its
 * own: see {@link somethingHappened}.
 * @param open makes Bun's reader; another one in tests
 */
export function openReader(fd: number, open: typeof bunReader = bunReader): DescriptorReader {
  let inner = open(fd);
  /** What was asked of it and has not come. */
  let awaited: Promise<Chunk> | null = null;
  let look: (() => boolean) | null = null;
  const forget = () => {
    if (look !== null) waiting.delete(look);
    look = null;
  };
  return {
    read: () => {
      const { promise, resolve, reject } = Promise.withResolvers<Chunk>();
      let isOver = false;
      const end = () => {
        isOver = true;
        forget();
        somethingHappened();
      };
      const begin = () => {
        const reader = inner;
        const asked = awaited ??= reader.read();
        asked.then((chunk) => {
          // One that was given up mostly says that it is over; what it has read after all comes first,
          // and what the new one reads is for the next call.
          if (reader !== inner && chunk.done || isOver) return;
          if (reader === inner) awaited = null;
          end();
          resolve(chunk);
        }, (error) => {
          if (reader !== inner || isOver) return;
          end();
          reject(error);
        });
      };
      begin();
      look = () => {
        if (isOver || !hasInput(fd)) return false;
        const stalled = inner;
        inner = open(fd);
        awaited = null;
        stalled.cancel().catch(() => {});
        begin();
        return true;
      };
      waiting.add(look);
      return promise;
    },
    cancel: () => {
      forget();
      return inner.cancel();
    },
  };
}

function bunReader(fd: number): DescriptorReader {
  return Bun.file(duplicable(fd)).stream().getReader();
}

/** Ours of the standard streams; they are open for as long as the process is. */
const duplicates = new Map<number, number>();

/**
 * Each of Bun's readers duplicates its descriptor, so that two can wait for the same; but not a standard stream: a
 * second reader of that fails (EEXIST).
 */
function duplicable(fd: number): number {
  if (fd > STANDARD_MAX) return fd;
  const own = duplicates.get(fd) ?? must(
    () => sys.fcntl(fd, F_DUPFD_CLOEXEC, STANDARD_MAX + 1),
    `a duplicate of ${fd}`,
  );
  duplicates.set(fd, own);
  return own;
}

function hasInput(fd: number): boolean {
  return (sys.poll(fd, POLLIN, 0) & POLLIN) > 0;
}
