/** Carries out what the driver domain's machine decides, for one request. */
import type { DeviceId } from "../../xen/device_id.ts";
import type { Log } from "../../log/log.ts";
import {
  type DriverEvent,
  type DriverPhase,
  type DriverStep,
  driverTransition,
} from "../protocol/driver_machine.ts";
import type { RequestId } from "../protocol/paths.ts";
import type { Serving } from "../protocol/serve.ts";
import type { Cancel, Clock } from "../../../platform/types.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { type DeviceKnowledge, type DriverLook, lookAsDriver } from "./look.ts";
import { performStoreStep } from "./steps.ts";

/** What a request's lane does in the world. */
export interface RequestActions extends DeviceKnowledge {
  readonly store: StoreClient;
  readonly clock: Clock;
  /** What is to serve a request. @throws Error with one line when it cannot be served */
  serve(id: RequestId, nodes: Readonly<Record<string, string>>): Promise<Serving>;
  prepare(serving: Serving, log: Log, signal: AbortSignal): Promise<void>;
  unprepare(device: DeviceId, log: Log, signal: AbortSignal): Promise<void>;
  /** Why the setup of a device failed; undefined if that is not known. */
  errorOf(device: DeviceId): string | undefined;
}

/** When a request is looked at again that nothing will tell of, and after a failure, in ms. */
const AGAIN_MS = 250;
const RETRY_MS = 1_000;

/** One request, from its first look until nothing is left of it. */
export class RequestLane {
  readonly #id: RequestId;
  readonly #actions: RequestActions;
  readonly #log: Log;
  readonly #onForgotten: () => void;
  #phase: DriverPhase = "unknown";
  #look: DriverLook | null = null;
  #serving: Serving | null = null;
  #error = "";
  /** Events of things that took long, in the order in which they came. */
  readonly #events: DriverEvent[] = [];
  #due = false;
  #isWorking = false;
  #working: Promise<void> = Promise.resolve();
  #operation: { abort: AbortController; ended: Promise<void> } | null = null;
  #cancelAgain: Cancel | null = null;
  #stopped = false;

  constructor(id: RequestId, actions: RequestActions, log: Log, onForgotten: () => void) {
    this.#id = id;
    this.#actions = actions;
    this.#log = log;
    this.#onForgotten = onForgotten;
  }

  get phase(): DriverPhase {
    return this.#phase;
  }

  /** Something may have changed. */
  touch(): void {
    this.#due = true;
    if (this.#isWorking || this.#stopped) return;
    this.#isWorking = true;
    this.#working = this.#work();
  }

  /** Does nothing more; what runs is ended, for the next daemon to undo or take over. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelAgain?.();
    this.#operation?.abort.abort(new Error("stopping"));
    await this.#operation?.ended;
    await this.#working;
  }

  /** Never rejects. Its end and the last look at `#due` are one step: no touch gets lost. */
  async #work(): Promise<void> {
    while ((this.#due || this.#events.length > 0) && !this.#stopped) {
      try {
        const event = this.#events.shift();
        if (event !== undefined) {
          await this.#take(event);
          this.#due = true;
          continue;
        }
        this.#due = false;
        await this.#see();
      } catch (error) {
        if (this.#stopped) break;
        this.#log.warning(`the request: ${(error as Error).message}`);
        // Whatever was half done, the store tells.
        if (this.#operation === null) this.#phase = "unknown";
        this.#again(RETRY_MS);
      }
    }
    this.#isWorking = false;
  }

  async #see(): Promise<void> {
    const look = await this.#actions.store.transaction((t) =>
      lookAsDriver(t, this.#id, this.#actions)
    );
    this.#look = look;
    const { state, device, claimed } = look.seen;
    if (this.#phase === "unknown" && state === null && !claimed) {
      // Whoever is touched goes on: there must not be two lanes for one request.
      if (!this.#due) this.#onForgotten();
      return;
    }
    if (this.#phase === "unknown" && state === "new" && !claimed) {
      if (device !== "none") this.#again(AGAIN_MS);
      await this.#judge(look);
    }
    const before = this.#phase;
    const acted = await this.#take("seen");
    if (acted || this.#phase !== before) this.#due = true;
  }

  /** Whether a request can be served, and by what. */
  async #judge(look: DriverLook): Promise<void> {
    this.#serving = null;
    try {
      this.#serving = await this.#actions.serve(this.#id, look.nodes ?? {});
    } catch (error) {
      this.#error = (error as Error).message;
      this.#look = { ...look, seen: { ...look.seen, faulty: true } };
    }
  }

  /** @returns whether there was anything to do */
  async #take(event: DriverEvent): Promise<boolean> {
    const look = this.#look;
    if (look === null) return false;
    const { phase, steps } = driverTransition(this.#phase, event, look.seen);
    if (phase !== this.#phase) this.#log.debug(`request: ${event}: ${this.#phase} → ${phase}`);
    this.#phase = phase;
    for (const step of steps) {
      if (await this.#perform(step, look)) continue;
      await this.#take("missed");
      return true;
    }
    // Told once more, it changes nothing: no reason to look at once.
    return steps.length > 0 && !(event === "seen" && steps.includes("close-by-force"));
  }

  async #perform(step: DriverStep, look: DriverLook): Promise<boolean> {
    switch (step) {
      case "prepare":
        await this.#startPrepare();
        return true;
      case "abort-prepare":
        this.#operation?.abort.abort(new Error("the request was withdrawn"));
        return true;
      case "unprepare":
        this.#startUnprepare(look);
        return true;
      case "reserve":
        try {
          return await this.#store(step, look);
        } catch (error) {
          this.#error = (error as Error).message;
          this.#events.push("failed");
          return true;
        }
      case "report-error": {
        const failed = look.device === null ? undefined : this.#actions.errorOf(look.device);
        this.#error = failed ?? (this.#error || "its setup failed");
        return await this.#store(step, look);
      }
      default:
        return await this.#store(step, look);
    }
  }

  async #store(step: Parameters<typeof performStoreStep>[0], look: DriverLook): Promise<boolean> {
    const done = await performStoreStep(step, {
      store: this.#actions.store,
      id: this.#id,
      look,
      serving: this.#serving,
      error: this.#error,
    });
    if (step === "refuse" || step === "report-error") this.#log.error(`request: ${this.#error}`);
    return done;
  }

  /** With the claim that was just made, if it was. */
  async #lookAgain(): Promise<DriverLook> {
    return this.#look = await this.#actions.store.transaction((t) =>
      lookAsDriver(t, this.#id, this.#actions)
    );
  }

  /** Its end is an event. */
  async #startPrepare(): Promise<void> {
    const { nodes, claim } = await this.#lookAgain();
    this.#operate(
      async (signal) => {
        const serving = this.#serving ??= await this.#actions.serve(this.#id, nodes ?? {});
        if (claim !== null && serving.id.kind !== claim.kind) {
          throw new Error(`a ${claim.kind} was to serve it, and now a ${serving.id.kind} would`);
        }
        await this.#actions.prepare(serving, this.#log, signal);
      },
      "prepare-done",
      (error) => {
        this.#error = error.message;
        return "prepare-failed";
      },
    );
  }

  #startUnprepare({ device }: DriverLook): void {
    const id = device ?? this.#serving?.id;
    this.#operate(
      async (signal) => {
        if (id !== undefined) await this.#actions.unprepare(id, this.#log, signal);
      },
      "unprepared",
      (error) => {
        this.#log.warning(`undoing what was prepared failed: ${error.message}`);
        return "unprepared";
      },
    );
  }

  #operate(
    work: (signal: AbortSignal) => Promise<void>,
    done: DriverEvent,
    failed: (error: Error) => DriverEvent,
  ): void {
    const abort = new AbortController();
    const before = this.#operation?.ended ?? Promise.resolve();
    const ended = before.then(() => work(abort.signal)).then(() => done, failed).then((event) => {
      if (this.#operation?.abort === abort) this.#operation = null;
      if (this.#stopped) return;
      this.#events.push(event);
      this.touch();
    });
    this.#operation = { abort, ended };
  }

  #again(ms: number): void {
    this.#cancelAgain?.();
    this.#cancelAgain = this.#actions.clock.after(ms, () => this.touch());
  }
}
