/**
 * The calling convention of hotplug scripts, version 2: block scripts that can be prepared before
 * the device is added, and attached locally. docs/hotplug-v2.md describes it for their authors. Pure.
 */
import type { LifecycleTimes } from "../../xen/times.ts";

/** What a script is asked to do: its only argument. */
export const V2_ACTIONS = [
  "version",
  "prepare",
  "add",
  "remove",
  "localattach",
  "localdetach",
  "unprepare",
] as const;

/** One of {@link V2_ACTIONS}. */
export type V2Action = typeof V2_ACTIONS[number];

/** How long each action may take, in ms. */
export type V2Limits = Readonly<Record<V2Action, number>>;

/** Limits by the daemon's times. */
export function v2Limits(times: Pick<LifecycleTimes, "version" | "prepare" | "hotplug">): V2Limits {
  const { version, prepare, hotplug } = times;
  return {
    version,
    prepare,
    unprepare: prepare,
    add: hotplug,
    remove: hotplug,
    localattach: hotplug,
    localdetach: hotplug,
  };
}

/** Nodes of the hotplug directory that a script must not use for itself. */
export const V2_NODES = {
  /** The target as the toolstack wrote it. */
  target: "params",
  script: "script",
  /** What the script answers to `version`. */
  version: "version",
  /** The block device that resulted. */
  device: "pdev",
} as const;

/**
 * Environment of an action, besides PATH and what leads to the store.
 * @param hotplugPath absolute, without trailing slash
 * @param backendPath likewise; given to `add` and `remove` only, so that a misuse fails loudly
 */
export function v2Environment(
  action: V2Action,
  hotplugPath: string,
  backendPath: string,
): Record<string, string> {
  const connects = action === "add" || action === "remove";
  return {
    HOTPLUG_PATH: hotplugPath,
    ...(connects ? { BACKEND_PATH: backendPath } : {}),
  };
}

/** Whether the answer to `version` is 2. */
export function saysVersion2(text: string | undefined): boolean {
  return text !== undefined && /^\s*0*2\s*$/.test(text);
}

/** Scripts that come with Xen, in /etc/xen/scripts: all of version 1, and not to be asked. */
const STOCK = new Set([
  "block",
  "block-drbd-probe",
  "block-dummy",
  "block-enbd",
  "block-iscsi",
  "block-nbd",
  "block-tap",
  "vscsi",
]);

/** What a version 2 script cannot do without: its text has this name in it. */
export const V2_TELLTALE = "HOTPLUG_PATH";

/** Whether a script is one that comes with Xen. @param path absolute */
export function isStockScript(path: string, stockDirectory: string): boolean {
  const slash = path.lastIndexOf("/");
  return path.slice(0, slash) === stockDirectory && STOCK.has(path.slice(slash + 1));
}
