/** Walks every interleaving of a world's moves, and says what is wrong with any of its states. */
import { DRIVER } from "../../../core/request/driver_machine.ts";
import { TOOLSTACK } from "../../../core/request/toolstack_machine.ts";
import { beginning, heldFor, isClean, type Move, moves, type Rules, type World } from "./world.ts";

/** The rules as they are. */
export const RULES: Rules = { driver: DRIVER, toolstack: TOOLSTACK };

/** What the walk has found. */
export interface Exploration {
  readonly states: number;
  readonly transitions: number;
  /** The first thing that is wrong, with the way to it; null if all is well. */
  readonly violation: { readonly what: string; readonly trace: readonly string[] } | null;
  /** A state from which nothing leads to one without leftovers, though nothing more goes wrong. */
  readonly stuck: Lost | null;
  /** A state in which the device is wanted and nothing leads to its being connected. */
  readonly hopeless: Lost | null;
}

/** A state from which something is out of reach, and a way to it. */
export interface Lost {
  readonly trace: readonly string[];
  readonly world: World;
}

/** Whether nothing speaks against the device's being connected. */
function isWanted({ entry, record, backend, lane, driver, toolstack }: World): boolean {
  if (entry === null || !entry.online || record !== entry.token) return false;
  if (entry.state === "error" || entry.state.startsWith("dis")) return false;
  if (toolstack !== null && toolstack.steps.length > 0) return false;
  if (toolstack?.phase === "detaching" || toolstack?.phase === "forcing") return false;
  if (backend !== null && (!backend.online || backend.token !== entry.token)) return false;
  const reserved = entry.state !== "new" && entry.state !== "preparing";
  if (reserved && backend === null || entry.published && entry.state === "new") return false;
  if (driver?.phase === "removing" || driver?.phase === "undoing") return false;
  if (driver?.steps.includes("begin-removal") || driver?.steps.includes("report-error")) {
    return false;
  }
  return lane.stage === "none" || lane.token === entry.token &&
      (lane.stage === "adding" || lane.stage === "connected");
}

/** What must hold in every state; null if it does. */
function fault(world: World): string | null {
  const { entry, running, prepared, acquired, lane } = world;
  if (entry?.state === "disconnected") {
    const held = heldFor(world, entry.token);
    if (held !== null) return `the state is disconnected while ${held}`;
  }
  if (entry?.state === "error" && (prepared || acquired && lane.token === entry.token)) {
    return "error, and something is held";
  }
  if (acquired && running === null && lane.stage === "none") return "held, and nobody knows of it";
  return null;
}

/**
 * Breadth first, so that a trace is as short as it can be.
 * @param left how many misfortunes, and attaches, there may be
 * @param until stops at the first violation
 */
export function explore(left: World["left"], rules: Rules = RULES): Exploration {
  const first = beginning(left);
  const keys = new Map<string, number>([[JSON.stringify(first), 0]]);
  const worlds: World[] = [first];
  const from: number[] = [-1];
  const by: string[] = ["the beginning"];
  /** Ways that need no misfortune, backwards. */
  const before: number[][] = [[]];
  let transitions = 0;
  const traceTo = (index: number): string[] => {
    const trace: string[] = [];
    for (let at = index; at > 0; at = from[at]!) trace.unshift(by[at]!);
    return trace;
  };
  for (let index = 0; index < worlds.length; index++) {
    const world = worlds[index]!;
    const next: Move[] = moves(world, rules);
    for (const { name, next: after, wrong, fault: misfortune } of next) {
      transitions++;
      const key = JSON.stringify(after);
      let target = keys.get(key);
      if (target === undefined) {
        target = worlds.length;
        keys.set(key, target);
        worlds.push(after);
        from.push(index);
        by.push(name);
        before.push([]);
      }
      if (!misfortune) before[target]!.push(index);
      const what = wrong ?? fault(after);
      if (what !== null) {
        return {
          states: worlds.length,
          transitions,
          violation: { what, trace: [...traceTo(index), name] },
          stuck: null,
          hopeless: null,
        };
      }
    }
  }
  /** The first state that leads to none of these. */
  const outOfReach = (
    goal: (world: World) => boolean,
    concerned: (world: World) => boolean,
  ): Lost | null => {
    const ends = worlds.flatMap((world, index) => goal(world) ? [index] : []);
    const good = new Uint8Array(worlds.length);
    for (const index of ends) good[index] = 1;
    for (const index of ends) {
      for (const earlier of before[index]!) {
        if (good[earlier]) continue;
        good[earlier] = 1;
        ends.push(earlier);
      }
    }
    const lost = worlds.findIndex((world, index) => !good[index] && concerned(world));
    return lost < 0 ? null : { trace: traceTo(lost), world: worlds[lost]! };
  };
  const hasFrontend = ({ frontend, entry }: World) => frontend !== null || !entry?.published;
  return {
    states: worlds.length,
    transitions,
    violation: null,
    stuck: outOfReach(isClean, () => true),
    hopeless: outOfReach(
      ({ entry }) => entry?.state === "connected",
      (world) => isWanted(world) && hasFrontend(world),
    ),
  };
}
