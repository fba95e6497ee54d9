/** Walks every interleaving of a world's moves, and says what is wrong with any of its states. */
import { DRIVER } from "../../../../core/requests/protocol/driver_machine.ts";
import { TOOLSTACK } from "../../../../core/requests/protocol/toolstack_machine.ts";
import { beginning, heldFor, isClean, type Move, moves, type Rules, type World } from "./world.ts";

/** The rules as they are. */
export const RULES: Rules = { driver: DRIVER, toolstack: TOOLSTACK };

const NONE: World["left"] = {
  attaches: 1,
  holds: 0,
  driverCrashes: 0,
  toolstackCrashes: 0,
  guestDeaths: 0,
  failures: 0,
  strangers: 0,
};

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
  /** A state in which the driver domain, left to itself, never does what is for it to do. */
  readonly owing: Lost | null;
  /** Phases that a toolstack has gone from and to. */
  readonly reached: ReadonlySet<string>;
}

/** A state from which something is out of reach, and a way to it. */
export interface Lost {
  readonly trace: readonly string[];
  readonly world: World;
}

/** Whether nothing speaks against the device's being connected. */
function isWanted({ entry, record, backend, lane, driver, running, toolstacks }: World): boolean {
  if (entry === null || !entry.online || record !== entry.token) return false;
  if (entry.state === "error" || entry.state.startsWith("dis")) return false;
  if (toolstacks.some((one) => one !== null && !(one.phase === "waiting" && !one.steps.length))) {
    return false;
  }
  if (backend !== null && (!backend.online || backend.token !== entry.token)) return false;
  if (
    entry.faulty || entry.refused || running?.hangs || entry.state === "prepared" && !entry.backend
  ) return false;
  const reserved = entry.state !== "new" && entry.state !== "preparing";
  if (reserved && backend === null || entry.published && entry.state === "new") return false;
  if (driver?.phase === "removing" || driver?.phase === "undoing") return false;
  if (driver?.steps.includes("begin-removal") || driver?.steps.includes("report-error")) {
    return false;
  }
  return lane.stage === "none" || lane.token === entry.token &&
      ["adding", "connected", "redoing"].includes(lane.stage);
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

/** Whether it is for the driver domain to do something, whatever the others do. */
function isOwed({ entry, backend, claim, lane }: World): boolean {
  // An entry that was deleted is one that is withdrawn by force.
  if (entry === null) return claim !== null;
  if (entry.force) return entry.state !== "disconnected";
  if (!entry.online) return false;
  if (entry.state === "connected") return backend === null && lane.stage === "none";
  return entry.state === "connecting" && lane.stage === "failed" && lane.token === entry.token;
}

/** What there may be besides one attach by one toolstack. */
export interface Circumstances extends Partial<World["left"]> {
  readonly toolstacks?: number;
  readonly stubborn?: boolean;
}

/**
 * Breadth first, so that a trace is as short as it can be; ends at the first violation.
 * @param heeds which violations count
 */
export function explore(
  circumstances: Circumstances,
  rules: Rules = RULES,
  heeds: (what: string) => boolean = () => true,
): Exploration {
  const { toolstacks = 1, stubborn = false, ...left } = circumstances;
  const first = beginning({ ...NONE, ...left }, toolstacks, stubborn);
  const keys = new Map<string, number>([[JSON.stringify(first), 0]]);
  const worlds: World[] = [first];
  const from: number[] = [-1];
  const by: string[] = ["the beginning"];
  /** Ways that need no misfortune, backwards. */
  const before: number[][] = [[]];
  /** Of them, those that the driver domain goes by itself. */
  const alone: number[][] = [[]];
  const reached = new Set<string>();
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
        alone.push([]);
        after.toolstacks.forEach((one, place) => {
          const earlier = world.toolstacks[place]?.phase;
          if (one !== null && earlier !== one.phase) reached.add(`${earlier} → ${one.phase}`);
        });
      }
      if (!misfortune) before[target]!.push(index);
      if (!misfortune && !/^(toolstack|xl|guest)/.test(name)) alone[target]!.push(index);
      const what = wrong ?? fault(after);
      if (what !== null && heeds(what)) {
        return {
          states: worlds.length,
          transitions,
          violation: { what, trace: [...traceTo(index), name] },
          stuck: null,
          hopeless: null,
          owing: null,
          reached,
        };
      }
    }
  }
  /** The first state that leads to none of these. */
  const outOfReach = (
    goal: (world: World) => boolean,
    concerned: (world: World) => boolean,
    ways: readonly number[][] = before,
  ): Lost | null => {
    const ends = worlds.flatMap((world, index) => goal(world) ? [index] : []);
    const good = new Uint8Array(worlds.length);
    for (const index of ends) good[index] = 1;
    for (const index of ends) {
      for (const earlier of ways[index]!) {
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
    owing: outOfReach((world) => !isOwed(world), () => true, alone),
    reached,
  };
}
