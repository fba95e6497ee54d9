/** Bun's reader of a descriptor, watched over: under load it may not ask for its next wake-up. */
import type { DescriptorReader } from "../sources.ts";
import { sys } from "./sys.ts";

// poll.h
const POLLIN = 1;

/** When a read that waits is first looked after, and how seldom at last, in ms. */
const FIRST_CHECK_MS = 25;
const LAST_CHECK_MS = 4_000;

type Chunk = Awaited<ReturnType<DescriptorReader["read"]>>;

/**
 * Reads a descriptor. Bun 1.4.5 now and then leaves a descriptor's one-shot epoll event disarmed after
 * it has fired, with bytes unread: whoever waits for them would wait for ever. So a read that waits
 * while there is something to read is begun anew, with a reader of its own.
 * @param open makes Bun's reader; another one in tests
 */
export function openReader(fd: number, open: typeof bunReader = bunReader): DescriptorReader {
  let inner = open(fd);
  /** What was asked of it and has not come. */
  let awaited: Promise<Chunk> | null = null;
  let timer: ReturnType<typeof setTimeout> | undefined;
  return {
    read: () => {
      const { promise, resolve, reject } = Promise.withResolvers<Chunk>();
      let isOver = false;
      const end = () => {
        isOver = true;
        clearTimeout(timer);
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
      const check = (ms: number) => {
        timer = setTimeout(() => {
          if (!hasInput(fd)) return check(Math.min(ms * 2, LAST_CHECK_MS));
          // What has just come is on its way in the ordinary manner.
          setImmediate(() =>
            setImmediate(() => {
              if (isOver) return;
              if (hasInput(fd)) {
                const stalled = inner;
                inner = open(fd);
                awaited = null;
                stalled.cancel().catch(() => {});
                begin();
              }
              check(FIRST_CHECK_MS);
            })
          );
        }, ms);
        timer.unref();
      };
      begin();
      check(FIRST_CHECK_MS);
      return promise;
    },
    cancel: () => {
      clearTimeout(timer);
      return inner.cancel();
    },
  };
}

function bunReader(fd: number): DescriptorReader {
  return Bun.file(fd).stream().getReader();
}

function hasInput(fd: number): boolean {
  return (sys.poll(fd, POLLIN, 0) & POLLIN) > 0;
}
