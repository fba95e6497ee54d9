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
 */
export function openReader(fd: number): DescriptorReader {
  let inner = open(fd);
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
        reader.read().then((chunk) => {
          // One that was given up says at most that it is over.
          if (reader !== inner && chunk.done || isOver) return;
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

function open(fd: number) {
  return Bun.file(fd).stream().getReader();
}

function hasInput(fd: number): boolean {
  return (sys.poll(fd, POLLIN, 0) & POLLIN) > 0;
}
