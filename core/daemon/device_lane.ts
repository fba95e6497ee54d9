/** Carries out what the lifecycle machine decides, for one device: its lane. */
import type { Cancel, Clock } from "../../platform/types.ts";
import { resumed, transition } from "../lifecycle/machine.ts";
import {
  type Effect,
  INITIAL,
  type LifecycleEvent,
  type LifecycleRules,
  type LifecycleState,
  type Phase,
  type Stage,
  type TimerName,
} from "../lifecycle/state.ts";
import type { Observation } from "../lifecycle/observation.ts";
import { LOOKED_AT_FIRST, RESTING } from "../lifecycle/table.ts";
import { FailedBefore, type LaneActions, Refused } from "./lane_actions.ts";

/** The operations of one device, one after the other. */
export class Lane {
  readonly #actions: LaneActions;
  readonly #rules: LifecycleRules;
  readonly #clock: Clock;
  readonly #onForgotten: () => void;
  readonly #timers = new Map<TimerName, Cancel>();
  /** Timers that are over, which the next look is to tell. */
  readonly #over = new Set<TimerName>();
  #state: LifecycleState = INITIAL;
  /** When its phase began, as the clock says. */
  #since: number;
  /** Effects are carried out in order: each waits for the one before. */
  #chain: Promise<void> = Promise.resolve();
  /** Effects queued and not done: what was read before they are done may be out of date. */
  #unfinished = 0;
  /** Effects ever queued, and phases ever entered. */
  #effects = 0;
  #moves = 0;
  #dirty = false;
  #looking = false;
  #checking = false;
  /** The check that runs may have begun too early. */
  #checkAgain = false;
  #abort: AbortController | null = null;
  #running: Promise<void> | null = null;
  /** Ends the waiting for a release. */
  #release: AbortController | null = null;
  /** If the try that is under way fails, it is given up. */
  #givenUp = false;
  /** Nothing new is looked at. */
  #stopping = false;
  #onRest: (() => void) | null = null;
  /** Nothing is done any more. */
  #stopped = false;
  /** Nothing was left of the device when last it was looked at. */
  #forgettable = false;

  /** @param onForgotten called when nothing is left of the device and the lane can go */
  constructor(
    actions: LaneActions,
    rules: LifecycleRules,
    clock: Clock,
    onForgotten: () => void,
  ) {
    this.#actions = actions;
    this.#rules = rules;
    this.#clock = clock;
    this.#since = clock.now();
    this.#onForgotten = onForgotten;
  }

  /** Takes up a device that the journal knows. To be called before anything else. */
  resume(
    record: { stage: Stage; attachId: string | null; error: string | null; busy: boolean },
  ): void {
    const { state, effects } = resumed(record, this.#rules);
    this.#state = state;
    for (const effect of effects) this.#enqueue(effect);
  }

  /** What is known of the device. */
  get state(): LifecycleState {
    return this.#state;
  }

  /** How long it has been in its phase, in ms. */
  get phaseMs(): number {
    return this.#clock.now() - this.#since;
  }

  /** Whether a plugin's add or remove runs. */
  get busy(): boolean {
    return this.#running !== null;
  }

  /** Something about the device may have changed: look again, once, however often this is called. */
  touch(): void {
    this.#dirty = true;
    if (this.#looking || this.#stopping) return;
    this.#looking = true;
    this.#look();
  }

  /**
   * Has a device that is set up checked, unless it is being checked; also one that its QEMU is to
   * close, since there may be none.
   */
  async check(): Promise<void> {
    const { phase } = this.#state;
    const due = phase === "connected" || phase === "closing" && this.#rules.servedByQemu;
    if (this.#checking || this.#stopping || !due) return;
    this.#checking = true;
    this.#checkAgain = false;
    try {
      const { broken, undone, refused } = await this.#actions.check();
      if (refused !== undefined) {
        this.#happened({ type: "evicted", error: refused });
      } else if (undone !== undefined) this.#dispatch({ type: "undone", error: undone });
      else if (broken !== undefined) {
        this.#dispatch({ type: "broken", error: broken });
        // What is to be done about it depends on what it is closed for.
        if (this.#state.phase === "closing") this.touch();
      } else if (this.#state.error !== null) this.#dispatch({ type: "healed" });
    } catch (error) {
      this.#actions.report("warning", `it cannot be checked: ${message(error)}`);
    } finally {
      this.#checking = false;
    }
    if (this.#checkAgain) await this.check();
  }

  /** Closes the device, as a toolstack would have it. */
  close(): void {
    this.#happened({ type: "close" });
  }

  /** Something has happened by which an undoing that had failed may succeed now. */
  help(): void {
    if (this.#state.paused) this.#happened({ type: "helped" });
  }

  /**
   * Tries again at once what is to be tried again some time.
   * @returns whether there is such a thing
   */
  retry(): boolean {
    const { paused, phase } = this.#state;
    if (paused) this.#happened({ type: "helped" });
    else if (phase === "busy") this.#happened({ type: "released" });
    else if (phase === "undeletable") this.touch();
    else return false;
    return true;
  }

  /**
   * Tries nothing more about what cannot be undone: what is left stays.
   * @returns why it could not be undone; null when it is not stuck, and nothing was done
   */
  giveUp(): string | null {
    const { stuck, paused } = this.#state;
    if (stuck === null) return null;
    // A try that is under way may yet succeed.
    if (paused) this.#happened({ type: "given-up" });
    else this.#givenUp = true;
    return stuck;
  }

  /**
   * Looks at nothing new, and resolves when what is under way has come to rest. What is not done
   * after `graceMs` milliseconds is told to stop and left as the journal has it. The device stays
   * as it is.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopping = true;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const cancel = this.#clock.after(graceMs, resolve);
    await Promise.race([late, this.#rest()]);
    cancel();
    this.#stopped = true;
    for (const cancelTimer of this.#timers.values()) cancelTimer();
    this.#timers.clear();
    this.#release?.abort(new Error("stopping"));
    this.#abort?.abort(new Error("stopping"));
    await this.#running;
  }

  /** Resolves when the phase is one in which only the store or the guest is waited for. */
  #rest(): Promise<void> {
    if (this.#atRest()) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#onRest = resolve;
    return promise;
  }

  #atRest(): boolean {
    const { phase, paused } = this.#state;
    return (paused || RESTING.has(phase)) && this.#unfinished === 0 && this.#running === null;
  }

  /** Never rejects. Its end and the last look at `#dirty` are one step: no touch gets lost. */
  async #look(): Promise<void> {
    while (this.#dirty && !this.#stopping) {
      await this.#chain;
      this.#dirty = false;
      const over = [...this.#over];
      const [effects, moves] = [this.#effects, this.#moves];
      let observation: Observation;
      try {
        observation = await this.#actions.observe();
      } catch (error) {
        this.#actions.report("warning", `its nodes cannot be read: ${message(error)}`);
        continue;
      }
      // What was decided, done or came to an end meanwhile is not in it yet: look once more when that is
      // done.
      if (this.#unfinished > 0 || this.#effects !== effects || this.#moves !== moves) {
        this.#dirty = true;
        continue;
      }
      const before = this.#state.phase;
      this.#dispatch({ type: "seen", observation });
      for (const timer of over) {
        const isDue = this.#over.delete(timer) && this.#state.phase === before;
        if (isDue) this.#dispatch({ type: `${timer}-expired` });
      }
      // What was just seen may already be what is now waited for; and of a life that has ended with
      // a directory left, nobody else will tell.
      const { phase } = this.#state;
      // A recording that follows is decided by what was seen, and waits for nothing in the store.
      if (phase === before || phase === "recording") continue;
      if (phase !== "absent" || observation.present) this.#dirty = true;
    }
    this.#looking = false;
    if (this.#forgettable) this.#forget();
  }

  /**
   * Takes what has happened beside the looks, and looks again: the store may have changed in a way
   * that matters only now.
   */
  #happened(event: LifecycleEvent): void {
    this.#dispatch(event);
    this.touch();
  }

  #dispatch(event: LifecycleEvent): void {
    if (this.#stopped) return this.#leave(event);
    const { state, effects } = transition(this.#state, event, this.#rules);
    if (state.phase !== "absent") this.#forgettable = false;
    const before = this.#state.phase;
    if (state.phase !== before) {
      this.#moves++;
      this.#since = this.#clock.now();
      this.#actions.report("debug", `${event.type}: ${before} → ${state.phase}`);
    }
    this.#state = state;
    if (before === "busy" && state.phase !== before) this.#release?.abort(new Error("over"));
    for (const effect of effects) {
      // Its end has no meaning any more from now on, not from when that is carried out.
      if (effect.do === "stop-timer") this.#over.delete(effect.timer);
      this.#enqueue(effect);
    }
    if (before !== state.phase) this.#tellOfChange(before, state);
    if (before !== state.phase && state.phase === "closing") this.#checkSoon();
  }

  /** What fails when all has been stopped is in the journal, for the next daemon to undo. */
  #leave(event: LifecycleEvent): void {
    if (!("error" in event) || event.type === "delete-refused") return;
    this.#actions.report("warning", `${event.type}, and left for the next daemon: ${event.error}`);
  }

  /** Whoever wants to know must not keep the device from going on. */
  #tellOfChange(before: Phase, state: LifecycleState): void {
    try {
      this.#actions.changed?.(before, state);
    } catch (error) {
      this.#actions.report("warning", `its change cannot be told: ${message(error)}`);
    }
  }

  /** When what is under way is done. */
  #checkSoon(): void {
    if (!this.#rules.servedByQemu) return;
    this.#checkAgain = true;
    this.#chain.then(() => this.check());
  }

  #enqueue(effect: Effect): void {
    this.#unfinished++;
    this.#effects++;
    this.#chain = this.#chain.then(async () => {
      try {
        await this.#perform(effect);
      } catch (error) {
        this.#dispatch({ type: "trouble", effect: effect.do, error: message(error) });
      } finally {
        this.#unfinished--;
        if (this.#atRest()) this.#onRest?.();
      }
    });
  }

  async #perform(effect: Effect): Promise<void> {
    const actions = this.#actions;
    switch (effect.do) {
      case "start-timer":
        if (!this.#timers.has(effect.timer) && !this.#stopped) this.#startTimer(effect);
        return;
      case "stop-timer":
        this.#timers.get(effect.timer)?.();
        this.#timers.delete(effect.timer);
        return;
      case "add":
        return this.#run((signal) => actions.add(signal), "add-done", addFailure);
      case "remove":
        return this.#run(
          (signal) => actions.remove(signal, effect.again ?? false),
          "remove-done",
          removeFailure,
        );
      case "await-orphans":
        this.#answer(
          actions.awaitOrphans(effect.ms),
          { type: "orphans-gone" },
          (error) => ({ type: "orphans-left", error }),
        );
        return;
      case "mark":
        return await actions.mark();
      case "record":
        return await this.#record(effect.again ?? false);
      case "note":
        return await actions.note(effect.stage, effect.error, effect.busy ?? false);
      case "drop":
        return await actions.drop();
      case "adopt":
        return await this.#adopt();
      case "cleanse":
        return await actions.cleanse(effect.keep ?? false);
      case "signal-closing":
        return await actions.signalClosing();
      case "request-close":
        return await actions.requestClose();
      case "abort-add":
        this.#abort?.abort(new Error(NO_LONGER_WANTED));
        return;
      case "leave-directory":
        try {
          await actions.keepNodes();
        } finally {
          this.#abort?.abort(new Error("the directory is deleted, and undoing goes on without it"));
        }
        return;
      case "publish-error":
        return await actions.publishError(effect.error, effect);
      case "close-backend":
        return await actions.closeBackend();
      case "await-release":
        return this.#awaitRelease();
      case "await-kernel":
        this.#answer(
          actions.awaitKernel(effect.ms),
          { type: "kernel-released" },
          (error) => ({ type: "kernel-kept", error }),
        );
        return;
      case "delete":
        return await this.#delete(effect.another ?? false);
      case "report":
        return actions.report(effect.level, effect.text, effect.milestone);
      case "forget":
        return this.#forget();
    }
  }

  /** Waits beside the chain; an event comes in any case. */
  #answer(
    work: Promise<void>,
    done: LifecycleEvent,
    failed: (error: string) => LifecycleEvent,
  ): void {
    work.then(() => done, (error) => failed(message(error))).then((event) => this.#ended(event));
  }

  #awaitRelease(): void {
    if (this.#state.phase !== "busy") return;
    const abort = new AbortController();
    this.#release = abort;
    this.#actions.awaitRelease(abort.signal).then(
      (): LifecycleEvent => ({ type: "released" }),
      (error): LifecycleEvent => ({
        type: "trouble",
        effect: "await-release",
        error: message(error),
      }),
    ).then((event) => {
      if (!abort.signal.aborted) this.#happened(event);
    });
  }

  async #record(again: boolean): Promise<void> {
    let event: LifecycleEvent;
    try {
      const attachId = await this.#actions.record(again);
      event = attachId === null ? { type: "record-missed" } : { type: "recorded", attachId };
    } catch (error) {
      event = { type: "record-failed", error: message(error) };
    }
    this.#dispatch(event);
    // What is being added was ready when last seen: of any change since then the store tells. And what
    // cannot be recorded is not tried again at once, without end.
    if (this.#state.phase !== "adding" && event.type !== "record-failed") this.touch();
  }

  async #adopt(): Promise<void> {
    let attachId: string | null = null;
    try {
      attachId = await this.#actions.adopt(new AbortController().signal);
    } finally {
      this.#dispatch({ type: "adopted", attachId });
    }
  }

  /** Starts a plugin's work, which goes on while the lane looks and decides. */
  #run(
    work: (signal: AbortSignal) => Promise<void>,
    done: "add-done" | "remove-done",
    failure: (error: unknown, signal: AbortSignal) => LifecycleEvent,
  ): void {
    const abort = new AbortController();
    this.#abort = abort;
    this.#running = work(abort.signal).then(
      (): LifecycleEvent => ({ type: done }),
      (error): LifecycleEvent => failure(error, abort.signal),
    ).then((event) => {
      this.#running = null;
      this.#abort = null;
      this.#ended(event);
      if (this.#atRest()) this.#onRest?.();
    });
  }

  /** Takes how a try has ended, which a person may have given up meanwhile. */
  #ended(event: LifecycleEvent): void {
    this.#happened(event);
    if (this.#givenUp && this.#state.paused) this.#happened({ type: "given-up" });
    if (this.#state.stuck === null) this.#givenUp = false;
  }

  #startTimer(effect: { timer: TimerName; ms: number }): void {
    const cancel = this.#clock.after(effect.ms, () => {
      this.#timers.delete(effect.timer);
      if (!LOOKED_AT_FIRST.has(effect.timer)) {
        return this.#happened({ type: `${effect.timer}-expired` });
      }
      this.#over.add(effect.timer);
      this.touch();
    });
    this.#timers.set(effect.timer, cancel);
  }

  async #delete(another: boolean): Promise<void> {
    let event: LifecycleEvent;
    try {
      const refusal = await this.#actions.deleteDirectory(another);
      event = refusal === null ? { type: "deleted" } : { type: "delete-refused", error: refusal };
      // Wanted again, or another one: a new life begins with the next look.
      if (refusal !== null) this.touch();
    } catch (error) {
      event = { type: "delete-failed", error: message(error) };
    }
    this.#dispatch(event);
  }

  /**
   * The end of this lane: whoever comes next gets a new one. Not while it looks, though: what it is
   * looking at may be the next device already, of which nobody else has been told.
   */
  #forget(): void {
    this.#forgettable = true;
    if (this.#looking || this.#state.phase !== "absent" || this.#stopped) return;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    this.#stopped = true;
    this.#onForgotten();
  }
}

/** Why an add is told to stop. */
const NO_LONGER_WANTED = "the device is no longer wanted";

function addFailure(error: unknown, { aborted, reason }: AbortSignal): LifecycleEvent {
  const text = message(error);
  if (!aborted && error instanceof Refused) return { type: "add-busy", error: text };
  if (!aborted || error instanceof FailedBefore) return { type: "add-failed", error: text };
  return text.includes(message(reason))
    ? { type: "add-stopped", how: text }
    : { type: "add-failed", error: text, late: true };
}

/** Whatever it was: what was stopped is done again, and that tells. */
function removeFailure(error: unknown, { aborted }: AbortSignal): LifecycleEvent {
  return aborted ? { type: "remove-stopped" } : { type: "remove-failed", error: message(error) };
}

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
