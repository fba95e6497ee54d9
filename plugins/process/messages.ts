/** What a process plugin may say (docs/plugin-protocol.md), checked. Pure. */
import type { Busy } from "../../contract/v1/plugin.ts";
import { isBusy } from "../../core/daemon/plugin/busy.ts";
import { type Message, ProtocolFault } from "./frames.ts";

/** Operations that a plugin can have. */
export const OPERATIONS = ["add", "remove", "adopt", "check"] as const;
export type Operation = (typeof OPERATIONS)[number];

/** What a call is answered with: of a check, what it has found, to be looked at by who asked. */
export type Answer = string | Readonly<Record<string, unknown>> | null;

/** Messages from the plugin. */
export type FromPlugin =
  | {
    readonly type: "hello";
    readonly contract: number;
    readonly name: string;
    readonly operations: readonly Operation[];
  }
  | { readonly type: "done"; readonly call: number; readonly answer: Answer }
  | {
    readonly type: "failed";
    readonly call: number;
    readonly error: string;
    readonly busy?: Busy;
  }
  | {
    readonly type: "request";
    readonly request: number;
    readonly call: number;
    readonly capability: string;
    readonly arguments: readonly unknown[];
  }
  | {
    readonly type: "log";
    readonly call: number | null;
    readonly level: "info" | "warning";
    readonly text: string;
  };

/** Largest number of a call or request. */
const NUMBER_MAX = 2 ** 32 - 1;

/** @throws ProtocolFault that names the field */
export function parseMessage(message: Message): FromPlugin {
  const field = <T>(name: string, test: (value: unknown) => value is T, expected: string): T => {
    const value = message[name];
    if (test(value)) return value;
    const shown = (JSON.stringify(value, plain) ?? "nothing").slice(0, 60);
    throw new ProtocolFault(
      `a message ${JSON.stringify(message["type"], plain)?.slice(0, 20) ?? "without type"} with ` +
        `${name} ${shown}; expected ${expected}`,
    );
  };
  const number = (name: string) => field(name, isNumber, `a whole number, 0 to ${NUMBER_MAX}`);
  const text = (name: string) => field(name, isText, "a text");
  switch (message["type"]) {
    case "hello":
      return {
        type: "hello",
        contract: number("contract"),
        name: text("name"),
        operations: field("operations", areOperations, `some of ${OPERATIONS.join(", ")}`),
      };
    case "done": {
      const answer = message["answer"] === undefined || message["answer"] === null
        ? null
        : field("answer", isAnswer, "a text or a map");
      return { type: "done", call: number("call"), answer };
    }
    case "failed": {
      const failure = { type: "failed", call: number("call"), error: text("error") } as const;
      if (message["busy"] === undefined || message["busy"] === null) return failure;
      const busy = field(
        "busy",
        isBusy,
        "a map with `holders`, an array of maps with kind, frontendDomid, devid",
      );
      return { ...failure, busy };
    }
    case "request":
      return {
        type: "request",
        request: number("request"),
        call: number("call"),
        capability: text("capability"),
        arguments: field("arguments", Array.isArray, "an array"),
      };
    case "log":
      return {
        type: "log",
        call: message["call"] === undefined || message["call"] === null ? null : number("call"),
        level: field("level", isLevel, "info or warning"),
        text: text("text"),
      };
  }
  return field("type", isNever, "hello, done, failed, request or log");
}

/** Numbers too large for others to read are among what a plugin may send. */
function plain(_: string, value: unknown): unknown {
  return typeof value === "bigint" ? String(value) : value;
}

function isNumber(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 0 && (value as number) <= NUMBER_MAX;
}

function isText(value: unknown): value is string {
  return typeof value === "string";
}

function isAnswer(value: unknown): value is NonNullable<Answer> {
  return isText(value) ||
    typeof value === "object" && value !== null && !Array.isArray(value) &&
      !ArrayBuffer.isView(value);
}

function isLevel(value: unknown): value is "info" | "warning" {
  return value === "info" || value === "warning";
}

function areOperations(value: unknown): value is Operation[] {
  return Array.isArray(value) && value.every((one) => OPERATIONS.includes(one));
}

function isNever(_: unknown): _ is never {
  return false;
}
