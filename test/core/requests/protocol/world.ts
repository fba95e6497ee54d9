/**
 * One device, as small as it can be: a store, the toolstack, the driver domain's daemon with the
 * device's lane, its kernel, and a guest. All that can happen next is a list of named moves, each one
 * transaction, or one thing that a kernel, a script or a guest does. Plain data, no clock.
 */
import {
  type DevicePlace,
  DRIVER,
  DRIVER_WRITES,
  type DriverPhase,
  type DriverSeen,
  type DriverStep,
  driverTransition,
  mayWriteState,
  WITHDRAWN_EARLY,
} from "../../../../core/requests/protocol/driver_machine.ts";
import type { RequestState } from "../../../../core/requests/protocol/nodes.ts";
import {
  mayStep,
  TOOLSTACK,
  TOOLSTACK_FINAL,
  type ToolstackPhase,
  type ToolstackSeen,
  type ToolstackStep,
  toolstackTransition,
} from "../../../../core/requests/protocol/toolstack_machine.ts";

/** A toolstack that runs: whether it has the request's token, it knows whose waiting it is at. */
export interface Toolstack {
  readonly phase: ToolstackPhase;
  readonly steps: readonly ToolstackStep[];
  /** The request that it is about, once it knows. */
  readonly token: number | null;
}

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
    /** It makes no sense. */
    faulty: boolean;
    /** The store refuses to make its backend directory. */
    refused: boolean;
    /** Whether node `backend` is a path that can be. */
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
  running: { operation: Operation; orphan: boolean; hangs: boolean } | null;
  /** The kernel's device. */
  registered: boolean;
  /** The daemon; null: it is not running. */
  driver: { phase: DriverPhase; steps: DriverStep[]; seen: DriverSeen } | null;
  /** The device's lane, as its journal has it; the token of the directory it is about. */
  lane: {
    stage:
      | "none"
      | "adding"
      | "connected"
      | "undoing"
      | "failed"
      | "redoing"
      | "removing"
      | "removed";
    token: number;
  };
  /** Toolstacks; null: not running. */
  toolstacks: (Toolstack | null)[];
  /** What may still go wrong, or be asked for. */
  left: {
    attaches: number;
    holds: number;
    driverCrashes: number;
    toolstackCrashes: number;
    guestDeaths: number;
    /** Scripts that fail or hang, stores that refuse, requests that make no sense. */
    failures: number;
    strangers: number;
  };
  /** The guest does not close what it is asked to. */
  readonly stubborn: boolean;
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
  /** The toolstack's force leaves the frontend where it is. */
  readonly forceKeepsFrontend?: boolean;
  /** A step whose transaction does not look whether what it expects is still so. */
  readonly unguarded?: DriverStep | ToolstackStep;
}

/** What a toolstack sees, and the backend's state, which it does not look at: the tests' rules may. */
export type WiderSeen = ToolstackSeen & { readonly backendState: number | undefined };

/** Nothing has happened yet. */
export function beginning(
  left: World["left"],
  toolstacks: number,
  stubborn: boolean,
): World {
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
    toolstacks: Array.from({ length: toolstacks }, () => null),
    left,
    stubborn,
    tokens: 0,
  };
}

/** Whether nothing is left of anything. */
export function isClean(world: World): boolean {
  const { entry, record, frontend, backend, claim, prepared, acquired, running, registered } =
    world;
  return entry === null && record === null && frontend === null && backend === null &&
    claim === null && !prepared && !acquired && running === null && !registered &&
    world.lane.stage === "none" && world.toolstacks.every((toolstack) => toolstack === null);
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
    faulty: entry?.faulty ?? false,
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
export function toolstackSeen({ entry, record, backend }: World): WiderSeen {
  return {
    backendState: backend?.state,
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

/** By hand, since it is done a million times. */
function copyOf(world: World): World {
  const { entry, backend, running, driver, lane, toolstacks, left } = world;
  return {
    ...world,
    entry: entry && { ...entry },
    backend: backend && { ...backend },
    running: running && { ...running },
    // What is in its arrays is copied by whoever changes them.
    driver: driver && { ...driver, steps: [...driver.steps] },
    lane: { ...lane },
    toolstacks: [...toolstacks],
    left: { ...left },
  };
}

/** A move that changes a copy. */
function move(
  world: World,
  name: string,
  change: (next: World) => string | null | void,
  fault = false,
): Move {
  const next = copyOf(world);
  const wrong = change(next) ?? null;
  return { name, next, wrong, ...(fault ? { fault } : {}) };
}

// The toolstack.

function toolstackMoves(world: World, rules: Rules): Move[] {
  return world.toolstacks.flatMap((_, index) => movesOf(world, index, rules));
}

function movesOf(world: World, index: number, rules: Rules): Move[] {
  const { left, entry } = world;
  const toolstack = world.toolstacks[index]!;
  const name = world.toolstacks.length === 1 ? "toolstack" : `toolstack ${index + 1}`;
  const found: Move[] = [];
  const become = (next: World, change: Toolstack | null) => void (next.toolstacks[index] = change);
  if (toolstack === null) {
    const begin = (phase: ToolstackPhase, token: number | null) =>
      move(world, `${name} begins: ${phase}`, (next) => {
        become(next, { phase, steps: [], token });
        if (phase === "creating") next.left.attaches--;
      });
    if (left.attaches > 0) found.push(begin("creating", null));
    if (entry !== null) {
      found.push(begin("detaching", entry.token), begin("forcing", entry.token));
      if (entry.online && !entry.hold) found.push(begin("waiting", entry.token));
      if (entry.hold) {
        found.push(move(world, `${name}: releases what is held`, (next) => {
          next.entry!.hold = false;
        }));
      }
    }
    return found;
  }
  if (left.toolstackCrashes > 0) {
    found.push(move(world, `${name} is killed`, (next) => {
      become(next, null);
      next.left.toolstackCrashes--;
    }, true));
  }
  const seen = toolstackSeen(world);
  const [step] = toolstack.steps;
  if (step !== undefined) {
    const take = (fate: "" | "faulty", fault: boolean) =>
      move(world, `${name}: ${step}${fate && ` (${fate})`}`, (next) => {
        if (fault) next.left.failures--;
        if (
          entry === null && step !== "create" || rules.unguarded !== step && !mayStep(step, seen)
        ) {
          const { phase } = toolstackTransition(toolstack.phase, "missed", seen, rules.toolstack);
          return become(next, { ...toolstack, phase, steps: [] });
        }
        const wrong = toolstackStep(next, step, rules);
        const token = step === "create" ? next.tokens : toolstack.token;
        if (fate === "faulty") next.entry!.faulty = true;
        become(next, { ...toolstack, steps: [], token });
        return wrong;
      }, fault);
    found.push(take("", false));
    if (step === "create" && left.failures > 0) found.push(take("faulty", true));
    return found;
  }
  if (TOOLSTACK_FINAL.has(toolstack.phase)) {
    return [
      ...found,
      move(world, `${name} ends: ${toolstack.phase}`, (next) => {
        become(next, null);
      }),
    ];
  }
  for (const event of ["seen", "expired"] as const) {
    const { phase, steps } = toolstackTransition(toolstack.phase, event, seen, rules.toolstack);
    if (phase === toolstack.phase && steps.length === 0) continue;
    // Nothing may depend on patience that ends, but what a stubborn guest makes wait.
    const needed = world.stubborn || world.running?.hangs && toolstack.phase === "waiting";
    const fault = event === "expired" && !needed;
    found.push(move(world, `${name}: ${event} → ${phase}`, (next) => {
      become(next, { ...toolstack, phase, steps: [...steps] });
      const sure = phase !== "detached" || steps.length > 0 || entry === null &&
          (world.record === null || world.record === toolstack.token);
      const still = phase === "detached" && steps.length === 0 && entry === null &&
        world.record !== null;
      return !sure || still ? "detached is told of a device that is there" : null;
    }, fault));
  }
  return found;
}

/** One transaction of a toolstack's that has found what it expects; what it does wrong, or null. */
function toolstackStep(world: World, step: ToolstackStep, rules: Rules): string | null {
  const { entry } = world;
  const ours = entry !== null && world.record === entry.token;
  switch (step) {
    case "create": {
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
        faulty: false,
        refused: false,
        backend: false,
        status: "",
      };
      return null;
    }
    case "publish":
      entry!.published = true;
      world.frontend = 1;
      // Another toolstack may have deleted it by force; it has deleted the record with it then.
      return world.backend === null ? "the guest is shown a backend that does not exist" : null;
    case "withdraw":
      entry!.online = false;
      return null;
    case "force":
      entry!.online = false;
      entry!.force = true;
      if (ours && !rules.forceKeepsFrontend) world.frontend = null;
      return null;
    case "clean":
    case "abandon": {
      const wrong = heldFor(world, entry!.token);
      if (ours) {
        world.frontend = null;
        world.record = null;
        if (step === "abandon" && world.backend?.token === entry!.token) world.backend = null;
      }
      world.entry = null;
      return step === "clean" && wrong ? `the toolstack deletes a request while ${wrong}` : null;
    }
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

function driverMoves(world: World, rules: Rules): Move[] {
  const { driver } = world;
  const { driver: machine } = rules;
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
      if (next.running !== null) {
        next.running.orphan = true;
        // Whoever comes next ends it, if need be.
        next.running.hangs = false;
      }
    }, true));
  }
  const take = (
    next: World,
    event: "missed" | "failed" | "prepare-done" | "prepare-failed" | "unprepared",
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
    const refuses = step === "reserve" && world.entry?.refused;
    if (!refuses) {
      found.push(move(world, `daemon: ${step}`, (next) => {
        next.driver!.steps.shift();
        const { done, wrong } = driverStep(next, step, rules);
        if (!done) {
          next.driver!.steps = [];
          take(next, "missed");
        }
        return wrong;
      }));
    }
    if (refuses || step === "reserve" && world.left.failures > 0 && world.entry !== null) {
      found.push(move(world, `daemon: ${step}: the store refuses`, (next) => {
        if (!refuses) next.left.failures--;
        next.entry!.refused = true;
        next.driver!.steps = [];
        take(next, "failed");
      }, !refuses));
    }
    if (step === "reserve" && world.left.failures > 0) {
      found.push(move(world, `daemon: ${step}, with a backend path that cannot be`, (next) => {
        next.left.failures--;
        next.driver!.steps.shift();
        if (driverStep(next, step, rules).done) next.entry!.backend = false;
        else {
          next.driver!.steps = [];
          take(next, "missed");
        }
      }, true));
    }
    if (world.left.failures > 0 && step === "prepare" && world.running === null) {
      found.push(move(world, `daemon: ${step}, which hangs`, (next) => {
        next.left.failures--;
        next.driver!.steps.shift();
        driverStep(next, step, rules);
        next.running!.hangs = true;
      }, true));
    }
    return [...found, ...operationMoves(world, take)];
  }
  const seen = driverSeen(world);
  const { phase, steps } = driverTransition(driver.phase, "seen", seen, machine);
  const idle = phase === driver.phase && steps.length === 0;
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
  if (running.hangs) return [];
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
function driverStep(
  world: World,
  step: DriverStep,
  { unguarded }: Rules,
): { done: boolean; wrong: string | null } {
  const { entry } = world;
  const done = (wrong: string | null = null) => ({ done: true, wrong });
  const missed = { done: false, wrong: null };
  const seen = driverSeen(world);
  const write = DRIVER_WRITES[step];
  const early = step === "report-disconnected" && mayWriteState(WITHDRAWN_EARLY, seen);
  const guarded = unguarded !== step || entry === null;
  if (write !== undefined && guarded && !early && !mayWriteState(write, seen)) return missed;
  // Node `state` has the driver domain's permission only where the toolstack has made it.
  if (write !== undefined && entry !== null) entry.state = write.to;
  switch (step) {
    case "claim":
      // What it says is read in the same transaction.
      if (entry!.faulty) {
        entry!.state = "new";
        return missed;
      }
      world.claim = entry!.token;
      return done();
    case "refuse":
      if (!entry!.faulty) {
        entry!.state = "new";
        return missed;
      }
      entry!.status = "error";
      return done();
    case "prepare":
    case "unprepare":
      if (step === "unprepare" && !world.prepared) {
        world.running = { operation: step, orphan: false, hangs: false };
        return done();
      }
      world.running = { operation: step, orphan: false, hangs: false };
      world.prepared = true;
      return done();
    case "abort-prepare":
      if (world.running !== null) world.running.hangs = false;
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
      // In state 1, nobody is there who would close it.
      const sure = backend.state === 1 || backend.state === 6;
      backend.state = step === "close-by-force" || sure ? 6 : 5;
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
    next.running = { operation, orphan: false, hangs: false };
  };
  const removal = (why: string) =>
    move(world, `lane: remove (${why})`, (next) => {
      next.lane.stage = "removing";
      start(next, "remove");
    });
  const redo = () =>
    move(world, "lane: remove (to begin anew)", (next) => {
      next.lane.stage = "redoing";
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
      break;
    case "adding":
    case "undoing":
      // Only after a crash: what was half done is undone.
      if (lane.stage === "adding" && mine && backend.status === "connected" && backend.online) {
        found.push(move(world, "lane: adopts", (next) => void (next.lane.stage = "connected")));
      } else if (lane.stage === "adding" && mine && backend.online) {
        found.push(redo());
      } else found.push(removal("interrupted"));
      break;
    case "redoing":
      found.push(redo());
      break;
    case "connected":
      if (!mine) found.push(removal("directory gone"));
      else if (frontend === null) found.push(removal("guest gone"));
      else if (!backend.online && backend.state === 6) found.push(removal("closed"));
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
      }
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
      } else if (lane.stage === "redoing") {
        next.lane = { stage: "none", token: 0 };
        if (mine) next.backend!.status = "";
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
      next.running = { operation: "remove", orphan: false, hangs: false };
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
  if (world.stubborn) {
    if (frontend === 1 && backend?.state === 2) {
      guest("connects", (next) => void (next.frontend = 4));
    }
    return found;
  }
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
      // Before the kernel has taken it up, nobody hears of it: xl gives up then, or forces.
      if (next.backend !== null && next.registered) {
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
  if (world.left.strangers > 0 && world.entry !== null) {
    found.push(move(world, "somebody deletes the request", (next) => {
      next.left.strangers--;
      next.entry = null;
    }, true));
  }
  const { record } = world;
  if (record !== null && record !== world.entry?.token) {
    // What no request knows of: xl can remove it as ever.
    found.push(move(world, "xl removes a device without request", (next) => {
      next.record = null;
      next.frontend = null;
      if (next.backend?.token === record) next.backend = null;
    }));
  }
  return found;
}
