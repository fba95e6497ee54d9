/** What it means for people that an effect of the machine failed which has no event of its own. Pure. */
import type { Effect } from "./state.ts";

const WORDS: Partial<Record<Effect["do"], string>> = {
  "abort-add": "its setup cannot be stopped",
  adopt: "what is set up cannot be taken over",
  "await-release": "nobody will tell when what it needs is released",
  cleanse: "what its setup left in its directory cannot be removed",
  "close-backend": "its backend cannot be closed",
  drop: "its record cannot be removed from the journal",
  "leave-directory": "its nodes cannot be kept for undoing it without its directory",
  mark: "its directory cannot be marked yet",
  note: "its record in the journal cannot be brought up to date",
  "publish-error": "its hotplug-error cannot be written",
  "request-close": "its removal cannot be asked for",
  "signal-closing": "its backend cannot be taken to Closing",
};

/** In words that a cause can follow. */
export function troubleWith(effect: Effect["do"]): string {
  return WORDS[effect] ?? effect;
}
