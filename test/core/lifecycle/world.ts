/**
 * A world of several devices of several guests, in which the toolstack, the guests, the kernel, the
 * plugins, the clock and whoever kills the daemon each do what they may, in any order. It performs
 * the machine's effects one by one, so that anything can come between two of them, and keeps the
 * invariants (`docs/lifecycle.md` names them).
 */
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { resumed, transition } from "../../../core/lifecycle/machine.ts";
import {
  type Effect,
  INITIAL,
  type LifecycleEvent,
  type LifecycleRules,
  type LifecycleState,
  type Stage,
  type Step,
  type TimerName,
} from "../../../core/lifecycle/state.ts";
import { ABSENT, type Observation, wishOf } from "../../../core/lifecycle/observation.ts";
import { LOOKED_AT_FIRST, type Row } from "../../../core/lifecycle/table.ts";
import type { XenbusState } from "../../../core/xen/states.ts";

/** An invariant does not hold. */
export class Violation extends Error {
  override name = "Violation";
}

function check(holds: boolean, invariant: string): asserts holds {
  if (!holds) throw new Violation(invariant);
}

/** A plugin's call, under this daemon or, as an orphan, under a dead one. */
interface Running {
  readonly call: "add" | "remove";
  /** The directory it works on. */
  readonly directory: object | null;
}

/** The directory of a device: an object of its own for each one that is created. */
interface Directory {
  seen: Observation;
}

/** A failure, by its cause: how often it came to be, and how often a person was told. */
interface Failure {
  came: number;
  told: number;
}

/** Effects that may fail and have no event of their own. */
const FRAGILE: ReadonlySet<Effect["do"]> = new Set<Effect["do"]>([
  "mark",
  "note",
  "drop",
  "abort-add",
  "adopt",
  "cleanse",
  "publish-error",
  "request-close",
  "signal-closing",
  "close-backend",
  "leave-directory",
]);

interface Entry {
  readonly stage: Stage;
  readonly busy: boolean;
  readonly attachId: string | null;
  readonly error: string | null;
}

/** One device and all that surrounds it. */
export class DeviceWorld {
  readonly #rules: LifecycleRules;
  readonly #table: readonly Row[] | undefined;
  readonly log: string[] = [];
  readonly reports: string[] = [];
  state: LifecycleState = INITIAL;
  directory: Directory | null = null;
  journal: Entry | null = null;
  /** What a plugin has acquired and not given back. */
  held = false;
  /** The add that acquired it has ended well. */
  succeeded = false;
  running: Running | null = null;
  orphan: Running | null = null;
  published: string | null = null;
  /** Whether its lane has gone, as it must when nothing is left. */
  forgotten = true;
  /** Others have what it needs, and do not share it. */
  taken = false;
  #releaseAwaited = false;
  /** A refused backend was open for its time. */
  #patienceOver = false;
  /** Nothing more can be recorded. */
  full = false;
  /** The store refuses to delete, some time. */
  refusals = 0;
  /** How many of the next effects that can fail do. */
  trips = 0;
  /** How many of the next calls of `remove` fail. */
  undoFailures = 0;
  /** The last remove has failed, and nobody has given up what is held. */
  undoFailed = false;
  /** Its nodes were kept since then: it can go on without the directory. */
  #left = false;
  /** The pauses before it was tried again, in ms, since it failed first. */
  readonly pauses: number[] = [];
  readonly #failures = new Map<string, Failure>();
  #causes = 0;
  /** Whether nobody is told of a failure that no row expects. */
  readonly #deaf: boolean;
  readonly #queue: Effect[] = [];
  readonly #timers = new Set<TimerName>();
  /** For which directory the wait began, and whether that was seen to be marked. */
  #awaited: { readonly directory: Directory | null; marked: boolean } | null = null;
  #aborted = false;
  /** The remove that runs is to be done again without the directory. */
  leaving = false;
  /** It was stopped, and the other one has not begun. */
  #owed = false;
  #hung = false;
  #kernelAwaited = false;
  #orphansAwaited = false;
  #attachIds = 0;
  #nextAttachId: string | null = null;
  /** This daemon has undone it, and nothing was done since. */
  #undone = false;
  /** What was set up is no more, and nothing was set up since. */
  #lost = false;
  /** It was set up by a daemon that kept no journal. */
  legacy = false;
  #legacyDirectory: Directory | null = null;

  /** @param deaf see there */
  constructor(rules: Partial<LifecycleRules>, table?: readonly Row[], deaf = false) {
    this.#deaf = deaf;
    this.#rules = {
      times: DEFAULT_TIMES,
      waitsForBackend: true,
      servedByQemu: false,
      removesWithoutDirectory: false,
      ...rules,
    };
    this.#table = table;
  }

  get rules(): LifecycleRules {
    return this.#rules;
  }

  get seen(): Observation {
    return this.directory?.seen ?? ABSENT;
  }

  set seen(seen: Observation) {
    if (this.directory !== null) this.directory.seen = seen;
  }

  /** Only what has been decided and done is in what one sees (see the runner). */
  look(): void {
    if (this.#queue.length > 0) return;
    const isAwaited = this.#awaited !== null && this.#awaited.directory === this.directory;
    if (isAwaited && this.seen.attachId !== null) this.#awaited!.marked = true;
    this.#prove();
    this.#feed({ type: "seen", observation: this.seen });
  }

  /** What would be refused is given an attach id first, unless it has one. */
  #prove(): void {
    const { seen, journal } = this;
    if (journal?.attachId != null || wishOf(seen) !== "refused") return;
    if (seen.attachId !== null && seen.attachId === this.#nextAttachId) return;
    this.#nextAttachId = `t${++this.#attachIds}`;
    this.seen = { ...seen, attachId: this.#nextAttachId };
  }

  /** Performs the next effect that is due. */
  perform(): boolean {
    const effect = this.#queue.shift();
    if (effect === undefined) return false;
    this.log.push(`  ${effect.do}`);
    this.#perform(effect);
    return true;
  }

  /** A cause that no other failure has. */
  #cause(what: string): string {
    return `${what} #${++this.#causes};`;
  }

  #expect(cause: string): void {
    const failure = this.#failures.get(cause) ?? { came: 0, told: 0 };
    this.#failures.set(cause, { ...failure, came: failure.came + 1 });
  }

  /** Every failure was told of, with its cause, once: to be asked when nothing is queued. */
  checkCauses(): void {
    for (const [cause, { came, told }] of this.#failures) {
      check(told > 0, `${cause} and nobody is told`);
      check(told <= came, `${cause} told ${told} times, and came to be ${came} times`);
    }
  }

  /**
   * The plugin's call ends.
   * @param limit its time is up
   * @param beforeAbort it ended just before it was told to stop
   */
  finish(ok: boolean, limit = false, beforeAbort = false): boolean {
    const { running } = this;
    if (running === null) return false;
    // Only the end of its time, or of the daemon's patience, ends a script that hangs.
    if (this.#hung && !this.#aborted && !this.leaving && !limit) return false;
    this.#hung = false;
    this.running = null;
    const isStopped = running.call === "add" ? this.#aborted : this.leaving;
    const isRefused = running.call === "add" && this.taken && (beforeAbort || !isStopped);
    const cannot = running.call === "remove" && this.undoFailures > 0;
    const well = ok && !isRefused && !cannot && (beforeAbort || !isStopped);
    if (this.leaving && !well) {
      // Half done: what is held is still held.
      this.leaving = false;
      this.#owed = true;
      this.#feed({ type: "remove-stopped" });
      return true;
    }
    this.leaving = false;
    if (cannot) this.undoFailures--;
    this.#ends(running, well);
    const { call } = running;
    this.#undone = call === "remove" && well;
    if (well) this.#feed({ type: `${call}-done` });
    else if (isRefused) this.#feed({ type: "add-busy", error: "others use it;" });
    else if (call === "add" && this.#aborted && ok) {
      this.#feed({ type: "add-stopped", how: "it was stopped" });
    } else if (call === "add") {
      const late = this.#aborted && !beforeAbort;
      this.#feed({ type: "add-failed", error: this.#cause("it fails"), late });
    } else {
      this.undoFailed = true;
      this.#left = false;
      this.#feed({ type: "remove-failed", error: this.#cause("it cannot be undone") });
    }
    return true;
  }

  /** A person wants nothing more to be tried. @returns whether there is anything to give up */
  giveUp(): boolean {
    if (!this.state.paused) return false;
    if (this.state.phase === "recovering") {
      this.#feed({ type: "given-up" });
      return true;
    }
    // What is left of it is nobody's from now on.
    this.held = false;
    this.succeeded = false;
    this.undoFailed = false;
    this.undoFailures = 0;
    this.#feed({ type: "given-up" });
    return true;
  }

  /** Whether processes of an earlier daemon are waited for. */
  get awaitsOrphans(): boolean {
    return this.#orphansAwaited;
  }

  /** Something else was given back. */
  help(): void {
    if (this.state.paused) this.#feed({ type: "helped" });
  }

  /** The pause before the next try is over. */
  retry(): boolean {
    if (!this.#timers.delete("retry")) return false;
    this.#feed({ type: "retry-expired" });
    return true;
  }

  /** What runs will not end by itself. */
  hang(call: "add" | "remove"): void {
    this.#hung = this.running?.call === call;
  }

  /** Others give back what it needs. */
  release(): void {
    this.taken = false;
    if (!this.#releaseAwaited || this.state.phase !== "busy") return;
    this.#releaseAwaited = false;
    this.#feed({ type: "released" });
  }

  /** It shared what others do not share any longer. */
  evict(): void {
    this.#feed({ type: "evicted", error: this.#cause("others have it") });
  }

  /** What stands behind the device is unplugged. */
  unplug(): void {
    this.#feed({ type: "broken", error: "it is gone" });
  }

  /** It is plugged in again. */
  heal(): void {
    this.#feed({ type: "healed" });
  }

  /** Nothing is left of what was set up, but the backend waits for it. */
  lose(): void {
    this.#lost = true;
    this.seen = { ...this.seen, state: 2, served: false };
    this.#feed({ type: "undone", error: "it is made anew" });
  }

  /** A script that outlived its daemon ends, unheard. */
  finishOrphan(ok: boolean): boolean {
    const { orphan } = this;
    if (orphan !== null) {
      this.orphan = null;
      this.#ends(orphan, ok);
    }
    if (!this.#orphansAwaited) return orphan !== null;
    this.#orphansAwaited = false;
    if (this.#trips()) {
      this.#feed({ type: "orphans-left", error: this.#cause("processes cannot be seen") });
      return true;
    }
    this.#feed({ type: "orphans-gone" });
    return true;
  }

  expire(which: number): boolean {
    const timers = [...this.#timers];
    const timer = timers[which % Math.max(1, timers.length)];
    if (timer === undefined) return false;
    const isLookedAt = LOOKED_AT_FIRST.has(timer);
    if (isLookedAt && this.#queue.length > 0) return false;
    this.#timers.delete(timer);
    const { phase } = this.state;
    if (isLookedAt) this.look();
    const isStopped = this.#queue.some((each) => each.do === "stop-timer" && each.timer === timer);
    if (isStopped || isLookedAt && this.state.phase !== phase) return true;
    if (timer === "patience" && phase !== "busy") this.#patienceOver = true;
    this.#feed({ type: `${timer}-expired` });
    return true;
  }

  /** A certain timer is over, if it runs. */
  expireNamed(timer: TimerName): void {
    const at = [...this.#timers].indexOf(timer);
    if (at >= 0) this.expire(at);
  }

  releaseKernel(): boolean {
    if (!this.#kernelAwaited) return false;
    this.#kernelAwaited = false;
    if (this.#trips()) this.#feed({ type: "kernel-kept", error: this.#cause("it is in use") });
    else this.#feed({ type: "kernel-released" });
    return true;
  }

  /** Whether what is done now is to fail. */
  #trips(): boolean {
    if (this.trips === 0) return false;
    this.trips--;
    return true;
  }

  /** The daemon is told to close all. */
  close(): void {
    this.#feed({ type: "close" });
  }

  create(): void {
    if (this.directory !== null) return;
    this.directory = {
      seen: { ...ABSENT, present: true, online: true, state: 1, frontendPresent: true },
    };
  }

  /** Set up by a daemon that kept no journal. */
  createServed(): void {
    if (this.directory !== null || this.held || this.running !== null || this.orphan !== null) {
      return;
    }
    // Whatever is recorded belongs to an earlier life.
    if (this.journal !== null || this.state.phase !== "absent") return;
    this.create();
    this.seen = { ...this.seen, state: 4, served: true };
    this.held = true;
    this.succeeded = true;
    this.legacy = true;
    this.#legacyDirectory = this.directory;
    this.#undone = false;
  }

  nuke(): void {
    this.directory = null;
    this.#forgive();
  }

  /** Set up by a daemon without a journal, and gone before we ever saw it: nobody can know. */
  #forgive(): void {
    const known = this.journal !== null || this.state.acquired;
    if (known || !this.legacy || this.directory === this.#legacyDirectory) return;
    this.held = false;
  }

  /** The daemon is killed and started again; what it had started goes on. */
  crash(): void {
    this.log.push("CRASH");
    if (this.running !== null) {
      check(this.orphan === null, "two calls of one device at the same time");
      this.orphan = this.running;
    }
    this.running = null;
    this.#hung = false;
    this.leaving = false;
    this.#owed = false;
    this.#undone = false;
    // The next daemon begins anew with it, having waited for what still runs.
    this.undoFailed = false;
    this.forgotten = this.journal === null && this.directory === null;
    // What a daemon has not said by then it never says.
    for (const [cause, { told }] of this.#failures) {
      if (told === 0) this.#failures.delete(cause);
    }
    this.#queue.length = 0;
    this.#timers.clear();
    this.#kernelAwaited = false;
    this.#orphansAwaited = false;
    this.#releaseAwaited = false;
    this.#patienceOver = false;
    this.#nextAttachId = null;
    this.state = INITIAL;
    this.#forgive();
    if (this.journal !== null) this.#take(resumed(this.journal, this.#rules));
  }

  #ends(running: Running, well: boolean): void {
    if (running.call === "remove") {
      // What could not be undone is still held.
      if (!well) return;
      this.held = false;
      this.succeeded = false;
      this.undoFailed = false;
      return;
    }
    this.succeeded = well;
    const same = this.directory !== null && running.directory === this.directory;
    if (well && same) this.seen = { ...this.seen, served: true };
  }

  #feed(event: LifecycleEvent): void {
    this.log.push(event.type + (event.type === "seen" ? ` ${wishOf(event.observation)}` : ""));
    const step = transition(this.state, event, this.#rules, this.#table);
    if ("error" in event && event.type !== "delete-refused") this.#expectCause(event, step);
    this.#checkTold(event, step);
    this.#take(this.#deaf && event.type === "trouble" ? { ...step, effects: [] } : step);
  }

  #expectCause(event: LifecycleEvent & { error: string }, step: Step): void {
    const { state, effects } = step;
    // What has broken stays so until it is healed.
    if (event.type === "broken" && this.state.error !== null) return;
    if (event.type === "broken" && !["connected", "closing"].includes(this.state.phase)) return;
    // What is being closed is not set up again.
    if (event.type === "undone" && step.state.phase !== "redoing") return;
    if (event.type === "evicted") {
      const isWanted = ["present", "idle"].includes(wishOf(state.observation));
      if (this.state.phase !== "connected" || !isWanted) return;
    }
    this.#expect(event.error);
    if (!["add-failed", "add-busy", "record-failed"].includes(event.type)) return;
    check(
      effects.some(({ do: name }) => name === "publish-error") || !state.observation.present ||
        state.phase === "redoing",
      "its setup failed, and whoever looks into its directory does not learn why",
    );
  }

  /** What else a person is to be told of: what could not be waited for, or is done by force. */
  #checkTold(event: LifecycleEvent, { state, effects }: Step): void {
    const before = this.state.phase;
    const { phase, held, error, attachId, observation } = state;
    const isNew = phase !== before;
    const failsAnew = phase === before && error !== this.state.error;
    if (phase === "failed" && (before === "absent" || before === "waiting" || failsAnew)) {
      this.#expect(error!);
    }
    if (event.type === "given-up" && state.stuck === null && this.state.stuck !== null) {
      const isTold = effects.some((each) =>
        each.do === "report" && each.level === "warning" && each.text.includes(this.state.stuck!)
      );
      check(isTold, "given up, and nobody is told of what is left");
    }
    if (event.type === "remove-failed") {
      const isPublished = effects.some((each) => each.do === "publish-error");
      const isOurs = state.observation.present && state.observation.attachId === state.attachId;
      check(isPublished || !isOurs, "it cannot be undone, and its directory does not say why");
    }
    const byForce = isNew && phase === "settling" && held && !observation.present;
    const isAnother = attachId !== null && observation.attachId !== attachId;
    const anew = isNew && phase === "redoing" && before !== "aborting" &&
      (before !== "closing" || isAnother);
    const late = event.type === "destroy-expired" ||
      event.type === "budget-expired" && before === "removing" ||
      event.type === "wait-expired" && phase === "settling";
    if (!byForce && !anew && !late) return;
    const isTold = effects.some((each) => each.do === "report" && each.level !== "info");
    check(isTold, `${before} → ${phase} on ${event.type}, and nobody is told`);
  }

  #take({ state, effects }: Step): void {
    const before = this.state.phase;
    this.#checkStep(state);
    if (before === "recovered" && state.phase !== before) this.#checkRecovery(state);
    this.state = state;
    if (state.phase !== "absent") this.forgotten = false;
    if (state.phase !== before) this.log.push(`    ${before} → ${state.phase}`);
    this.#queue.push(...effects);
    if (state.phase === "busy" && before !== "busy") this.#checkPatience(effects);
    if (state.phase === "connected" || state.phase === "absent") this.#patienceOver = false;
    if (state.phase === "connected" && before !== "connected") {
      check(this.running === null && this.orphan === null, "connected while a call runs");
      check(
        this.succeeded || state.observation.served || before === "recovered",
        "connected only after the script succeeded",
      );
      check(this.held, "connected, and nothing is set up");
    }
    if (state.phase === "failed" && !this.legacy) {
      check(!this.#mayHold(), "failed with something held");
    }
  }

  /** What was refused does not stay open for longer than it may, and not for less. */
  #checkPatience(effects: readonly Effect[]): void {
    const closes = effects.some(({ do: name }) => name === "close-backend");
    check(closes === this.#patienceOver, "a refused backend is closed too early, or too late");
    this.#patienceOver = false;
  }

  /** What must not lead from one phase to another. */
  #checkStep({ phase, observation, attachId, asked }: LifecycleState): void {
    const before = this.state.phase;
    const wish = wishOf(observation);
    const replaced = attachId !== null && observation.present && observation.attachId !== attachId;
    if (phase === "redoing" && before !== phase && !replaced) {
      const unwanted = ["gone", "closing", "removal", "dead"].includes(wish);
      check(!unwanted, "undone to start anew, and nobody wants it");
      const works = this.journal?.stage === "connected" && (wish === "present" || wish === "idle");
      check(!works || this.#lost, "what works is undone");
    }
    if (before === "waiting" && phase === "failed") {
      check(wish === "present" || wish === "refused", "failed while there was nothing to wait for");
      const { directory, marked } = this.#awaited ?? { directory: null, marked: false };
      const another = marked && directory !== this.directory && wish === "present";
      check(!another, "failed for what another one in its place had waited for");
    }
    if (this.#rules.servedByQemu && before === "connected" && phase === "settling" && !asked) {
      check(wish !== "dead", "the QEMU of a dead guest gets no time");
    }
  }

  /** What a dead daemon had achieved stays, as long as it is wanted. */
  #checkRecovery({ phase, observation }: LifecycleState): void {
    const { stage, attachId } = this.journal ?? {};
    const wish = wishOf(observation);
    const same = attachId === observation.attachId;
    if (same && stage === "undoing" && wish !== "gone") {
      check(phase === "undoing", "what had failed is tried again");
    }
    if (same && wish === "unclear") {
      check(phase !== "redoing", "undone although nobody can tell what is wanted");
    }
    if (wish !== "present" && wish !== "idle") return;
    if (attachId !== observation.attachId) return;
    const stays = stage === "connected" || (stage === "adding" && observation.served);
    if (stays) check(phase === "connected", "what was set up before is undone");
    const is = this.journal?.busy === true ? "busy" : "failed";
    if (stage === "failed") check(phase === is, "what had failed is tried again");
  }

  /** What is held of which the machine is to know. */
  #mayHold(): boolean {
    return this.held || this.running !== null;
  }

  #perform(effect: Effect): void {
    // It was done, or not, and the answer is an error.
    const trips = FRAGILE.has(effect.do) && this.#trips();
    if (!trips || effect.do !== "mark") this.#carryOut(effect);
    if (!trips) return;
    this.#feed({ type: "trouble", effect: effect.do, error: this.#cause(`${effect.do} fails`) });
  }

  #carryOut(effect: Effect): void {
    switch (effect.do) {
      case "start-timer":
        if (effect.timer === "wait" && !this.#timers.has("wait")) {
          this.#awaited = { directory: this.directory, marked: false };
        }
        if (effect.timer === "retry") {
          if (this.state.tries === 1) this.pauses.length = 0;
          this.pauses.push(effect.ms);
        }
        this.#timers.add(effect.timer);
        return;
      case "stop-timer":
        this.#timers.delete(effect.timer);
        return;
      case "await-orphans":
        check(this.state.phase === "recovering", "waited for what nobody has left");
        this.#orphansAwaited = true;
        return;
      case "mark":
        // It may fail.
        if (this.directory === null || this.full) return;
        if (this.#nextAttachId !== null && this.state.observation.attachId === this.#nextAttachId) {
          return;
        }
        this.#nextAttachId = `t${++this.#attachIds}`;
        this.seen = { ...this.seen, attachId: this.#nextAttachId };
        return;
      case "record": {
        const { again = false } = effect;
        const known = again ? this.journal?.attachId ?? null : this.#nextAttachId;
        const marked = known !== null && this.state.observation.attachId === known;
        const attachId = marked ? known : `t${++this.#attachIds}`;
        this.#nextAttachId = null;
        if (this.full || this.#trips()) {
          return this.#feed({ type: "record-failed", error: this.#cause("the journal is full") });
        }
        // What was seen to be marked may be gone or another one by now.
        if (!marked && this.directory === null) return this.#feed({ type: "record-missed" });
        check(again || this.journal === null, "a record is written over that of another life");
        this.journal = { stage: "adding", attachId, error: null, busy: false };
        if (!marked) this.seen = { ...this.seen, attachId };
        return this.#feed({ type: "recorded", attachId });
      }
      case "note":
        if (effect.stage === "undoing" || effect.stage === "removing") {
          const done = this.journal?.stage === "failed" || this.journal?.stage === "removed";
          check(!done && !this.#undone, "undone twice");
        }
        this.journal = {
          attachId: this.journal?.attachId ?? null,
          error: effect.error ?? this.journal?.error ?? null,
          stage: effect.stage,
          busy: effect.busy ?? false,
        };
        return;
      case "drop":
        check(this.legacy || !this.#mayHold(), "the record of something held is dropped");
        this.journal = null;
        return;
      case "add":
        check(this.running === null && this.orphan === null, "two calls of one device at once");
        check(!this.held, "added twice without a remove between");
        check(this.journal?.stage === "adding", "acquired before the journal knew");
        this.running = { call: "add", directory: this.directory };
        this.#lost = false;
        this.#undone = false;
        this.held = true;
        this.legacy = false;
        this.succeeded = false;
        this.#aborted = false;
        return;
      case "abort-add":
        // It may just have ended.
        this.#aborted = this.running?.call === "add";
        return;
      case "remove":
        check(this.running === null && this.orphan === null, "two calls of one device at once");
        check(this.journal !== null, "undone without a record of it");
        check(
          ["undoing", "removing"].includes(this.journal.stage),
          "undone without a record that it began",
        );
        check(
          effect.again === true || !this.undoFailed,
          "tried again without ending what still runs",
        );
        this.running = { call: "remove", directory: this.directory };
        this.leaving = false;
        this.#owed = false;
        return;
      case "leave-directory":
        check(!this.#rules.removesWithoutDirectory, "what could go on is stopped");
        this.leaving = this.running?.call === "remove";
        this.#left = this.undoFailed;
        return;
      case "adopt": {
        const attachId = this.journal?.attachId ?? `t${++this.#attachIds}`;
        if (this.journal?.attachId === undefined || this.journal.attachId === null) {
          this.journal = { stage: "connected", attachId, error: null, busy: false };
          this.seen = { ...this.seen, attachId };
        }
        return this.#feed({ type: "adopted", attachId });
      }
      case "cleanse":
        check(this.running === null && this.orphan === null, "cleansed while a call runs");
        if (effect.keep) {
          if (!this.#isOurs()) return;
          this.seen = { ...this.seen, served: false };
        } else this.seen = { ...this.seen, served: false, attachId: null };
        this.change({ report: "none" });
        return;
      case "await-release":
        if (this.state.phase !== "busy") return;
        if (!this.taken) return this.#feed({ type: "released" });
        this.#releaseAwaited = true;
        return;
      case "publish-error":
        check(effect.error !== "", "failed without a reason");
        // What was said first still comes first.
        if (!effect.besides || this.published === null) this.published = effect.error;
        if (effect.another || this.#isOurs()) this.change({ report: "failed" });
        return;
      case "request-close":
        if (!this.#isOurs()) return;
        if (this.directory !== null) this.seen = { ...this.seen, online: false };
        if (this.seen.state !== 6) this.seen = { ...this.seen, state: 5 };
        return;
      case "close-backend":
        if (this.#isOurs()) this.seen = { ...this.seen, state: 6 };
        return;
      case "await-kernel":
        check(!this.#kernelAwaited, "the kernel is awaited twice");
        this.#kernelAwaited = true;
        return;
      case "delete":
        return this.#delete(effect.another ?? false);
      case "report":
        this.reports.push(effect.text);
        // Of what is given up it is told once more why.
        if (effect.level === "info" || effect.text.startsWith("given up")) return;
        for (const [cause, { came, told }] of this.#failures) {
          if (effect.text.includes(cause)) this.#failures.set(cause, { came, told: told + 1 });
        }
        return;
      case "signal-closing":
        if (this.#isOurs()) this.seen = { ...this.seen, state: 5 };
        return;
      case "forget":
        if (this.legacy) {
          this.forgotten = true;
          this.#undone = false;
          return;
        }
        check(!this.#mayHold() && this.orphan === null, "forgotten while something is held");
        check(this.journal === null, "forgotten with a record left");
        this.forgotten = this.state.phase === "absent";
        // The next lane knows nothing of this one.
        this.#undone = false;
        return;
    }
  }

  /** The actions change no other directory than the one they are meant for. */
  #isOurs(): boolean {
    const attachId = this.journal?.attachId ?? null;
    return this.directory !== null && (attachId === null || attachId === this.seen.attachId);
  }

  /** As `deleteDirectory` does: not when it is wanted again, or another one. */
  #delete(another: boolean): void {
    const { directory, seen } = this;
    if (directory !== null) {
      const attachId = another ? null : this.journal?.attachId ?? null;
      if (attachId !== null && seen.attachId !== attachId) {
        return this.#feed({ type: "delete-refused", error: "another one" });
      }
      if (seen.online === true && seen.frontendPresent) {
        return this.#feed({ type: "delete-refused", error: "wanted again" });
      }
      const goesOn = this.#rules.removesWithoutDirectory || this.leaving ||
        seen.attachId !== this.journal?.attachId;
      const waits = this.undoFailed && (goesOn || this.#left) && this.running === null;
      const early = goesOn && this.running?.call === "remove" || this.#owed || waits;
      check(
        early || this.legacy || !this.#mayHold(),
        "the directory is deleted before all is undone",
      );
    }
    if (this.refusals > 0) {
      this.refusals--;
      return this.#feed({ type: "delete-failed", error: "the store refuses;" });
    }
    this.directory = null;
    this.#feed({ type: "deleted" });
  }

  /**
   * Lets everybody do what is due until nothing more happens; returns whether that came to be.
   * @param limit whether scripts that hang come to the end of their time
   */
  settle(limit = true): boolean {
    let before = "";
    for (let round = 0; round < 100; round++) {
      while (this.perform());
      this.finishOrphan(true);
      this.finish(true, limit);
      this.releaseKernel();
      while (this.perform());
      this.look();
      while (this.perform());
      const now = JSON.stringify([this.state, this.seen, this.journal, this.held]);
      // Time passes when nothing else is left to happen.
      if (now === before && !this.expire(0)) return this.running === null;
      before = now;
    }
    return false;
  }

  /** Changes the directory's nodes, if there is one. */
  change(nodes: Partial<Observation>): void {
    if (this.directory !== null) this.seen = { ...this.seen, ...nodes };
  }

  /** A kernel moves a device on only while it is online, or to its end. */
  setState(state: number): void {
    this.change({ state: state as XenbusState });
  }
}
