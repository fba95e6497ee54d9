/** Random walks through the world of `world.ts`. */
import * as fc from "fast-check";
import type { LifecycleRules } from "../../../core/lifecycle/state.ts";
import { ABSENT } from "../../../core/lifecycle/observation.ts";
import type { Row } from "../../../core/lifecycle/table.ts";
import { DeviceWorld, Violation } from "./world.ts";

/** What is walked through: two devices of one guest, and two of another with other rules. */
const DEVICES: readonly { guest: number; rules: Partial<LifecycleRules> }[] = [
  { guest: 1, rules: {} },
  { guest: 1, rules: { servedByQemu: true, waitsForBackend: false } },
  { guest: 2, rules: { removesWithoutDirectory: true } },
  { guest: 2, rules: {} },
];

/** Everything that anybody can do; the number chooses a device, or more. */
const ACTIONS = {
  run: 8,
  look: 3,
  perform: 5,
  performAll: 3,
  state: 2,
  create: 2,
  createServed: 0.1,
  offline: 0.7,
  online: 0.3,
  nuke: 0.3,
  replace: 0.3,
  guestDies: 0.3,
  hideFrontend: 0.2,
  showFrontend: 0.4,
  garbage: 0.2,
  fault: 0.1,
  mend: 0.2,
  finish: 3,
  finishBadly: 1.5,
  hang: 0.5,
  refuseDeletion: 0.2,
  trip: 0.7,
  undoFails: 0.7,
  retry: 1,
  help: 0.3,
  giveUp: 0.1,
  take: 0.7,
  release: 0.7,
  evict: 0.1,
  finishOrphan: 2,
  timer: 2,
  kernel: 2,
  close: 0.05,
  waver: 0.5,
  crash: 1,
} as const;

/** Name of an action. */
export type Action = keyof typeof ACTIONS;

/** One step of a walk. */
export interface WalkStep {
  readonly action: Action;
  readonly device: number;
  readonly value: number;
}

/** Where a walk ends: what everybody wants then, and whether it comes to be. */
const ENDINGS = [
  "gone",
  "detached",
  "closed in the end",
  "dead",
  "abandoned",
  "wanted",
  "replaced",
  "unplugged",
  "undone behind our back",
  "slow to remove",
  "slow to undo",
  "in use",
  "stuck",
  "given up",
  "left running",
  "evicted",
  "cannot be deleted",
  "thought better of",
  "inherited",
  "left over",
  "journal full",
  "never ready",
  "wrong",
  "drained",
  "as it is",
] as const;

/** Those that come to be however often it cannot be undone before. */
const PLAIN: ReadonlySet<Ending> = new Set<Ending>([
  ...["gone", "detached", "closed in the end", "dead", "abandoned", "as it is"] as const,
]);

/** One of them. */
export type Ending = (typeof ENDINGS)[number];

/** A walk. */
export interface Walk {
  readonly steps: readonly WalkStep[];
  readonly ending: Ending;
}

/** Any walk. */
export const walks: fc.Arbitrary<Walk> = fc.record({
  steps: fc.array(
    fc.record({
      action: fc.oneof(
        ...Object.entries(ACTIONS).map(([action, weight]) => ({
          weight: weight * 20,
          arbitrary: fc.constant(action as Action),
        })),
      ),
      // Mostly the first one, so that something comes about.
      device: fc.constantFrom(0, 0, 0, 0, 0, 1, 2, 2, 3),
      value: fc.nat(8),
    }),
    { maxLength: 120, size: "max" },
  ),
  ending: fc.constantFrom(...ENDINGS),
});

/**
 * Walks, and comes to the end.
 * @param deaf whether nobody is told of failures that no row expects
 * @throws Violation with the way that led to it
 */
export function walk({ steps, ending }: Walk, table?: readonly Row[], deaf?: boolean): void {
  const worlds = DEVICES.map(({ rules }) => new DeviceWorld(rules, table, deaf));
  const guests = DEVICES.map(({ guest }) => guest);
  let at = worlds[0]!;
  try {
    for (const step of steps) {
      at = worlds[step.device]!;
      if (step.action === "crash") { for (const world of worlds) world.crash(); }
      else if (step.action === "close") { for (const world of worlds) world.close(); }
      else if (step.action === "guestDies") {
        const guest = guests[step.device];
        worlds.forEach((world, index) => {
          if (guests[index] === guest) world.change({ frontendPresent: false });
        });
      } else act(at, step);
    }
    for (const world of worlds) {
      at = world;
      // What is to fail has its place before the end.
      world.trips = 0;
      if (!PLAIN.has(ending)) world.undoFailures = 0;
      world.release();
      end(world, ending, steps.length);
      while (world.perform());
      world.checkCauses();
    }
  } catch (error) {
    if (!(error instanceof Violation)) throw error;
    throw new Violation(`${error.message}; after:\n${at.log.slice(-50).join("\n")}`);
  }
}

function act(world: DeviceWorld, { action, value }: WalkStep): void {
  switch (action) {
    case "run":
      for (let round = 0; round < 2; round++) {
        world.look();
        while (world.perform());
      }
      return;
    case "waver":
      world.change({ online: false });
      world.look();
      while (world.perform());
      world.change({ online: true });
      world.look();
      while (world.perform());
      return;
    case "look":
      return world.look();
    case "perform":
      world.perform();
      return;
    case "performAll":
      while (world.perform());
      return;
    case "state":
      return world.setState(value);
    case "create":
      world.create();
      return world.setState(1 + value % 2);
    case "createServed":
      return world.createServed();
    case "offline":
      return world.change({ online: false, state: value % 2 === 0 ? 5 : 6 });
    case "online":
      return world.change({ online: true });
    case "nuke":
      return world.nuke();
    case "replace":
      world.nuke();
      return world.create();
    case "hideFrontend":
      return world.change({ frontendPresent: false });
    case "showFrontend":
      return world.change({ frontendPresent: true });
    case "garbage":
      return world.change(value % 2 === 0 ? { state: undefined } : { online: undefined });
    case "fault":
      // What was set up in spite of it, by somebody else, is nobody's business.
      return world.legacy ? undefined : world.change({ fault: "it is wrong" });
    case "mend":
      return world.change({ fault: null });
    case "finish":
      world.finish(true, false, value % 2 === 0);
      return;
    case "finishBadly":
      world.finish(false, false, value % 2 === 0);
      return;
    case "hang":
      return world.hang("add");
    case "take":
      world.taken = true;
      return;
    case "release":
      return world.release();
    case "evict":
      return world.evict();
    case "trip":
      world.trips = 1;
      return;
    case "undoFails":
      world.undoFailures = 1 + value % 4;
      return;
    case "retry":
      world.retry();
      return;
    case "help":
      return world.help();
    case "giveUp":
      world.giveUp();
      return;
    case "refuseDeletion":
      world.refusals = 1;
      return;
    case "finishOrphan":
      world.finishOrphan(value % 2 === 0);
      return;
    case "timer":
      world.expire(value);
      return;
    case "kernel":
      world.releaseKernel();
      return;
  }
}

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Violation(what);
}

const rest = (world: DeviceWorld, limit?: boolean) =>
  demand(world.settle(limit), "it does not come to rest");

function end(world: DeviceWorld, ending: Ending, variant: number): void {
  switch (ending) {
    case "gone":
      world.nuke();
      return ended(world, ending);
    case "detached":
      world.change({ online: false, state: 6 });
      return ended(world, ending);
    case "closed in the end":
      world.change({ online: false, state: 4, frontendPresent: true });
      rest(world, false);
      world.change({ online: false, state: 6 });
      return ended(world, ending);
    case "dead":
      world.change({ online: true, state: 6, frontendPresent: false });
      return ended(world, ending);
    case "abandoned":
      world.change({ online: false, state: 5, frontendPresent: false });
      return ended(world, ending);
    case "wanted":
      return wanted(world);
    case "replaced":
      return replaced(world);
    case "unplugged":
      return unplugged(world, variant);
    case "undone behind our back":
      return undoneBehindOurBack(world, variant);
    case "slow to remove":
      return slowToRemove(world, variant);
    case "in use":
      return inUse(world, variant);
    case "stuck":
      return stuck(world, variant);
    case "given up":
      return givenUp(world, variant);
    case "left running":
      return leftRunning(world, variant);
    case "evicted":
      return evicted(world);
    case "slow to undo":
      return slowToUndo(world, variant);
    case "cannot be deleted":
      return cannotBeDeleted(world);
    case "thought better of":
      return thoughtBetterOf(world);
    case "inherited":
      return inherited(world, variant);
    case "left over":
      return leftOver(world);
    case "journal full":
      return journalFull(world);
    case "never ready":
      return neverReady(world);
    case "wrong":
      return wrong(world);
    case "drained":
      return drained(world);
    case "as it is":
      return rest(world);
  }
}

function holdsNothing(world: DeviceWorld): boolean {
  return !world.held && world.running === null && world.orphan === null;
}

/** A script that hangs does not keep anybody from ending it. */
function ended(world: DeviceWorld, ending: string): void {
  rest(world, false);
  const { phase } = world.state;
  demand(world.seen === ABSENT, `${ending}, but the directory is still there`);
  demand(holdsNothing(world) || world.legacy, `${ending}, but something is held`);
  demand(phase === "absent", `${ending}, but ${phase}`);
  demand(world.journal === null, `${ending}, but there is a record`);
  demand(world.forgotten, `${ending}, but it is not forgotten`);
}

function wanted(world: DeviceWorld): void {
  rest(world);
  // What is being closed for another's sake is closed once its nodes make sense.
  if (world.directory === null || world.state.asked || world.state.evicted) return;
  const before = world.state;
  const failed = before.phase === "failed" && (before.attachId !== null || before.acquired);
  world.change({ online: true, state: 2, frontendPresent: true, fault: null });
  rest(world);
  const { phase, error } = world.state;
  if (phase === "failed") {
    demand(failed, "wanted, and nothing went wrong, but failed");
    demand(error !== null && world.published !== null, "failed, and nobody knows why");
    return demand(holdsNothing(world), "failed, and something is held");
  }
  demand(phase === "connected", `wanted, but ${phase}`);
  demand(world.held && world.succeeded, "connected, but nothing is set up");
  demand(world.journal?.stage === "connected", "connected, but the journal does not know");
  demand(world.journal?.attachId === world.seen.attachId, "connected, but it is another directory");
}

/** Another directory of the same name, while who knows what is under way. */
function replaced(world: DeviceWorld): void {
  if (world.state.asked) return;
  // What is not marked cannot be told apart: not yet, or never, since it was seen closed first.
  if (world.journal === null) { while (world.perform()); }
  if (world.journal?.attachId === null) return;
  world.nuke();
  world.create();
  world.change({ state: 2 });
  rest(world, false);
  const { phase } = world.state;
  demand(phase === "connected", `replaced, but ${phase}`);
  demand(world.held && world.succeeded, "connected, but nothing is set up");
  demand(world.journal?.attachId === world.seen.attachId, "connected, but it is another directory");
}

/** Set up, if nothing is in the way. */
function setUp(world: DeviceWorld): boolean {
  rest(world);
  if (world.directory !== null || world.state.asked) return false;
  world.create();
  world.change({ state: 2 });
  rest(world);
  demand(world.state.phase === "connected", `nothing is in the way, but ${world.state.phase}`);
  return true;
}

function unplugged(world: DeviceWorld, variant: number): void {
  if (!setUp(world)) return;
  world.setState(4);
  if (world.rules.servedByQemu && variant % 2 === 0) {
    world.change({ online: false, state: 5 });
    rest(world, false);
    world.unplug();
    return ended(world, "unplugged while it was closing");
  }
  world.unplug();
  world.unplug();
  rest(world);
  demand(world.published === "it is gone" && world.seen.state === 5, "unplugged, and nobody knows");
  const said = () => world.reports.filter((text) => text === "it is gone").length;
  demand(said() === 1, `unplugged, and it is said ${said()} times`);
  world.heal();
  world.unplug();
  rest(world);
  demand(said() === 2, `unplugged for the second time, and it is said ${said()} times`);
  // A kernel closes what does not work; a QEMU that is gone does not.
  world.change({ online: false, state: world.rules.servedByQemu ? 5 : 6 });
  ended(world, "unplugged");
}

/** The kernel has made its device anew, say; then it is set up anew, if it is wanted. */
function undoneBehindOurBack(world: DeviceWorld, variant: number): void {
  if (!setUp(world)) return;
  const { attachId } = world.seen;
  if (variant % 2 === 0) {
    world.change({ online: false, state: 5 });
    rest(world, false);
    world.lose();
    world.change({ state: 6 });
    return ended(world, "undone while it was closing");
  }
  world.lose();
  rest(world);
  demand(world.state.phase === "connected", `undone, but ${world.state.phase}`);
  demand(world.held && world.succeeded, "connected, but nothing is set up");
  demand(world.seen.attachId !== attachId, "undone, and not set up anew");
  const said = world.reports.filter((text) => text.includes("it is made anew")).length;
  demand(said === 1, `undone, and it is said ${said} times`);
}

/** Beyond the toolstack's patience; the store may not delete the directory, or it is wanted again. */
function slowToRemove(world: DeviceWorld, variant: number): void {
  if (!setUp(world)) return;
  world.refusals = 0;
  world.change({ online: false, state: 6 });
  for (let round = 0; round < 4 && world.running === null; round++) {
    world.look();
    while (world.perform());
    world.releaseKernel();
    while (world.perform());
  }
  world.hang("remove");
  demand(world.running !== null, "it is not removed");
  const way = (["deleted", "failed", "refused", "ended", "ended badly"] as const)[variant % 5]!;
  if (way === "failed") world.refusals = 1;
  if (way === "refused") world.change({ online: true });
  for (let round = 0; round < 4; round++) {
    world.expire(0);
    // It ends just when it was given up.
    if (way.startsWith("ended") && world.state.phase === "overdue") {
      world.finish(way === "ended", true);
    }
    while (world.perform());
  }
  const warned = world.reports.some((text) => /takes (long|more)/.test(text));
  demand(warned, "slow, and nobody is told");
  if (way === "deleted") {
    const { removesWithoutDirectory } = world.rules;
    demand((world.directory === null) === removesWithoutDirectory, "the toolstack waits in vain");
  }
  if (variant % 2 === 0) world.finish(false, true);
  rest(world);
  world.change({ online: false, state: 6 });
  ended(world, `slow to remove, ${way}`);
}

/** Others have what it needs, and give it back, or not. */
function inUse(world: DeviceWorld, variant: number): void {
  rest(world);
  if (world.directory !== null || world.state.asked) return;
  let isTried = false;
  const goOn = () => {
    for (let round = 0; round < 4; round++) {
      world.look();
      while (world.perform());
      // Whether it can be undone, or not.
      world.finish(world.running?.call !== "remove" || variant % 3 !== 1 || isTried);
      while (world.perform());
      // Then it is tried again.
      isTried = world.retry();
      while (world.perform());
    }
  };
  const before = world.reports.length;
  world.taken = true;
  world.create();
  world.change({ state: 2 });
  goOn();
  demand(world.state.phase === "busy", `in use, but ${world.state.phase}`);
  demand(world.published === "others use it;", "in use, and nobody knows");
  demand(world.seen.state === 2, "closed at once: its guest would never use it again");
  demand(!world.held && world.journal !== null, "refused, and something is held");
  if (variant % 2 === 1) {
    world.crash();
    world.look();
    while (world.perform());
    world.finishOrphan(true);
    goOn();
  }
  // Refused again for the same reason.
  world.release();
  world.taken = true;
  goOn();
  demand(world.state.phase === "busy", `in use again, but ${world.state.phase}`);
  const said = world.reports.slice(before).filter((text) => /others use it/.test(text)).length;
  demand(said === 1, `in use, and it is said ${said} times`);
  const way = (["released", "closed", "hurried", "removed", "drained"] as const)[
    Math.floor(variant / 2) % 5
  ]!;
  if (way === "closed") {
    world.expire(0);
    while (world.perform());
    demand(world.seen.state === 6, "it stays open for ever");
    world.release();
    goOn();
    demand(world.state.phase === "busy", `closed, but ${world.state.phase}`);
    // Its guest begins anew.
    world.setState(2);
    goOn();
  } else if (way === "hurried") {
    // Its time is over while it is tried again.
    world.release();
    world.taken = true;
    world.look();
    for (let steps = variant % 4; steps > 0; steps--) world.perform();
    if (variant % 3 === 0) {
      while (world.perform());
      world.finish(true);
      while (world.perform());
      world.expire(0);
      world.finish(variant % 2 === 0);
    } else world.expire(0);
    goOn();
    demand(world.seen.state === 6, "it stays open for ever");
    world.setState(2);
    world.release();
    goOn();
  } else if (way === "removed") {
    world.change({ online: false, state: 5 });
    goOn();
    demand(world.seen.state === 6, "the toolstack waits in vain for Closed");
    world.release();
    goOn();
    demand(!world.held, "taken up after it was removed");
    return ended(world, "removed while it was in use");
  } else if (way === "drained") return drained(world);
  else {
    world.release();
    goOn();
  }
  demand(world.state.phase === "connected", `${way}, but ${world.state.phase}`);
  demand(world.held && world.succeeded, "connected, but nothing is set up");
  demand(world.journal?.attachId === world.seen.attachId, "connected, but it is another directory");
}

/** The pauses between tries at undoing, in ms, by the default times. */
const PAUSES = [1, 2, 4, 8, 16, 32, 60, 60, 60].map((seconds) => seconds * 1000);

/** In which way an undoing comes about that fails. */
const UNDOINGS = [
  ...["failed", "refused", "refused late", "interrupted", "replaced", "detached", "held", "forced"],
  ...["overdue", "overdue, then gone"],
] as const;

/**
 * Something that is set up, or was to be, is undone, and that fails for as long as `undoFailures` says.
 * @returns how that came about; null when something is in the way
 */
function failToUndo(world: DeviceWorld, variant: number): (typeof UNDOINGS)[number] | null {
  rest(world);
  if (world.directory !== null || world.state.asked || world.legacy) return null;
  const way = UNDOINGS[variant % UNDOINGS.length]!;
  const goOn = (rounds = 3) => {
    for (let round = 0; round < rounds; round++) {
      world.look();
      while (world.perform());
    }
  };
  world.refusals = 0;
  world.taken = way.startsWith("refused");
  world.create();
  world.change({ state: 2 });
  goOn();
  demand(world.running?.call === "add", `it is not set up (${way})`);
  if (way === "refused late") {
    // Refused before, and tried again when its time is over.
    world.finish(true);
    goOn();
    world.finish(true);
    goOn();
    world.release();
    world.taken = true;
    goOn();
    world.expireNamed("patience");
  }
  world.undoFailures = Infinity;
  if (way === "failed") world.finish(false);
  else if (way === "refused" || way === "refused late") world.finish(true);
  else if (way === "interrupted") {
    world.crash();
    goOn();
    world.finishOrphan(false);
  } else {
    world.finish(true);
    goOn();
    demand(world.state.phase === "connected", `not connected, but ${world.state.phase}`);
    if (way === "replaced") {
      world.nuke();
      world.create();
      world.change({ state: 2 });
    } else if (way === "forced") world.nuke();
    else world.change({ online: false, state: 6 });
    goOn();
    if (way === "held") world.expire(0);
    world.releaseKernel();
  }
  goOn();
  demand(world.running?.call === "remove", `it is not undone (${way})`);
  world.finish(true);
  while (world.perform());
  if (way.startsWith("overdue")) {
    // The toolstack's patience is over while it is waited for the next try.
    world.expireNamed("budget");
    if (way === "overdue, then gone") { while (world.perform()); }
  }
  demand(world.state.paused, `it cannot be undone, but is not tried again (${way})`);
  return way;
}

function demandKept(world: DeviceWorld, way: string): void {
  demand(world.held && world.journal !== null, `it cannot be undone, and has no record (${way})`);
  demand(!world.forgotten, `it cannot be undone, and is forgotten (${way})`);
}

/** It cannot be undone, for a while. */
function stuck(world: DeviceWorld, variant: number): void {
  const way = failToUndo(world, variant);
  if (way === null) return;
  demandKept(world, way);
  const how = Math.floor(variant / UNDOINGS.length) % 4;
  const fail = () => {
    while (world.perform());
    demand(world.running?.call === "remove", `it is not tried again (${way})`);
    world.finish(true);
    while (world.perform());
    demandKept(world, way);
  };
  // That the daemon itself has deleted the directory may have helped.
  for (let round = 0; round < 2; round++) {
    while (world.perform());
    world.look();
  }
  while (world.perform());
  if (world.running !== null) fail();
  for (let round = 1; round < PAUSES.length; round++) {
    world.look();
    while (world.perform());
    demand(world.running === null, `it is tried again without end (${way})`);
    world.retry();
    fail();
  }
  const expected = world.pauses.map((_, index) => PAUSES[index] ?? PAUSES.at(-1));
  demand(world.pauses.length >= PAUSES.length, `it is not tried often enough (${way})`);
  demand(world.pauses.join(" ") === expected.join(" "), `pauses are ${world.pauses.join(" ")}`);
  if (how === 0) {
    // Something else is given back.
    world.help();
    fail();
  } else if (how === 1) {
    const wasThere = world.directory !== null;
    world.nuke();
    world.look();
    // Nothing that changes nothing is worth another try.
    if (wasThere) fail();
  } else if (how === 2) {
    world.crash();
    for (let round = 0; round < 4; round++) {
      world.look();
      while (world.perform());
      world.finishOrphan(true);
      world.releaseKernel();
      while (world.perform());
    }
    if (world.running !== null) fail();
  }
  // Whoever wants its directory gone does not wait for the next try.
  const detach = () => {
    const { phase } = world.state;
    const isReplaced = world.journal?.attachId !== world.seen.attachId;
    world.change({ online: false, state: 6 });
    for (let round = 0; round < 2; round++) {
      world.look();
      while (world.perform());
    }
    const goes = phase === "undoing" || phase === "redoing" || isReplaced && phase !== "overdue";
    demand(!goes || world.directory === null, `${phase}, detached, and waited for (${way})`);
  };
  if (how === 3 && world.directory !== null) {
    detach();
    if (world.running !== null) fail();
  }
  if (variant % 3 === 1 && world.journal?.attachId != null) {
    world.nuke();
    world.look();
    while (world.perform());
    if (world.running !== null) fail();
    world.create();
    world.look();
    while (world.perform());
    if (world.running !== null) fail();
    detach();
    if (world.running !== null) fail();
  }
  if (variant % 3 === 0) {
    // Another one in its place has to wait, and is told why.
    world.nuke();
    world.look();
    while (world.perform());
    world.finish(true);
    while (world.perform());
    world.create();
    world.change({ state: 2 });
    world.published = null;
    for (let round = 0; round < 3; round++) {
      world.look();
      while (world.perform());
      world.finish(true);
      while (world.perform());
    }
    if (world.state.stuck !== null && world.journal?.attachId != null) {
      demand(world.running?.call !== "add", `served beside what is not undone (${way})`);
      demand(world.published !== null, `it waits, and nobody knows why (${way})`);
      demand(world.seen.report === "failed", `it waits, and its directory does not say why`);
    }
    world.undoFailures = 0;
    world.release();
    rest(world);
    demand(world.state.phase === "connected", `undone at last, but ${world.state.phase} (${way})`);
    demand(world.seen.report !== "failed", `set up, and it is said that it is not (${way})`);
  } else world.undoFailures = 0;
  world.release();
  world.change({ online: false, state: 6 });
  ended(world, `stuck (${way})`);
}

/** It cannot be undone, and a person gives it up. */
function givenUp(world: DeviceWorld, variant: number): void {
  const way = failToUndo(world, variant);
  if (way === null) return;
  demandKept(world, way);
  const { phase } = world.state;
  demand(world.giveUp(), `it is not given up (${way})`);
  demand(world.state.stuck === null, `given up, and still stuck (${way})`);
  while (world.perform());
  // Without end in sight it would not have come to rest.
  demand(world.running === null, `given up, and tried again (${way})`);
  if (phase === "undoing" || phase === "redoing") {
    demand(world.state.phase !== phase, `given up, but ${phase} (${way})`);
  }
  if (way.startsWith("refused")) {
    demand(world.state.phase === "busy", `refused, given up, and ${world.state.phase} (${way})`);
  }
  world.release();
  world.change({ online: false, state: 6 });
  ended(world, `given up (${way})`);
}

/** What an earlier daemon had started may still run: nobody can tell, or it does not end. */
function leftRunning(world: DeviceWorld, variant: number): void {
  if (!setUp(world)) return;
  world.crash();
  const look = () => {
    while (world.perform());
    world.trips = 1;
    world.finishOrphan(true);
    world.trips = 0;
    while (world.perform());
    world.look();
    while (world.perform());
    demand(world.state.phase === "recovering", `touched while something may run`);
    demand(world.state.paused && !world.awaitsOrphans, "it is looked at without end");
  };
  look();
  const again = (way: string) => {
    while (world.perform());
    demand(world.awaitsOrphans, `it is not looked at again (${way})`);
    look();
  };
  world.help();
  again("helped");
  world.retry();
  again("retried");
  if (variant % 2 === 0) {
    demand(world.giveUp(), "it is not given up");
    demand(world.state.phase !== "recovering", "given up, and still waited for");
    demand(world.state.stuck === null, "given up, and still stuck");
  } else {
    world.retry();
    while (world.perform());
    world.finishOrphan(true);
    demand(world.state.stuck === null, "all has ended, and still stuck");
  }
  rest(world);
  demand(world.state.phase === "connected", `what works is undone: ${world.state.phase}`);
  world.change({ online: false, state: 6 });
  ended(world, "left running");
}

/** It shared what it may not share any longer. */
function evicted(world: DeviceWorld): void {
  if (!setUp(world)) return;
  world.setState(4);
  world.evict();
  rest(world, false);
  demand(world.published?.startsWith("others have it") === true, "evicted, and nobody knows why");
  ended(world, "evicted");
  demand(setUp(world), "evicted, and never set up again");
}

/** The toolstack's patience is no longer for what has failed, or begins anew, than for what worked. */
function slowToUndo(world: DeviceWorld, variant: number): void {
  rest(world);
  if (world.directory !== null || world.state.asked) return;
  world.refusals = 0;
  world.create();
  world.change({ state: 2 });
  const goOn = () => {
    for (let round = 0; round < 3; round++) {
      world.look();
      while (world.perform());
    }
  };
  goOn();
  demand(world.running?.call === "add", "it is not set up");
  const way = (["failed", "interrupted", "replaced"] as const)[Math.floor(variant / 2) % 3]!;
  if (way === "failed") world.finish(false);
  else if (way === "interrupted") {
    world.crash();
    goOn();
    world.finishOrphan(false);
  } else {
    world.finish(true);
    goOn();
    world.nuke();
    world.create();
    world.change({ state: 2 });
  }
  goOn();
  demand(world.running?.call === "remove", `${way}, but it is not undone`);
  world.hang("remove");
  world.change({ online: false, state: 5 });
  goOn();
  if (way === "failed") demand(world.seen.state === 6, "the toolstack waits in vain for Closed");
  world.change({ state: 6 });
  const before = world.directory;
  goOn();
  const isRefused = variant % 5 === 4;
  if (isRefused) world.refusals = 1;
  world.expire(0);
  if (variant % 2 === 0) {
    // It ends while the store deletes the directory.
    while (!world.leaving && world.perform());
    if (world.leaving) world.finish(false, true);
  }
  goOn();
  demand(isRefused || world.directory !== before, `${way}, and the toolstack waits in vain`);
  demand(world.journal !== null, "what is not undone has no record");
  demand(world.reports.some((text) => /takes long/.test(text)), "slow, and nobody is told");
  // Stopped, and done again; or it goes on.
  world.finish(false, true);
  goOn();
  ended(world, `slow to undo, ${way}`);
}

/** All is undone, and the store does not let go of the directory. */
function cannotBeDeleted(world: DeviceWorld): void {
  if (!setUp(world)) return;
  world.change({ online: false, state: 6 });
  world.refusals = Infinity;
  const before = world.reports.length;
  rest(world);
  demand(holdsNothing(world), "removed, but something is held");
  const said = world.reports.slice(before).filter((text) => /cannot be deleted/.test(text)).length;
  demand(said === 1, `it cannot be deleted, and that is said ${said} times`);
  world.change({ online: true, state: 2 });
  world.refusals = 0;
  rest(world);
  demand(world.state.phase === "connected", `wanted again, but ${world.state.phase}`);
}

/** The toolstack, or the guest, is gone for a moment only. */
function thoughtBetterOf(world: DeviceWorld): void {
  if (!setUp(world)) return;
  const { attachId } = world.seen;
  const glance = () => {
    world.look();
    while (world.perform());
  };
  world.change({ online: false, state: 4 });
  glance();
  world.change({ online: true });
  rest(world);
  if (world.rules.servedByQemu) {
    world.change({ frontendPresent: false });
    glance();
    world.change({ frontendPresent: true });
    rest(world);
  }
  demand(world.state.phase === "connected", `wanted again, but ${world.state.phase}`);
  demand(world.seen.attachId === attachId && world.held, "wanted again, but it was set up anew");
}

/** Set up by a daemon without a journal, its guest dead, and removed before we did anything. */
function inherited(world: DeviceWorld, variant: number): void {
  rest(world);
  world.createServed();
  if (!world.legacy || world.state.asked) return;
  world.change({ frontendPresent: false });
  world.look();
  while (world.perform());
  world.change({ online: false, state: variant % 2 === 0 ? 6 : 4 });
  rest(world);
  world.change({ state: 6 });
  rest(world);
  demand(!world.held, "inherited, and never undone");
}

/** Left over by somebody: if it is closed, nobody can be about to complete it. */
function leftOver(world: DeviceWorld): void {
  rest(world);
  if (world.directory !== null || world.state.asked) return;
  world.create();
  world.change({ frontendPresent: false, state: 1 });
  world.look();
  while (world.perform());
  demand(world.state.phase === "waiting", `its frontend may be to come, but ${world.state.phase}`);
  world.setState(6);
  world.look();
  while (world.perform());
  demand(world.state.phase === "settling", `a leftover, but ${world.state.phase}`);
  ended(world, "left over");
}

/** Nothing is begun of which no record can be made; when one can be, the toolstack tries again. */
function journalFull(world: DeviceWorld): void {
  rest(world);
  if (world.directory !== null || world.state.asked) return;
  world.full = true;
  world.create();
  world.setState(2);
  rest(world);
  demand(world.state.phase === "failed", `no record can be made, but ${world.state.phase}`);
  const isKnown = world.published?.startsWith("the journal is full");
  demand(isKnown === true && !world.held, "no record, and nobody knows");
  world.full = false;
  world.nuke();
  rest(world);
  demand(setUp(world), "it cannot be set up");
}

/** The kernel never gets ready: whoever waits for it is told. */
function neverReady(world: DeviceWorld): void {
  if (world.directory !== null || world.state.asked) return;
  rest(world);
  world.create();
  rest(world);
  const qemu = world.rules.servedByQemu;
  if (!qemu) {
    demand(world.state.error !== null && world.published !== null, "not ready, nobody knows");
    // Nor after its guest had closed it for a while.
    world.nuke();
    rest(world);
    world.create();
    world.setState(6);
    rest(world);
    world.setState(1);
    rest(world);
  }
  demand(world.state.phase === (qemu ? "connected" : "failed"), `not ready: ${world.state.phase}`);
}

/** A directory that contradicts its path is not served. */
function wrong(world: DeviceWorld): void {
  if (world.directory !== null || world.state.asked) return;
  rest(world);
  world.create();
  world.change({ state: 2, fault: "it is wrong" });
  rest(world);
  demand(world.state.phase === "failed", `wrong, but ${world.state.phase}`);
  demand(world.published === "it is wrong", "wrong, and nobody knows");
  world.nuke();
  world.create();
  world.change({ state: 2, fault: "so is this" });
  rest(world);
  demand(world.published === "so is this", "another one is wrong, and nobody knows");
  world.change({ state: 2, fault: null });
  rest(world);
  demand(world.state.phase === "connected", `mended, but ${world.state.phase}`);
}

function drained(world: DeviceWorld): void {
  const { directory } = world;
  world.change({ online: true, state: 4, frontendPresent: true, fault: null });
  world.close();
  rest(world, false);
  if (directory === null) return;
  const { phase } = world.state;
  demand(phase === "absent" || phase === "failed", `drained, but ${phase}`);
  demand(holdsNothing(world) || world.legacy, "drained, but something is held");
}
