/** Carries out what the lifecycle machine decides, for one device: its lane. */
import type { Cancel, Clock } from "../platform/types.ts";
import {
  type Effect,
  INITIAL,
  type LifecycleEvent,
  type LifecycleRules,
  type LifecycleState,
  type TimerName,
  transition,
} from "./machine.ts";
import type { Observation } from "./observation.ts";

/** What a lane can do in the world. Every function may throw; the lane copes. */
export interface LaneActions {
  /** Reads the device's nodes. */
  observe(): Promise<Observation>;
  /** Sets the device up. Rejecting means that it failed; the message is for the toolstack. */
  add(signal: AbortSignal): Promise<void>;
  /** Undoes what `add` did, also when it failed half way. Must not assume anything to be there. */
  remove(signal: AbortSignal): Promise<void>;
  /** Learns what `remove` will need, of a device set up under an earlier daemon. */
  adopt(signal: AbortSignal): Promise<void>;
  publishError(error: string): Promise<void>;
  closeBackend(): Promise<void>;
  /** Resolves when the kernel has unregistered the device, or after `ms` milliseconds. */
  awaitKernel(ms: number): Promise<void>;
  /** Deletes the backend directory unless it is wanted again; returns why not, or null. */
  deleteDirectory(): Promise<string | null>;
  report(level: "debug" | "info" | "warning" | "error", text: string): void;
}

/** The operations of one device, one after the other. */
export class Lane {
  readonly #actions: LaneActions;
  readonly #rules: LifecycleRules;
  readonly #clock: Clock;
  readonly #onForgotten: () => void;
  readonly #timers = new Map<TimerName, Cancel>();
  #state: LifecycleState = INITIAL;
  /** Effects are carried out in order: each waits for the one before. */
  #chain: Promise<void> = Promise.resolve();
  /** Effects queued and not done: what was read before they are done may be out of date. */
  #unfinished = 0;
  #dirty = false;
  #looking = false;
  #abort: AbortController | null = null;
  #running: Promise<void> | null = null;
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
    this.#onForgotten = onForgotten;
  }

  /** What is known of the device. */
  get state(): LifecycleState {
    return this.#state;
  }

  /** Whether a plugin's add or remove runs. */
  get busy(): boolean {
    return this.#running !== null;
  }

  /** Something about the device may have changed: look again, once, however often this is called. */
  touch(): void {
    this.#dirty = true;
    if (this.#looking || this.#stopped) return;
    this.#looking = true;
    this.#look();
  }

  /**
   * Starts nothing new, and resolves when what runs has ended; it is told to stop after `graceMs`
   * milliseconds. The device stays as it is.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    for (const cancel of this.#timers.values()) cancel();
    this.#timers.clear();
    if (this.#running === null) return;
    const cancel = this.#clock.after(graceMs, () => this.#abort?.abort(new Error("stopping")));
    await this.#running;
    cancel();
    await this.#chain;
  }

  /** Never rejects. Its end and the last look at `#dirty` are one step: no touch gets lost. */
  async #look(): Promise<void> {
    while (this.#dirty && !this.#stopped) {
      this.#dirty = false;
      await this.#chain;
      let observation: Observation;
      try {
        observation = await this.#actions.observe();
      } catch (error) {
        this.#actions.report("warning", `its nodes cannot be read: ${message(error)}`);
        continue;
      }
      // What was decided meanwhile is not in it yet: look once more when that is done.
      if (this.#unfinished > 0) {
        this.#dirty = true;
        continue;
      }
      const before = this.#state.phase;
      this.#dispatch({ type: "seen", observation });
      // What was just seen may already be what is now waited for.
      if (this.#state.phase === "waiting" && before !== "waiting") this.#dirty = true;
    }
    this.#looking = false;
    if (this.#forgettable) this.#forget();
  }

  #dispatch(event: LifecycleEvent): void {
    if (this.#stopped) return;
    const { state, effects } = transition(this.#state, event, this.#rules);
    if (state.phase !== "absent") this.#forgettable = false;
    if (state.phase !== this.#state.phase) {
      this.#actions.report("debug", `${event.type}: ${this.#state.phase} → ${state.phase}`);
    }
    this.#state = state;
    for (const effect of effects) this.#enqueue(effect);
  }

  #enqueue(effect: Effect): void {
    this.#unfinished++;
    this.#chain = this.#chain.then(async () => {
      try {
        await this.#perform(effect);
      } catch (error) {
        this.#actions.report("warning", `${effect.do}: ${message(error)}`);
      } finally {
        this.#unfinished--;
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
        return this.#run((signal) => actions.add(signal), "add-done", "add-failed");
      case "remove":
        return this.#run((signal) => actions.remove(signal), "remove-done", "remove-failed");
      case "adopt":
        return await actions.adopt(new AbortController().signal);
      case "abort-add":
        this.#abort?.abort(new Error("the device is no longer wanted"));
        return;
      case "publish-error":
        return await actions.publishError(effect.error);
      case "close-backend":
        return await actions.closeBackend();
      case "await-kernel":
        actions.awaitKernel(effect.ms).catch(() => {}).then(() =>
          this.#dispatch({ type: "kernel-released" })
        );
        return;
      case "delete":
        return await this.#delete();
      case "report":
        return actions.report(effect.level, effect.text);
      case "forget":
        return this.#forget();
    }
  }

  /** Starts a plugin's work, which goes on while the lane looks and decides. */
  #run(
    work: (signal: AbortSignal) => Promise<void>,
    done: "add-done" | "remove-done",
    failed: "add-failed" | "remove-failed",
  ): void {
    const abort = new AbortController();
    this.#abort = abort;
    this.#running = work(abort.signal).then(
      (): LifecycleEvent => ({ type: done }),
      (error): LifecycleEvent => ({ type: failed, error: message(error) }),
    ).then((event) => {
      this.#running = null;
      this.#abort = null;
      this.#dispatch(event);
      // The store may have changed in a way that mattered only now.
      this.touch();
    });
  }

  #startTimer(effect: { timer: TimerName; ms: number }): void {
    const cancel = this.#clock.after(effect.ms, () => {
      this.#timers.delete(effect.timer);
      this.#dispatch({ type: `${effect.timer}-expired` });
      this.touch();
    });
    this.#timers.set(effect.timer, cancel);
  }

  async #delete(): Promise<void> {
    let refusal: string | null;
    try {
      refusal = await this.#actions.deleteDirectory();
      // Wanted again: a new life begins with the next look.
      if (refusal !== null) this.touch();
    } catch (error) {
      refusal = message(error);
    }
    this.#dispatch(
      refusal === null ? { type: "deleted" } : { type: "delete-refused", error: refusal },
    );
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

function message(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
