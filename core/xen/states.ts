/** XenbusState, the state nodes of backends and frontends. Pure. */

/** State numbers (xen/include/public/io/xenbus.h), stored as decimal text. */
export const XenbusState = {
  Unknown: 0,
  Initialising: 1,
  InitWait: 2,
  Initialised: 3,
  Connected: 4,
  Closing: 5,
  Closed: 6,
  Reconfiguring: 7,
  Reconfigured: 8,
} as const;

/** 0 … 8. */
export type XenbusState = typeof XenbusState[keyof typeof XenbusState];

const names = Object.keys(XenbusState);

/** A state for people, such as `2 (InitWait)`. */
export function stateName(state: XenbusState): string {
  return `${state} (${names[state]})`;
}

/**
 * Reads a state node's text; undefined unless it is exactly one digit 0 … 8. The stock daemon takes
 * garbage for 0 and starts to add; ours ignores it.
 */
export function parseState(text: string): XenbusState | undefined {
  return /^[0-8]$/.test(text) ? Number(text) as XenbusState : undefined;
}
