/** Reads its standard input by a read that is taken for forgotten once. */
import { lookAfterReads, openReader } from "../../../platform/bun/reader.ts";
import { sys } from "../../../platform/bun/sys.ts";

const POLLIN = 1;
const say = (text: string) => sys.write(1, new TextEncoder().encode(`${text}\n`));

const reader = openReader(0);
const first = reader.read();
await Bun.sleep(50);
say("waits");
// The loop does not see it, and it is looked after before that does.
sys.poll(0, POLLIN, 60_000);
const immediately = globalThis.setImmediate;
globalThis.setImmediate = ((run: () => void) => run()) as typeof setImmediate;
lookAfterReads();
globalThis.setImmediate = immediately;
for (let read = await first;; read = await reader.read()) {
  say(read.done ? "end" : new TextDecoder().decode(read.value));
  if (read.done) break;
}
