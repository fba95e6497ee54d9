/** Options that the toolstack's commands share, as parsed. */
import type { LogLevel } from "../../core/log/log.ts";
import type { Force } from "../../core/toolstack/remove.ts";
import type { WaitLevel } from "../../core/toolstack/await_device.ts";
import type { PluginOptions } from "../plugin/set.ts";

/** Ways of telling a driver domain. */
export const VIAS = ["stock", "request", "auto"] as const;
/** One of {@link VIAS}. */
export type Via = typeof VIAS[number];

/** What all of them have. */
export interface DeviceOptions extends PluginOptions {
  readonly store?: string;
  /** The daemon's, where the backend is in this domain. */
  readonly runDir: string;
  readonly scripts: readonly string[];
  readonly scriptPath: string;
  readonly logLevel: LogLevel;
  readonly json?: boolean;
}

/** `attach` and its kin. */
export interface AttachOptions extends DeviceOptions {
  readonly wait: WaitLevel;
  /** Seconds. */
  readonly timeout: number;
  readonly dryRun?: boolean;
  readonly serve?: boolean;
  /** How the driver domain is told; `auto`: by a request where it takes them. */
  readonly via: Via;
}

/** `detach` and its kin. */
export interface DetachOptions extends DeviceOptions {
  readonly force: Force;
  /** Seconds. */
  readonly timeout: number;
}
