/** The rule about a plugin's server: what a guest shares with it may be anything, at any time. */
import type { GuestMemory } from "../../contract/v2/memory.ts";
import { backendPath } from "../../core/xen/device_id.ts";
import { systemClock } from "../../platform/clock.ts";
import { PATIENCE_MS } from "./rig.ts";
import type { Rule } from "./rule.ts";
import { attach, detach, leftSince, nodesOf, settled, withDaemons } from "./rules_life.ts";

/** How often all of the memory is written anew, and how long a server has for each, in ms. */
const ROUNDS = 300;
const PAUSE_MS = 2;
/** How long the end of a server may take to be told, and how often that is looked for, in ms. */
const TOLD_MS = 3_000;
const LOOK_MS = 50;

/** Bytes of all sorts, a function of place and round: nonsense, and nearly sense. */
const FILLS: readonly ((at: number, round: number) => number)[] = [
  () => Math.floor(Math.random() * 256),
  () => 0xff,
  () => 0,
  (at) => at % 4 === 0 ? 1 : 0,
  (_, round) => round,
  (at, round) => at < 16 ? Math.floor(Math.random() * 8) : round,
  (at) => at % 4 === 3 ? 0x80 : 0,
];

export const HOSTILE_GUEST: Rule = {
  name: "hostile-guest",
  claim:
    "of a plugin with a server: a guest that shares nonsense and rings without end harms itself alone",
  run: async (context) => {
    const { rig } = context;
    if (rig.manifest.server === undefined) return [];
    return await withDaemons(context, async (start) => {
      const [id, other] = [rig.device(context.nextDevid()), rig.device(context.nextDevid())];
      const before = await rig.inventory(id, other);
      const daemon = await start();
      await attach(context, daemon, id);
      const { memory, port } = rig.shared.get(id.devid)!;
      for (let round = 0; round < ROUNDS; round++) {
        for (const one of memory) scribble(one, round);
        for (let rings = 0; rings < 20; rings++) port.notify();
        if (round % 5 === 0) await pause(PAUSE_MS);
      }
      const faults: string[] = [];
      const standing = async () => {
        const nodes = await nodesOf(context, backendPath(id));
        return { error: nodes.get("hotplug-error") ?? "", state: nodes.get("state") };
      };
      let { error, state } = await standing();
      const until = systemClock.now() + TOLD_MS;
      while (error === "" && systemClock.now() < until) {
        await pause(LOOK_MS);
        ({ error, state } = await standing());
      }
      if (/process server has ended/.test(error)) {
        faults.push(`a guest can end its server: ${error}`);
      } else if (state !== "4" && error === "") {
        faults.push(`its backend is in state ${state}, for no reason`);
      }
      // Whoever else is served, is served on.
      await attach(context, daemon, other).catch((thrown) =>
        faults.push(`while one guest rings, for another ${(thrown as Error).message}`)
      );
      const start_ = systemClock.now();
      for (const one of [id, other]) {
        faults.push(...await detach(context, daemon, one, "the detach"));
      }
      if (systemClock.now() - start_ > PATIENCE_MS) faults.push("its detach takes too long");
      await settled(daemon);
      return [...faults, ...await leftSince(context, before, id, faults.length === 0)]
        .filter((line) => !line.includes(backendPath(other)));
    });
  },
};

function scribble(memory: GuestMemory, round: number): void {
  const fill = FILLS[round % FILLS.length]!;
  const bytes = new Uint8Array(memory.size);
  for (let at = 0; at < bytes.length; at++) bytes[at] = fill(at, round);
  memory.write(0, bytes);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => void systemClock.after(ms, resolve));
}
