/** A device's configuration: texts from the store, made into values with errors worth reading. Pure. */
import { own } from "../../../contract/v1/own.ts";
import type { DeviceConfig, IntegerRange } from "../../../contract/v1/plugin.ts";

/** Longest value shown in an error, in characters. */
const SHOWN_MAX = 80;

/** @param nodes the nodes as they are in the store */
export function deviceConfig(nodes: Readonly<Record<string, string>>): DeviceConfig {
  const valueOf = (name: string): string | undefined => {
    const value = own(nodes, name);
    return value === "" ? undefined : value;
  };
  const fault = (name: string, expected: string): never => {
    const value = valueOf(name);
    const is = value === undefined
      ? "is missing or empty"
      : `is ${JSON.stringify(value.slice(0, SHOWN_MAX))}`;
    throw new Error(`node ${name} ${is}; expected ${expected}`);
  };
  return {
    nodes,
    text(name, otherwise) {
      const value = valueOf(name) ?? otherwise;
      if (value === undefined || /\p{Cc}/u.test(value)) {
        return fault(name, "a text without control characters");
      }
      return value;
    },
    integer(name, { min, max, otherwise }: IntegerRange) {
      const text = valueOf(name);
      if (text === undefined && otherwise !== undefined) return otherwise;
      const value = Number(text);
      if (text === undefined || !/^-?\d{1,15}$/.test(text) || value < min || value > max) {
        return fault(name, `a whole number, ${min} to ${max}`);
      }
      return value;
    },
    oneOf(name, words, otherwise) {
      const value = valueOf(name) ?? otherwise;
      return words.find((word) => word === value) ?? fault(name, words.join(" or "));
    },
  };
}
