/** What the lane of a device asks of whoever acts for it. */
import type { LifecycleState, Milestone, Phase, Stage } from "../lifecycle/state.ts";
import type { Observation } from "../lifecycle/observation.ts";

/** What a lane can do in the world. Every function may throw; the lane copes. */
export interface LaneActions {
  /** Reads the device's nodes. */
  observe(): Promise<Observation>;
  /** Gives the directory the id of the attach that is to come, as far as there is one. */
  mark(): Promise<void>;
  /**
   * Writes the journal's record of an attach that begins, and the attach id into the directory unless
   * the last look found it there. When it rejects, nothing must have been acquired.
   * @returns the attach id, or null when there is no directory
   * @param again for the directory that has its attach id already
   */
  record(again: boolean): Promise<string | null>;
  /** Brings the journal's record up to date. @param busy it waits for what it was refused for */
  note(stage: Stage, error: string | undefined, busy: boolean): Promise<void>;
  /** Removes the journal's record. */
  drop(): Promise<void>;
  /** Resolves when no process of an earlier daemon's operation runs; ends them after `ms`. */
  awaitOrphans(ms: number): Promise<void>;
  /**
   * Sets the device up. Rejecting means that it failed, with the message for the toolstack, or that it
   * was stopped, if the message has that of the signal's reason in it.
   * @throws FailedBefore when it was stopped and is known to have failed before that
   * @throws Refused when what it needs is in use
   */
  add(signal: AbortSignal): Promise<void>;
  /**
   * Undoes what `add` did, also when it failed half way. Must not assume anything to be there.
   * @param again it has failed before: what still runs of that is ended first
   */
  remove(signal: AbortSignal, again?: boolean): Promise<void>;
  /**
   * Learns what `remove` will need, of a device set up under an earlier daemon, and gives it an attach
   * id if it has none; returns that, or null when that could not be done.
   */
  adopt(signal: AbortSignal): Promise<string | null>;
  /** Resolves when what the last `add` was refused for may be free. @throws the signal's reason */
  awaitRelease(signal: AbortSignal): Promise<void>;
  /** Removes from the directory what an undone add has left there; the attach id unless it is kept. */
  cleanse(keepAttachId: boolean): Promise<void>;
  /**
   * Why a device that is set up can no longer work, or why it has to be set up anew; neither when
   * all is well.
   */
  check(): Promise<
    { readonly broken?: string; readonly undone?: string; readonly refused?: string }
  >;
  /** Lets guest and toolstack see that. */
  signalClosing(): Promise<void>;
  /** Asks for removal as a toolstack does. */
  requestClose(): Promise<void>;
  /** Lets guest and toolstack see why something failed. */
  publishError(error: string, how?: ErrorPublication): Promise<void>;
  closeBackend(): Promise<void>;
  /**
   * Resolves when the kernel has unregistered the device.
   * @throws Error when it has not after `ms` milliseconds, or when nobody can tell
   */
  awaitKernel(ms: number): Promise<void>;
  /**
   * Deletes the backend directory unless it is wanted again; returns why not, or null.
   * @param another also if it is not the one that was set up
   */
  deleteDirectory(another: boolean): Promise<string | null>;
  /** Keeps the device's nodes, for a `remove` that has to do without its directory. */
  keepNodes(): Promise<void>;
  /** @param milestone what has been reached by what is reported */
  report(
    level: "debug" | "info" | "warning" | "error",
    text: string,
    milestone?: Milestone,
  ): void;
  /** Told after each change of phase. */
  changed?(before: Phase, state: LifecycleState): void;
}

/** How an error is published. */
export interface ErrorPublication {
  /** As a refusal, since something is in use. */
  readonly busy?: boolean;
  /** What is said already stays, and this follows. */
  readonly besides?: boolean;
  /** Also in a directory that is not the one that was set up. */
  readonly another?: boolean;
}

/** An add that was stopped, and had failed by itself before. */
export class FailedBefore extends Error {
  override name = "FailedBefore";
}

/** An add that was refused since something is in use. */
export class Refused extends Error {
  override name = "Refused";
}
