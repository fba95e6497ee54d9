/** What the daemon does for whoever may connect to its socket: one row a method. */
import { type ControlAnswer, INTERFACE } from "./messages.ts";

/** The devices, as far as methods need them. */
export interface ControlledDevices {
  /** @throws GiveUpRefused */
  giveUp(name: string): string;
}

/** A device that is not given up. */
export class GiveUpRefused extends Error {
  override name = "GiveUpRefused";
  /** Whether there is no such device at all. */
  readonly unknown: boolean;

  constructor(message: string, unknown = false) {
    super(message);
    this.unknown = unknown;
  }
}

type Parameters = Readonly<Record<string, unknown>>;

/** By their names, without the interface. */
const METHODS: Readonly<
  Record<string, (devices: ControlledDevices, of: Parameters) => Parameters>
> = {
  /** (device: string) -> (said: string): tries nothing more about a device that cannot be undone. */
  GiveUp: (devices, { device }) => ({ said: devices.giveUp(textOf("device", device)) }),
};

class Invalid extends Error {
  readonly parameter: string;

  constructor(parameter: string) {
    super(`parameter ${parameter} is missing, or no text`);
    this.parameter = parameter;
  }
}

function textOf(name: string, value: unknown): string {
  if (typeof value !== "string") throw new Invalid(name);
  return value;
}

/** Does what a message asks for. Never throws. */
export function answerTo(message: Parameters, devices: ControlledDevices): ControlAnswer {
  const { method, parameters = {} } = message;
  const prefix = `${INTERFACE}.`;
  const name = typeof method === "string" && method.startsWith(prefix)
    ? method.slice(prefix.length)
    : "";
  const run = Object.hasOwn(METHODS, name) ? METHODS[name] : undefined;
  if (run === undefined) return error("org.varlink.service.MethodNotFound", { method });
  if (typeof parameters !== "object" || parameters === null) {
    return error("org.varlink.service.InvalidParameter", { parameter: "parameters" });
  }
  try {
    return { parameters: run(devices, parameters as Parameters) };
  } catch (thrown) {
    if (thrown instanceof Invalid) {
      return error("org.varlink.service.InvalidParameter", { parameter: thrown.parameter });
    }
    const kind = !(thrown instanceof GiveUpRefused)
      ? "Failed"
      : thrown.unknown
      ? "NoSuchDevice"
      : "NotStuck";
    return error(`${INTERFACE}.${kind}`, { reason: (thrown as Error).message });
  }
}

function error(name: string, parameters: Parameters): ControlAnswer {
  return { error: name, parameters };
}
