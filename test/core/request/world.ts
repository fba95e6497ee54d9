/**
 * One device, as small as it can be: a store, the toolstack, the driver domain's daemon with the
 * device's lane, its kernel, and a guest. All that can happen next is a list of named moves, each one
 * transaction, or one thing that a kernel, a script or a guest does. Plain data, no clock.
 */
import {
  DRIVER,
  DRIVER_WRITES,
  type DevicePlace,
  type DriverPhase,
  type DriverSeen,
  type DriverStep,
  driverTransition,
  mayWriteState,
  WITHDRAWN_EARLY,
} from "../../../core/request/driver_machine.ts";
import type { RequestState } from "../../../core/request/states.ts";
import {
  TOOLSTACK,
  TOOLSTACK_FINAL,
  type ToolstackPhase,
  type ToolstackSeen,
  type ToolstackStep,
  toolstackTransition,
} from "../../../core/request/toolstack_machine.ts";

/** What a script does; one at a time. */
export type Operation = "prepare" | "unprepare" | "add" | "remove";

/** All there is. */
export interface World {
  /** The request. `token` tells one from another. */
  entry: {
    token: number;
    state: RequestState;
    online: boolean;
    force: boolean;
    published: boolean;
    hold: boolean;
    backend: boolean;
    status: "" | "connected" | "disconnected" | "error";
  } | null;
  /** libxl's record: the token of its request, 0 for one that another toolstack made. */
  record: number | null;
  /** 1 initialising, 4 in use, 6 closed. */
  frontend: 1 | 4 | 6 | null;
  /** `state` 0: there is none yet. `token` 0: another toolstack made it. */
  backend: {
    token: number;
    state: 0 | 1 | 2 | 4 | 5 | 6;
    online: boolean;
    status: "" | "connected" | "disconnected" | "error";
  } | null;
  /** The driver domain's own note in the store: the token. */
  claim: number | null;
  /** What is held in the driver domain. */
  prepared: boolean;
  acquired: boolean;
  /** A script that runs, and whether the daemon that started it is still there. */
  running: { operation: Operation; orphan: boolean } | null;
  /** The kernel's device. */
  registered: boolean;
  /** The daemon; null: it is not running. */
  driver: { phase: DriverPhase; steps: DriverStep[]; seen: DriverSeen } | null;
  /** The device's lane, as its journal has it; the token of the directory it is about. */
  lane: {
    stage: "none" | "adding" | "connected" | "undoing" | "failed" | "removing" | "removed";
    token: number;
  };
  /** The toolstack; null: none is running. */
  toolstack: { phase: ToolstackPhase; steps: ToolstackStep[] } | null;
  /** What may still go wrong, or be asked for. */
  left: {
    attaches: number;
    holds: number;
    driverCrashes: number;
    toolstackCrashes: number;
    guestDeaths: number;
    failures: number;
    strangers: number;
  };
  /** Tokens given out. */
  tokens: number;
}

/** A move: what it is called, and whether it is a misfortune that nothing may depend on. */
export interface Move {
  readonly name: string;
  readonly fault?: boolean;
  readonly next: World;
  /** What the move itself does wrong, or null. */
  readonly wrong: string | null;
}

/** Rules of the two sides; the tests change them. */
export interface Rules {
  readonly driver: typeof DRIVER;
  readonly toolstack: typeof TOOLSTACK;
}

/** Nothing has happened yet. */
export function beginning(left: World["left"]): World {
  return {
    entry: null,
    record: null,
    frontend: null,
    backend: null,
    claim: null,
    prepared: false,
    acquired: false,
    running: null,
    registered: false,
    driver: null,
    lane: { stage: "none", token: 0 },
    toolstack: null,
    left,
    tokens: 0,
  };
}

/** Whether nothing is left of anything. */
export function isClean(world: World): boolean {
  const { entry, record, frontend, backend, claim, prepared, acquired, running, registered } =
    world;
  return entry === null && record === null && frontend === null && backend === null &&
    claim === null && !prepared && !acquired && running === null && !registered &&
    world.lane.stage === "none" && world.toolstack === null;
}

/** What the driver domain sees, at one instant. */
export function driverSeen(world: World): DriverSeen {
  const { entry, claim } = world;
  return {
    state: entry?.state ?? null,
    online: entry?.online ?? true,
    force: entry?.force ?? false,
    published: entry?.published ?? false,
    claimed: claim !== null,
    faulty: false,
    device: placeOf(world),
  };
}

/** How far the device is, for the request that was accepted. */
function placeOf({ backend, lane, claim, entry, registered }: World): DevicePlace {
  const token = claim ?? entry?.token;
  const held = lane.stage !== "none";
  if (held && lane.token === token) {
    if (lane.stage === "connected" && backend?.token === token) return "connected";
    if (lane.stage === "failed" && backend?.token === token) return "failed";
    return "busy";
  }
  if (backend === null) return held ? "foreign" : registered ? "lingering" : "none";
  if (backend.token !== token) return "foreign";
  return backend.state === 0 ? "reserved" : "busy";
}

/** What a toolstack sees, at one instant. */
export function toolstackSeen({ entry, record }: World): ToolstackSeen {
  return {
    record: record === null ? "none" : record === entry?.token ? "ours" : "foreign",
    state: entry?.state ?? null,
    online: entry?.online ?? false,
    force: entry?.force ?? false,
    published: entry?.published ?? false,
    hold: entry?.hold ?? false,
    credible: entry?.backend ?? false,
  };
}

/** All that can happen next. */
export function moves(world: World, rules: Rules): Move[] {
  return [
    ...toolstackMoves(world, rules),
    ...driverMoves(world, rules),
    ...laneMoves(world),
    ...kernelMoves(world),
    ...guestMoves(world),
    ...strangerMoves(world),
  ];
}

/** A move that changes a copy. */
function move(
  world: World,
  name: string,
  change: (next: World) => string | null | void,
  fault = false,
): Move {
  const next = structuredClone(world);
  const wrong = change(next) ?? null;
  return { name, next, wrong, ...(fault ? { fault } : {}) };
}

// The toolstack.

function toolstackMoves(world: World, { toolstack: machine }: Rules): Move[] {
  const { toolstack, left, entry } = world;
  const found: Move[] = [];
  if (toolstack === null) {
    const begin = (phase: ToolstackPhase, spend?: (next: World) => void) =>
      found.push(move(world, `toolstack begins: ${phase}`, (next) => {
        next.toolstack = { phase, steps: [] };
        spend?.(next);
      }));
    if (left.attaches > 0) begin("creating", (next) => void next.left.attaches--);
    if (entry !== null) {
      begin("detaching");
      if (entry.online && !entry.hold) begin("waiting");
    }
    if (entry?.hold) {
      found.push(move(world, "toolstack: releases what is held", (next) => {
        next.entry!.hold = false;
      }));
    }
    return found;
  }
  if (left.toolstackCrashes > 0) {
    found.push(move(world, "toolstack is killed", (next) => {
      next.toolstack = null;
      next.left.toolstackCrashes--;
    }, true));
  }
  const [step] = toolstack.steps;
  if (step !== undefined) {
    found.push(move(world, `toolstack: ${step}`, (next) => {
      next.toolstack!.steps.shift();
      const { done, wrong } = toolstackStep(next, step);
      if (!done) {
        const { phase } = toolstackTransition(
          toolstack.phase,
          "missed",
          toolstackSeen(next),
          machine,
        );
        next.toolstack = { phase, steps: [] };
      }
      return wrong;
    }));
    return found;
  }
  if (TOOLSTACK_FINAL.has(toolstack.phase)) {
    found.push(move(world, `toolstack ends: ${toolstack.phase}`, (next) => {
      next.toolstack = null;
    }));
    return found;
  }
  for (const event of ["seen", "expired"] as const) {
    const seen = toolstackSeen(world);
    const { phase, steps } = toolstackTransition(toolstack.phase, event, seen, machine);
    if (phase === toolstack.phase && steps.length === 0) continue;
    // A removal must not depend on its being given up.
    const fault = event === "expired" && toolstack.phase !== "waiting";
    found.push(move(world, `toolstack: ${event} → ${phase}`, (next) => {
      next.toolstack = { phase, steps: [...steps] };
    }, fault));
  }
  return found;
}

/** One transaction of the toolstack's; `done` is false when it found that it must not. */
function toolstackStep(
  world: World,
  step: ToolstackStep,
): { done: boolean; wrong: string | null } {
  const { entry } = world;
  const missed = { done: false, wrong: null };
  const done = (wrong: string | null = null) => ({ done: true, wrong });
  const ours = entry !== null && world.record === entry.token;
  switch (step) {
    case "create": {
      if (world.record !== null) return missed;
      if (entry !== null && entry.state !== "disconnected") return missed;
      const hold = world.left.holds > 0;
      if (hold) world.left.holds--;
      world.record = ++world.tokens;
      world.entry = {
        token: world.tokens,
        state: "new",
        online: true,
        force: false,
        published: false,
        hold,
        backend: false,
        status: "",
      };
      return done();
    }
    case "publish": {
      if (entry === null || entry.state !== "prepared" || !entry.online || !ours) return missed;
      entry.published = true;
      world.frontend = 1;
      const { backend } = world;
      // Another toolstack may have deleted it by force; it has deleted the record with it then.
      return done(backend === null ? "the guest is shown a backend that does not exist" : null);
    }
    case "withdraw":
      if (entry === null) return missed;
      entry.online = false;
      return done();
    case "force":
      if (entry === null) return missed;
      entry.online = false;
      entry.force = true;
      if (ours) world.frontend = null;
      return done();
    case "clean": {
      if (entry === null) return missed;
      const wrong = heldFor(world, entry.token);
      if (ours) {
        world.frontend = null;
        world.record = null;
      }
      world.entry = null;
      return done(wrong && `the toolstack deletes a request while ${wrong}`);
    }
    case "abandon":
      if (entry === null) return missed;
      if (ours) {
        world.frontend = null;
        world.record = null;
        if (world.backend?.token === entry.token) world.backend = null;
      }
      world.entry = null;
      return done();
  }
}

/** What the driver domain holds for a request; null for nothing. */
export function heldFor(
  { backend, lane, prepared, acquired, running }: World,
  token: number,
): string | null {
  const forDevice = running?.operation === "add" || running?.operation === "remove";
  if (running !== null && (!forDevice || lane.token === token)) return `${running.operation} runs`;
  if (prepared && lane.stage === "none") return "the device is prepared";
  if (acquired && lane.token === token) return "the script's work is not undone";
  if (backend?.token === token) return "its backend directory is there";
  return null;
}

// The driver domain's daemon.

const FRESH: DriverSeen = {
  state: null,
  online: true,
  force: false,
  published: false,
  claimed: false,
  faulty: false,
  device: "none",
};

function driverMoves(world: World, { driver: machine }: Rules): Move[] {
  const { driver } = world;
  if (driver === null) {
    return [move(world, "daemon starts", (next) => {
      next.driver = { phase: "unknown", steps: [], seen: FRESH };
    })];
  }
  const found: Move[] = [];
  if (world.left.driverCrashes > 0) {
    found.push(move(world, "daemon is killed", (next) => {
      next.driver = null;
      next.left.driverCrashes--;
      if (next.running !== null) next.running.orphan = true;
    }, true));
  }
  const take = (
    next: World,
    event: "missed" | "prepare-done" | "prepare-failed" | "unprepared",
  ) => {
    const { phase, seen } = next.driver!;
    const taken = driverTransition(phase, event, seen, machine);
    next.driver = { phase: taken.phase, steps: [...taken.steps], seen };
  };
  const [step] = driver.steps;
  if (step !== undefined) {
    // Whoever starts a script first waits for what an earlier daemon has left running.
    if ((step === "prepare" || step === "unprepare") && world.running !== null) {
      return [...found, ...operationMoves(world, take)];
    }
    found.push(move(world, `daemon: ${step}`, (next) => {
      next.driver!.steps.shift();
      const { done, wrong } = driverStep(next, step);
      if (!done) {
        next.driver!.steps = [];
        take(next, "missed");
      }
      return wrong;
    }));
    return [...found, ...operationMoves(world, take)];
  }
  const seen = driverSeen(world);
  const { phase, steps } = driverTransition(driver.phase, "seen", seen, machine);
  const idle = phase === driver.phase && steps.every((name) => name === "forget");
  if (!idle && !(steps.includes("close-by-force") && alreadyForced(world, phase, driver.phase))) {
    found.push(move(world, `daemon: sees ${seen.state}/${seen.device} → ${phase}`, (next) => {
      next.driver = { phase, steps: [...steps], seen };
    }));
  }
  return [...found, ...operationMoves(world, take)];
}

/** Said once more, it would change nothing. */
function alreadyForced({ backend }: World, to: DriverPhase, from: DriverPhase): boolean {
  return to === from && (backend === null || !backend.online && backend.state === 6);
}

/** The ends of `prepare` and `unprepare`. */
function operationMoves(
  world: World,
  take: (next: World, event: "prepare-done" | "prepare-failed" | "unprepared") => void,
): Move[] {
  const { running } = world;
  if (running === null || running.operation === "add" || running.operation === "remove") return [];
  // Its end is an event, which waits for the steps before it.
  if (!running.orphan && world.driver!.steps.length > 0) return [];
  const end = (event: "prepare-done" | "prepare-failed" | "unprepared", fault = false) =>
    move(world, `${running.operation} ends: ${event}`, (next) => {
      next.running = null;
      if (running.operation === "unprepare") next.prepared = false;
      if (fault) next.left.failures--;
      if (!running.orphan) take(next, event);
    }, fault);
  if (running.operation === "unprepare") return [end("unprepared")];
  return [
    end("prepare-done"),
    ...(world.left.failures > 0 ? [end("prepare-failed", true)] : []),
  ];
}

/** One step of the daemon's; `done` is false when its transaction found that it must not. */
function driverStep(world: World, step: DriverStep): { done: boolean; wrong: string | null } {
  const { entry } = world;
  const done = (wrong: string | null = null) => ({ done: true, wrong });
  const missed = { done: false, wrong: null };
  const seen = driverSeen(world);
  const write = DRIVER_WRITES[step];
  const early = step === "report-disconnected" && mayWriteState(WITHDRAWN_EARLY, seen);
  if (write !== undefined && !early && !mayWriteState(write, seen)) return missed;
  // Node `state` has the driver domain's permission only where the toolstack has made it.
  if (write !== undefined && entry !== null) entry.state = write.to;
  switch (step) {
    case "claim":
      world.claim = entry!.token;
      return done();
    case "refuse":
      entry!.status = "error";
      return done();
    case "prepare":
    case "unprepare":
      if (step === "unprepare" && !world.prepared) {
        world.running = { operation: step, orphan: false };
        return done();
      }
      world.running = { operation: step, orphan: false };
      world.prepared = true;
      return done();
    case "abort-prepare":
    case "forget":
      return done();
    case "reserve":
      if (world.claim !== entry!.token) return done("a request is served that was not accepted");
      if (world.backend !== null) {
        // The store refuses: the toolstack's record should have kept others away.
        entry!.state = "preparing";
        return { done: false, wrong: null };
      }
      world.backend = { token: entry!.token, state: 0, online: true, status: "" };
      entry!.backend = true;
      return done();
    case "start": {
      const { backend } = world;
      if (backend === null || backend.token !== entry!.token || !entry!.published) {
        entry!.state = "prepared";
        return missed;
      }
      backend.state = 1;
      return done();
    }
    case "report-connected": {
      entry!.status = "connected";
      return done(entry!.online ? null : "connected is reported though it was withdrawn");
    }
    case "report-error":
      entry!.status = "error";
      return done();
    case "begin-removal":
      return done();
    case "close":
    case "close-by-force": {
      const { backend, claim } = world;
      if (backend === null || backend.token !== claim) return done();
      if (backend.state === 0) {
        world.backend = null;
        return done();
      }
      backend.online = false;
      backend.state = step === "close-by-force" || backend.state === 6 ? 6 : 5;
      return done();
    }
    case "report-disconnected": {
      if (entry === null) return missed;
      const wrong = heldFor(world, entry.token);
      entry.status = "disconnected";
      world.claim = null;
      return done(wrong && `disconnected is reported while ${wrong}`);
    }
    case "drop-claim":
      world.claim = null;
      return done();
  }
}

// The device's lane (core/lifecycle), which has its own proofs: here only what it does in the end.

function laneMoves(world: World): Move[] {
  const { lane, backend, frontend, running, driver } = world;
  const found: Move[] = [];
  if (running !== null && (running.operation === "add" || running.operation === "remove")) {
    return operationEnds(world);
  }
  if (driver === null || running !== null) return found;
  const mine = backend !== null && backend.token === lane.token;
  const start = (next: World, operation: Operation) => {
    next.running = { operation, orphan: false };
  };
  const removal = (why: string) =>
    move(world, `lane: remove (${why})`, (next) => {
      next.lane.stage = "removing";
      start(next, "remove");
    });
  switch (lane.stage) {
    case "none":
      if (backend === null) break;
      if (
        backend.online && (backend.state === 2 || backend.state === 4) && frontend !== null
      ) {
        found.push(move(world, "lane: add", (next) => {
          next.lane = { stage: "adding", token: backend.token };
          next.acquired = true;
          start(next, "add");
        }));
      }
      // Nothing was set up, but it is to go.
      if (backend.state !== 0 && (!backend.online && backend.state === 6 || frontend === null)) {
        found.push(move(world, "lane: nothing to undo", (next) => {
          next.lane = { stage: "removed", token: backend.token };
        }));
      }
      if (!backend.online && backend.state === 5) found.push(impatience(world));
      break;
    case "adding":
    case "undoing":
      // Only after a crash: what was half done is undone.
      if (lane.stage === "adding" && mine && backend.status === "connected" && backend.online) {
        found.push(move(world, "lane: adopts", (next) => void (next.lane.stage = "connected")));
      } else found.push(removal("interrupted"));
      break;
    case "connected":
      if (!mine) found.push(removal("directory gone"));
      else if (frontend === null) found.push(removal("guest gone"));
      else if (!backend.online && backend.state === 6) found.push(removal("closed"));
      else if (!backend.online) found.push(impatience(world));
      break;
    case "failed":
      if (!mine) {
        found.push(move(world, "lane: forgets", (next) => {
          next.lane = { stage: "none", token: 0 };
        }));
      } else if (frontend === null || !backend.online && backend.state === 6) {
        found.push(
          move(world, "lane: failed, and to go", (next) => void (next.lane.stage = "removed")),
        );
      } else if (!backend.online) found.push(impatience(world));
      break;
    case "removing":
      found.push(removal("interrupted"));
      break;
    case "removed":
      if (mine && backend.status !== "disconnected") {
        found.push(move(world, "lane: hotplug-status=disconnected", (next) => {
          next.backend!.status = "disconnected";
          if (next.entry?.token === lane.token) next.entry.status = "disconnected";
        }));
      } else {
        found.push(move(world, "lane: deletes the backend directory", (next) => {
          if (mine) next.backend = null;
          next.lane = { stage: "none", token: 0 };
        }));
      }
      break;
  }
  return found;
}

/** The guest has not closed it in time. */
function impatience(world: World): Move {
  return move(world, "lane: closes the backend by force", (next) => {
    next.backend!.state = 6;
  });
}

function operationEnds(world: World): Move[] {
  const { running, lane, backend } = world;
  const mine = backend !== null && backend.token === lane.token;
  if (running!.operation === "remove") {
    // A script reads what its directory says; only force may have taken that away.
    return [move(world, "remove ends", (next) => {
      next.running = null;
      next.acquired = false;
      next.prepared = false;
      if (running!.orphan) return;
      if (lane.stage === "undoing") {
        next.lane.stage = "failed";
        if (mine) Object.assign(next.backend!, { status: "error", state: 6 });
      } else next.lane.stage = "removed";
    })];
  }
  const found: Move[] = [];
  found.push(move(world, "add succeeds", (next) => {
    next.running = null;
    if (mine) next.backend!.status = "connected";
    if (!running!.orphan) next.lane.stage = "connected";
  }));
  if (world.left.failures > 0) {
    found.push(move(world, "add fails", (next) => {
      next.left.failures--;
      next.running = null;
      if (running!.orphan) return;
      next.lane.stage = "undoing";
      next.running = { operation: "remove", orphan: false };
    }, true));
  }
  return found;
}

// The driver domain's kernel.

function kernelMoves(world: World): Move[] {
  const { backend, frontend, registered } = world;
  const kernel = (what: string, change: (next: World) => void) =>
    move(world, `kernel: ${what}`, change);
  if (registered) {
    if (backend === null || backend.state === 0) {
      return [kernel("unregisters", (next) => void (next.registered = false))];
    }
    if (frontend === null || frontend === 6 && !backend.online) {
      return [kernel("closes, unregisters", (next) => {
        next.backend!.state = 6;
        next.registered = false;
      })];
    }
    if (frontend === 6 && backend.state !== 6) {
      return [kernel("closes", (next) => void (next.backend!.state = 6))];
    }
    if (frontend === 1 && backend.state === 6 && backend.online) {
      return [kernel("InitWait again", (next) => void (next.backend!.state = 2))];
    }
    if (frontend === 4 && backend.state === 2 && backend.status === "connected") {
      return [kernel("connects", (next) => void (next.backend!.state = 4))];
    }
    return [];
  }
  if (backend?.state === 1 && frontend !== null) {
    return [kernel("InitWait", (next) => {
      next.backend!.state = 2;
      next.registered = true;
    })];
  }
  return [];
}

// The guest.

function guestMoves(world: World): Move[] {
  const { backend, frontend } = world;
  const found: Move[] = [];
  const guest = (what: string, change: (next: World) => void) =>
    found.push(move(world, `guest: ${what}`, change));
  if (frontend === null) return found;
  if (frontend === 1 && (backend?.state === 2 || backend?.state === 4)) {
    guest("connects", (next) => void (next.frontend = 4));
  }
  if (frontend !== 6 && backend !== null && (backend.state === 5 || backend.state === 6)) {
    guest("closes as asked", (next) => void (next.frontend = 6));
  }
  if (frontend === 4) guest("closes of its own accord", (next) => void (next.frontend = 6));
  if (frontend === 6 && backend?.online) guest("comes back", (next) => void (next.frontend = 1));
  return found;
}

// Another toolstack, which knows nothing of requests.

function strangerMoves(world: World): Move[] {
  const found: Move[] = [];
  if (world.left.guestDeaths > 0 && world.record !== null) {
    // xl destroy: asks, waits in vain or not, deletes all that its record tells of.
    found.push(move(world, "xl destroys the guest", (next) => {
      next.left.guestDeaths--;
      next.frontend = null;
      next.backend = null;
      next.record = null;
    }, true));
    found.push(move(world, "xl detaches the device: asks", (next) => {
      next.left.guestDeaths--;
      if (next.backend !== null && next.backend.state !== 0) {
        next.backend.online = false;
        if (next.backend.state !== 6) next.backend.state = 5;
      }
    }, true));
  }
  if (world.left.strangers > 0 && world.record === null) {
    found.push(move(world, "xl attaches a device of the same number", (next) => {
      next.left.strangers--;
      next.record = 0;
      next.frontend = 1;
      next.backend = { token: 0, state: 1, online: true, status: "" };
    }, true));
  }
  if (world.record === 0) {
    found.push(move(world, "xl destroys its device", (next) => {
      next.record = null;
      next.frontend = null;
      if (next.backend?.token === 0) next.backend = null;
    }));
  }
  return found;
}
