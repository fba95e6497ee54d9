/**
 * What daemon and server say to one another, over a socket in the device's own directory: messages as on
 * the daemon's socket (`control/messages.ts`). The daemon calls, one call after the other; the server tells
 * by itself that it has failed, and lines for the log. A guest that has taken over a server can say
 * whatever it likes: all of that is checked.
 */
import type { Given } from "../../../contract/v2/manifest.ts";
import type { DeviceIdentity, PluginManifest, Setting } from "../../../contract/v1/plugin.ts";

/** Name of a server among the processes of its device, and of the socket in its directory. */
export const SERVER_PROCESS = "server";
export const SERVER_SOCKET = "server.sock";

/** How the program is told to be one; nobody types that. Behind it: the socket's path, and where Xen is simulated. */
export const SERVER_COMMAND = "device-server";

/** Longest reason and line of the log, in characters. */
export const REASON_MAX = 300;

/** Whose code it is. */
export interface ServerCode {
  /** `built-in`, or the plugin's file. */
  readonly origin: string;
  readonly manifest: PluginManifest;
}

/** What opens a server. */
export interface OpenCall {
  readonly code: ServerCode;
  readonly id: DeviceIdentity;
  readonly settings: Readonly<Record<string, Setting>>;
  readonly given: Given;
}

/** What a frontend offers, as far as its nodes make sense. */
export interface Offer {
  /** A list for each of the manifest's `pages`. */
  readonly references: readonly (readonly number[])[];
  readonly port: number;
  readonly nodes: Readonly<Record<string, string>>;
}

/** How a server is. */
export interface ServerStatus {
  readonly opened: boolean;
  readonly failure: string | null;
  /** What it is connected to; null when to nothing. */
  readonly offer: Pick<Offer, "references" | "port"> | null;
  /** Whether it was told to begin with that. */
  readonly serving: boolean;
}

/** The calls: what each takes, and gives back. */
export interface ServerCalls {
  open(call: OpenCall): object;
  status(): ServerStatus;
  connect(offer: Offer): object;
  serve(): object;
  close(reason: { readonly reason: string }): object;
  disconnect(): object;
  /** The process ends after that. */
  quit(): object;
}

/** What a server tells by itself. */
export interface ServerNotices {
  failed: { readonly reason: string };
  log: { readonly level: "info" | "warning"; readonly text: string };
}

/** Whether two offers are of the same memory and event channel. */
export function isSame(
  one: Pick<Offer, "references" | "port">,
  other: Pick<Offer, "references" | "port"> | null,
): boolean {
  const of = ({ references, port }: Pick<Offer, "references" | "port">) =>
    JSON.stringify([references, port]);
  return other !== null && of(one) === of(other);
}
