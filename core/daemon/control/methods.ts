/** What the daemon does for whoever may connect to its socket: one row a method. */
import { own } from "../../../contract/v1/own.ts";
import type { FlightEvent, OperationReport } from "../flight/flight_recorder.ts";
import { DESCRIPTION, INTERFACE, SERVICE, SERVICE_DESCRIPTION } from "./interface.ts";
import type { DeviceStatus } from "./device_status.ts";
import type { ControlAnswer } from "./messages.ts";
import type { DaemonReport } from "./report.ts";

/** The devices, as far as methods need them. */
export interface ControlledDevices {
  statuses(): DeviceStatus[];
  status(name: string): DeviceStatus | null;
  /** @throws GiveUpRefused */
  giveUp(name: string): string;
  /** @throws GiveUpRefused */
  retry(name: string): string;
}

/** What has changed, for who follows. */
export interface Change {
  readonly name: string;
  readonly operation?: string;
  readonly startedAt?: string;
  readonly event?: FlightEvent;
}

/** What a new reading of the configuration has changed. */
export interface Reloaded {
  readonly source: string | null;
  readonly applied: readonly string[];
  readonly pending: readonly string[];
}

/** The daemon, likewise. */
export interface Controlled {
  readonly version: string;
  readonly devices: ControlledDevices;
  history(name: string): readonly OperationReport[];
  /** @param name of a device, whose events are told too; null: all devices @returns ends it */
  follow(name: string | null, tell: (change: Change) => void): () => void;
  /** @throws CodedError */
  reload(): Promise<Reloaded>;
  report(): Promise<DaemonReport>;
  /** Somebody who has asked is gone. */
  asked?(): void;
}

/** A device that is not given up, or not tried again. */
export class GiveUpRefused extends Error {
  override name = "GiveUpRefused";
  /** Whether there is no such device at all. */
  readonly unknown: boolean;

  constructor(message: string, unknown = false) {
    super(message);
    this.unknown = unknown;
  }
}

/** What a message has, and what an answer has. */
export type Parameters = Readonly<Record<string, unknown>>;

/** An answer that is an error. */
export class ControlError extends Error {
  readonly answer: ControlAnswer;

  constructor(error: string, parameters: Parameters) {
    super(error);
    this.answer = { error, parameters };
  }
}

type Method = (daemon: Controlled, of: Parameters) => Parameters | Promise<Parameters>;

/** By their full names. `Follow` is not among them: it has no end. */
const METHODS: Readonly<Record<string, Method>> = {
  [`${SERVICE}.GetInfo`]: ({ version }) => ({
    ...{ vendor: "xdevd", product: "xdevd", version, url: "" },
    interfaces: [SERVICE, INTERFACE],
  }),
  [`${SERVICE}.GetInterfaceDescription`]: (_, { interface: name }) => {
    const wanted = textOf("interface", name);
    if (wanted === INTERFACE) return { description: DESCRIPTION };
    if (wanted === SERVICE) return { description: SERVICE_DESCRIPTION };
    throw new ControlError(`${SERVICE}.InterfaceNotFound`, { interface: wanted });
  },
  [`${INTERFACE}.List`]: ({ devices }) => ({ devices: devices.statuses() }),
  [`${INTERFACE}.Describe`]: (daemon, { device }) => {
    const name = textOf("device", device);
    const [status, history] = [daemon.devices.status(name), daemon.history(name)];
    if (status === null && history.length === 0) {
      const reason = "there is no such device, and none is remembered";
      throw new ControlError(`${INTERFACE}.NoSuchDevice`, { device: name, reason });
    }
    return { ...(status === null ? {} : { device: status }), history };
  },
  [`${INTERFACE}.Retry`]: ({ devices }, { device }) =>
    said(textOf("device", device), "NothingToRetry", (name) => devices.retry(name)),
  [`${INTERFACE}.GiveUp`]: ({ devices }, { device }) =>
    said(textOf("device", device), "NotStuck", (name) => devices.giveUp(name)),
  [`${INTERFACE}.Reload`]: async (daemon) => {
    try {
      return { ...await daemon.reload() };
    } catch (error) {
      const { messageCode: code = "failed", message } = error as Error & { messageCode?: string };
      throw new ControlError(`${INTERFACE}.ConfigurationRefused`, { code, reason: message });
    }
  },
  [`${INTERFACE}.Report`]: async (daemon) => ({ ...await daemon.report() }),
};

/** The method that has no end. */
export const FOLLOW = `${INTERFACE}.Follow`;

/** All names of methods. */
export const METHOD_NAMES: readonly string[] = [...Object.keys(METHODS), FOLLOW];

function said(name: string, refusal: string, work: (name: string) => string): Parameters {
  try {
    return { said: work(name) };
  } catch (error) {
    if (!(error instanceof GiveUpRefused)) throw error;
    const kind = error.unknown ? "NoSuchDevice" : refusal;
    throw new ControlError(`${INTERFACE}.${kind}`, { device: name, reason: error.message });
  }
}

/** Longest text that is taken, in characters. */
const TEXT_MAX = 1024;

/** @throws ControlError */
export function textOf(name: string, value: unknown): string {
  if (typeof value === "string" && value.length <= TEXT_MAX) return value;
  throw new ControlError(`${SERVICE}.InvalidParameter`, { parameter: name });
}

/** Does what a message asks for. Never throws. */
export async function answerTo(message: Parameters, daemon: Controlled): Promise<ControlAnswer> {
  const { method, parameters } = message;
  try {
    const name = typeof method === "string" ? method.slice(0, TEXT_MAX) : "";
    const run = own(METHODS, name);
    if (run === undefined) {
      throw new ControlError(`${SERVICE}.MethodNotFound`, { method: name });
    }
    return { parameters: await run(daemon, parametersOf(parameters)) };
  } catch (error) {
    if (error instanceof ControlError) return error.answer;
    return { error: `${INTERFACE}.Failed`, parameters: { reason: (error as Error).message } };
  }
}

/** @throws ControlError */
export function parametersOf(value: unknown): Parameters {
  if (value === undefined || value === null) return {};
  if (typeof value === "object" && !Array.isArray(value)) return value as Parameters;
  throw new ControlError(`${SERVICE}.InvalidParameter`, { parameter: "parameters" });
}
