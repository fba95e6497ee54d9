/** What arguments of several commands have to be. */
import { InvalidArgumentError } from "commander";

/** A number of seconds, more than 0. @throws InvalidArgumentError */
export function seconds(text: string): number {
  return secondsUpTo(86_400)(text);
}

/** Likewise, with another limit. */
export function secondsUpTo(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+(\.\d+)?$/.test(text) && value > 0 && value <= most) return value;
    throw new InvalidArgumentError(`Expected seconds, more than 0 and at most ${most}.`);
  };
}
