/** A line of a timeline: when, who, what. Pure. */
import { own } from "../../contract/v1/own.ts";

/** Colours of the actors on a terminal (ECMA-48, SGR). */
const COLOURS: Readonly<Record<string, number>> = {
  toolstack: 36,
  kernel: 35,
  QEMU: 35,
  guest: 33,
  daemon: 32,
  script: 34,
  plugin: 34,
  demo: 31,
};

/** Widest name of an actor, in characters. */
const ACTOR_WIDTH = 9;

/**
 * Without the line end.
 * @param ms since the beginning
 * @param coloured whether the actor's name has a colour
 */
export function timelineLine(ms: number, who: string, what: string, coloured: boolean): string {
  const colour = coloured ? own(COLOURS, who) : undefined;
  const name = colour === undefined ? who : `\x1b[${colour}m${who}\x1b[0m`;
  const space = " ".repeat(Math.max(0, ACTOR_WIDTH - who.length));
  return `${ms.toFixed(1).padStart(9)} ms  ${name}${space}  ${what}`;
}
