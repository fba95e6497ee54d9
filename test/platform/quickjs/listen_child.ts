/** Listens where there is no descriptor for a connection for a second of a time that is made up. */
import type { Host } from "../../../platform/quickjs/host.ts";

const [LISTENING, CONNECTION, EMFILE, EAGAIN] = [7, 8, 24, 11];
const SECOND_MS = 1_000;

let now = 0;
let tries = 0;
let waiting = 1;
const watched = new Set<number>();
const host = {
  args: [],
  environment: [],
  now: () => now,
  jobs() {},
  watch(fd: number, events: number) {
    if (events === 0) watched.delete(fd);
    else watched.add(fd);
    return 0;
  },
  wait(ready: Uint8Array, ms: number) {
    if (!watched.has(LISTENING) || waiting === 0) {
      now += Math.max(1, ms);
      return 0;
    }
    // A turn takes a little.
    now += 0.1;
    new Int32Array(ready.buffer).set([LISTENING, 1]);
    return 1;
  },
  sys: {
    machine: "x86_64",
    readlink: () => -2,
    socket: () => LISTENING,
    bind: () => 0,
    listen: () => 0,
    close: () => 0,
    accept() {
      tries++;
      if (now < SECOND_MS) return -EMFILE;
      return waiting-- > 0 ? CONNECTION : (waiting = 0, -EAGAIN);
    },
  },
};
(globalThis as unknown as { __host: Host }).__host = host as unknown as Host;
const { sources } = await import("../../../platform/quickjs/sources.ts");
const turn = (globalThis as unknown as { __turn: () => boolean }).__turn;

let accepted = 0;
const stop = sources.listen("/socket", () => accepted++);
if (process.argv[2] === "stop") {
  turn();
  stop();
  console.log(JSON.stringify({ after: turn(), watched: [...watched] }));
} else {
  while (accepted === 0) turn();
  const ms = now;
  stop();
  console.log(JSON.stringify({ tries, ms, accepted, after: turn() }));
}
