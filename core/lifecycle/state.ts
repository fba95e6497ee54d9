/** The words of a device's life: where it is, what happens to it, and what follows. Only types. */
import type { LifecycleTimes } from "../xen/times.ts";
import { ABSENT, type Observation } from "./observation.ts";

/** Where a device is in its life. */
export type Phase =
  /** Nothing is known of it, nothing is held for it. */
  | "absent"
  /** Known from the journal; processes that an earlier daemon started for it may still run. */
  | "recovering"
  /** Those processes have ended; what the store says now decides. */
  | "recovered"
  /** Waiting for the kernel backend to reach InitWait. */
  | "waiting"
  /** The journal is being told, and the directory given its attach id, before anything is acquired. */
  | "recording"
  /** The plugin's `add` runs. */
  | "adding"
  /** `add` succeeded; the rest is between kernel and guest. */
  | "connected"
  /** `add` was told to stop; it has not ended yet. */
  | "aborting"
  /** `add` failed; the plugin's `remove` runs. */
  | "undoing"
  /** What is held is undone, to start anew with what is in the store now. */
  | "redoing"
  /** `add` failed and was undone; the toolstack is to remove the device. */
  | "failed"
  /** `add` was refused since something is in use, and was undone; waiting for its release. */
  | "busy"
  /** It is to be removed; waiting for the backend to close. */
  | "closing"
  /** The guest is dead; its QEMU is given time to close its files. */
  | "lingering"
  /** Closed; waiting for the kernel to let go of the device. */
  | "settling"
  /** The plugin's `remove` runs. */
  | "removing"
  /** `remove` takes too long for the toolstack: the directory is being deleted without it. */
  | "overdue"
  /** The directory is gone; `remove` still runs. */
  | "finishing"
  /** All undone; the toolstack is given time to see Closed. */
  | "holding"
  /** The directory is being deleted. */
  | "deleting"
  /** All undone, but the directory could not be deleted: tried again with every look. */
  | "undeletable";

/** What of a device's life outlives the daemon: it is in the journal. */
export type Stage =
  /** `add` may have begun. */
  | "adding"
  /** `add` has succeeded. */
  | "connected"
  /** `add` has failed; the undoing `remove` may have begun. */
  | "undoing"
  /** `add` has failed and was undone. */
  | "failed"
  /** `remove` may have begun. */
  | "removing"
  /** `remove` has ended. */
  | "removed";

/** What can happen to a device. */
export type LifecycleEvent =
  | { readonly type: "seen"; readonly observation: Observation }
  /** What stands behind a device that is set up has ceased to work. */
  | { readonly type: "broken"; readonly error: string }
  /** It works again. */
  | { readonly type: "healed" }
  /** Nothing is left of what `add` has set up, as when the kernel has made its device anew. */
  | { readonly type: "undone"; readonly error: string }
  /** It may no longer be served, since somebody else has what it uses. */
  | { readonly type: "evicted"; readonly error: string }
  /** The daemon is to close all devices before it ends. */
  | { readonly type: "close" }
  /** No process of an earlier daemon's operation runs any more. */
  | { readonly type: "orphans-gone" }
  /** They do not end, or nobody can tell whether they have. */
  | { readonly type: "orphans-left"; readonly error: string }
  /** The journal knows, and the directory has the attach id. */
  | { readonly type: "recorded"; readonly attachId: string }
  | { readonly type: "record-failed"; readonly error: string }
  /** There was no directory any more to be given an attach id. */
  | { readonly type: "record-missed" }
  /** The attach id of a device that was set up before, null if it could not be given one. */
  | { readonly type: "adopted"; readonly attachId: string | null }
  | { readonly type: "add-done" }
  /** @property late it came after `abort-add`, and may be no more than what follows from that */
  | { readonly type: "add-failed"; readonly error: string; readonly late?: boolean }
  /** It was refused: what it needs is in use. */
  | { readonly type: "add-busy"; readonly error: string }
  /** What it was refused for may be free. */
  | { readonly type: "released" }
  /** It ended because of `abort-add`, and did not fail by itself. */
  | { readonly type: "add-stopped"; readonly how: string }
  | { readonly type: "remove-done" }
  /** Something has happened by which an undoing that had failed may succeed now. */
  | { readonly type: "helped" }
  /** A person wants nothing more to be tried about what cannot be undone. */
  | { readonly type: "given-up" }
  | { readonly type: "remove-failed"; readonly error: string }
  /** It ended because of `leave-directory`, and has to be done again. */
  | { readonly type: "remove-stopped" }
  /** The kernel unregistered the device. */
  | { readonly type: "kernel-released" }
  /** It did not within its time, or nobody can tell. */
  | { readonly type: "kernel-kept"; readonly error: string }
  | { readonly type: "deleted" }
  /** The directory was not deleted, since it is wanted again or is another one by now. */
  | { readonly type: "delete-refused"; readonly error: string }
  /** The store would not delete the directory. */
  | { readonly type: "delete-failed"; readonly error: string }
  /** Any other effect failed; all goes on as if it had not. */
  | { readonly type: "trouble"; readonly effect: Effect["do"]; readonly error: string }
  | { readonly type: `${TimerName}-expired` };

/** Events that tell of a failure: whatever row takes one has to tell its cause. */
export type FailureType =
  | "orphans-left"
  | "broken"
  | "undone"
  | "evicted"
  | "record-failed"
  | "add-failed"
  | "add-busy"
  | "remove-failed"
  | "kernel-kept"
  | "delete-failed"
  | "trouble";

/** Name of a timer; each device has at most one of each. */
export type TimerName = "wait" | "destroy" | "linger" | "hold" | "budget" | "patience" | "retry";

/** What a device's life leads to, and from. */
export type Milestone = "connected" | "removed";

/** What the runner has to do, in the order given. */
export type Effect =
  /** Starts a timer unless it runs already; it answers with `…-expired`. */
  | { readonly do: "start-timer"; readonly timer: TimerName; readonly ms: number }
  | { readonly do: "stop-timer"; readonly timer: TimerName }
  /** Waits for processes of an earlier daemon, and ends them after `ms`: `orphans-gone`, `orphans-left`. */
  | { readonly do: "await-orphans"; readonly ms: number }
  /**
   * Gives the directory the attach id that `record` is going to use: what need not be done when
   * the kernel backend waits. A failure only means that `record` has to do it.
   */
  | { readonly do: "mark" }
  /**
   * Writes the journal's record, and the attach id unless it was seen there: `recorded`,
   * `record-failed`, `record-missed`.
   * @property again for the same directory: what is known of it stays, but for the record
   */
  | { readonly do: "record"; readonly again?: boolean }
  /**
   * Brings the journal's record up to date.
   * @property busy it waits for what it was refused for
   */
  | {
    readonly do: "note";
    readonly stage: Stage;
    readonly error?: string;
    readonly busy?: boolean;
  }
  /** Removes the journal's record: nothing is held, nothing is left to do. */
  | { readonly do: "drop" }
  /** Calls the plugin: `add-done`, `add-failed`, `add-busy` or `add-stopped`. */
  | { readonly do: "add" }
  | { readonly do: "abort-add" }
  /** Waits until what it was refused for may be free: `released`. Over when the phase is. */
  | { readonly do: "await-release" }
  /**
   * Calls the plugin: `remove-done`, `remove-failed` or `remove-stopped`.
   * @property again it has failed before: what still runs of that is ended first
   */
  | { readonly do: "remove"; readonly again?: boolean }
  /**
   * Keeps the device's nodes, and stops the `remove` that runs on them: the directory is about to be
   * deleted, and another `remove` goes on without it.
   */
  | { readonly do: "leave-directory" }
  /** Lets the plugin learn of a device set up under an earlier daemon: `adopted`. */
  | { readonly do: "adopt" }
  /**
   * Removes from the directory what an undone `add` has left there, since another one follows: also
   * from one that took the place of the first, since a script may have met it half way.
   * @property keep the attach id stays
   */
  | { readonly do: "cleanse"; readonly keep?: boolean }
  /**
   * Makes sure that `hotplug-status` and `hotplug-error` tell of the failure.
   * @property busy as a refusal
   * @property besides what is said already stays, and this follows
   * @property another in the directory that has taken the place of the one that was set up
   */
  | {
    readonly do: "publish-error";
    readonly error: string;
    readonly busy?: boolean;
    readonly besides?: boolean;
    readonly another?: boolean;
  }
  /** Asks for removal as a toolstack does: `online`=0, state Closing. */
  | { readonly do: "request-close" }
  /** Takes the backend to Closing: the device no longer works. */
  | { readonly do: "signal-closing" }
  /** Takes the backend to Closing, then Closed, so that guest and toolstack see the end. */
  | { readonly do: "close-backend" }
  /** Waits for the kernel, no longer than `ms`: `kernel-released`, `kernel-kept`. */
  | { readonly do: "await-kernel"; readonly ms: number }
  /**
   * Deletes the directory: `deleted`, `delete-refused` or `delete-failed`.
   * @property another it is not the one that was set up
   */
  | { readonly do: "delete"; readonly another?: boolean }
  | {
    readonly do: "report";
    readonly level: "info" | "warning" | "error";
    readonly text: string;
    /** What has been reached by that: there is more to be told of it. */
    readonly milestone?: Milestone;
  }
  /** Nothing is left of the device: its lane can go. */
  | { readonly do: "forget" };

/** All that is remembered of a device. */
export interface LifecycleState {
  readonly phase: Phase;
  /** The newest look at the store. */
  readonly observation: Observation;
  /** Whether the directory had an attach id at the look before, and not that one now: it is another one. */
  readonly anew: boolean;
  /** Whether there was a directory at the look before and is none now, or the other way round. */
  readonly turned: boolean;
  /** Whether an `add` may hold something that only `remove` gives back. */
  readonly acquired: boolean;
  /** Whether that `add` has succeeded. */
  readonly complete: boolean;
  /** The attach id of the directory, null if none is known. */
  readonly attachId: string | null;
  /** Of a device known from the journal: how far it was. */
  readonly stage: Stage | null;
  /** Whether the toolstack has had its time to see Closed. */
  readonly held: boolean;
  /** Whether the daemon is to close it. */
  readonly asked: boolean;
  /** Whether it is closed since somebody else has what it uses. */
  readonly evicted: boolean;
  /** Why it failed, or null. */
  readonly error: string | null;
  /** Whether it was refused since something is in use, and not set up since. */
  readonly busy: boolean;
  /** Of one that was refused: what it was refused for may be free. */
  readonly freed: boolean;
  /** Of one that is tried again: if it is refused, its backend is to be closed at once. */
  readonly overtime: boolean;
  /** Why undoing it failed, until it succeeds or is given up; else null. */
  readonly stuck: string | null;
  /** How often in a row it failed. */
  readonly tries: number;
  /** Whether it was undone so as to be set up anew, and was not since. */
  readonly redone: boolean;
  /** Of one that is stuck: it is not being tried just now. */
  readonly paused: boolean;
  /** The failures that were told last: one of them is not told again. */
  readonly told: readonly string[];
}

/** A device of which nothing is known. */
export const INITIAL: LifecycleState = {
  phase: "absent",
  observation: ABSENT,
  anew: false,
  turned: false,
  acquired: false,
  complete: false,
  attachId: null,
  stage: null,
  held: false,
  asked: false,
  evicted: false,
  error: null,
  busy: false,
  freed: false,
  overtime: false,
  stuck: null,
  tries: 0,
  redone: false,
  paused: false,
  told: [],
};

/** What differs between kinds and installations. */
export interface LifecycleRules {
  readonly times: LifecycleTimes;
  /** Whether a kernel backend has to reach InitWait first (false for kinds that QEMU serves). */
  readonly waitsForBackend: boolean;
  /** Whether QEMU serves the kind: it gets time to close its files when its guest has died. */
  readonly servedByQemu: boolean;
  /** Whether `remove` can go on when the directory has been deleted under it. */
  readonly removesWithoutDirectory: boolean;
}

/** Result of a transition. */
export interface Step {
  readonly state: LifecycleState;
  readonly effects: readonly Effect[];
}
