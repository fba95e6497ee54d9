/** What a request says: put together by toolstacks, read by driver domains as the text it is. Pure. */
import { type DeviceId, frontendPath } from "../../xen/device_id.ts";
import { quotedValue } from "../../log/quoted.ts";
import { parseServingDevice, type RequestId } from "./paths.ts";
import {
  type DRIVER_NODES,
  ERROR_MAX,
  parseRequestState,
  REQUEST_RESULTS,
  REQUEST_VERSION,
  type RequestResult,
  type RequestState,
} from "./nodes.ts";
import { printable } from "../../log/log.ts";

/** A request, as the driver domain takes it. */
export interface Request {
  readonly token: string;
  readonly params: string;
  /** Empty for the default. */
  readonly script: string;
  /** What the backend directory is to have besides. */
  readonly config: Readonly<Record<string, string>>;
}

/** Longest value, in bytes: what a guest's or driver domain's node may have (XEN, `quota_max_entry_size`). */
const VALUE_MAX = 2048;
/** Most nodes below `config`; no kind that libxl knows has more than 60 (COLO). */
const CONFIG_MAX = 100;

/** Nodes of a backend directory that are not for a request to set: they are what its life is made of. */
const RESERVED: ReadonlySet<string> = new Set([
  "frontend",
  "frontend-id",
  "online",
  "state",
  "params",
  "script",
  "hotplug-status",
  "hotplug-error",
  "physical-device",
  "physical-device-path",
  "node",
]);

/** A name below `config`: one component, or two (`port/1`). */
const CONFIG_NAME = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\/[A-Za-z0-9][A-Za-z0-9_-]{0,63})?$/;
const TOKEN = /^[A-Za-z0-9-]{8,64}$/;

/** Why a request cannot be served as it is; one line. */
export class RequestFault extends Error {
  override name = "RequestFault";
}

/**
 * Reads a request.
 * @param nodes values by name, relative to the request's directory
 * @throws RequestFault
 */
export function parseRequest(nodes: Readonly<Record<string, string>>): Request {
  const { version, token = "", params = "", script = "" } = nodes;
  if (version !== REQUEST_VERSION) {
    throw new RequestFault(`node version is ${quotedValue(version)}; expected ${REQUEST_VERSION}`);
  }
  if (!TOKEN.test(token)) {
    throw new RequestFault(
      `node token is ${quotedValue(token)}; expected 8 to 64 letters, digits and dashes`,
    );
  }
  checkValue("params", params);
  checkValue("script", script);
  if (script !== "" && !isScript(script)) {
    throw new RequestFault(
      `node script is ${
        quotedValue(script)
      }; expected an absolute path without .. or a file's name`,
    );
  }
  const config: Record<string, string> = {};
  for (const [path, value] of Object.entries(nodes)) {
    if (!path.startsWith("config/")) continue;
    const name = path.slice("config/".length);
    if (!CONFIG_NAME.test(name)) {
      throw new RequestFault(`node ${quotedValue(path)} has a name that no backend's node has`);
    }
    if (RESERVED.has(name) || name.startsWith("xdevd-")) {
      throw new RequestFault(`node ${path} is not for a request to set`);
    }
    checkValue(path, value);
    config[name] = value;
  }
  if (Object.keys(config).length > CONFIG_MAX) {
    throw new RequestFault(`there are more than ${CONFIG_MAX} nodes below config`);
  }
  return { token, params, script, config };
}

/** Whether node `frontend` is where the frontend of this request has to be. */
export function isFrontendOf(text: string, id: RequestId): boolean {
  return text === frontendPath(id, id.kind);
}

function isScript(text: string): boolean {
  if (text.startsWith("/")) return !/\/\.{0,2}(\/|$)/.test(text);
  return !text.includes("/") && text !== "." && text !== "..";
}

function checkValue(name: string, value: string): void {
  const bytes = new TextEncoder().encode(value).length;
  if (bytes > VALUE_MAX) {
    throw new RequestFault(`node ${name} has ${bytes} bytes; at most ${VALUE_MAX} fit a backend's`);
  }
  if (/[\0\r\n]/.test(value)) {
    throw new RequestFault(`node ${name} is ${quotedValue(value)}; expected one line of text`);
  }
}

/** A driver domain's account, as far as it makes sense. */
export interface RequestReport {
  /** null without a request, `odd` if it is none of the words. */
  readonly state: RequestState | "odd" | null;
  /** The device that serves it; undefined when none is named, or none that may. */
  readonly device: DeviceId | undefined;
  readonly result: RequestResult | undefined;
  /** One line that can be shown; undefined when there is none. */
  readonly error: string | undefined;
  /** The same. */
  readonly pdev: string | undefined;
}

/** @param nodes values by name, relative to the request's directory; null without a request */
export function parseReport(
  nodes: Readonly<Partial<Record<(typeof DRIVER_NODES)[number], string>>> | null,
  id: RequestId,
): RequestReport {
  const { state = "", backend = "", error, pdev, "hotplug-status": result } = nodes ?? {};
  return {
    state: nodes === null ? null : parseRequestState(state) ?? "odd",
    device: parseServingDevice(backend, id),
    result: REQUEST_RESULTS.find((word) => word === result),
    error: line(error),
    pdev: line(pdev),
  };
}

/** The first line of a stranger's text, bounded, and harmless to a terminal. */
export function line(text: string | undefined): string | undefined {
  const first = text?.split("\n", 1).join("").slice(0, ERROR_MAX).trim();
  return first ? printable(first) : undefined;
}
