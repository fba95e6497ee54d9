/** The phases of a device's life, in words for people. */
import type { Phase } from "./state.ts";

/** To be put behind a device's name. */
export const PHASE_WORDS: Readonly<Record<Phase, string>> = {
  absent: "nothing is left of it",
  recovering: "waits for what an earlier daemon has started to end",
  recovered: "taken up from the journal",
  waiting: "waits for the kernel's backend to be ready",
  recording: "notes in the journal what is to be done",
  adding: "being set up",
  connected: "set up",
  aborting: "setting it up is being stopped",
  undoing: "could not be set up; being undone",
  redoing: "being undone, to be set up anew",
  failed: "could not be set up; the toolstack is to remove it",
  busy: "refused, since what it needs is in use; taken up when that is released",
  closing: "to be removed; waits for the backend to close",
  lingering: "its guest is dead; QEMU is given time to close its files",
  settling: "closed; waits for the kernel to let go of it",
  removing: "being undone",
  overdue: "undoing it takes long; its directory is being deleted meanwhile",
  finishing: "its directory is gone; still being undone",
  holding: "undone; the toolstack is given time to see it closed",
  deleting: "undone; its directory is being deleted",
  undeletable: "undone; its directory cannot be deleted yet",
};

/** The phase that a name is of, or undefined. */
export function phaseNamed(name: string): Phase | undefined {
  return Object.hasOwn(PHASE_WORDS, name) ? name as Phase : undefined;
}
