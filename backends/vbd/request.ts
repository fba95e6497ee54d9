/** What the toolstack wants of a block device, read from its nodes and checked. */
import type { Device, DeviceNodes } from "../../contract/v1/plugin.ts";

export interface BlockRequest {
  /** The target as the toolstack wrote it. */
  readonly params: string;
  /** The same as an absolute path: a name is one in `/dev`. */
  readonly path: string;
  /** `params` was a name: only a block device will do. */
  readonly isName: boolean;
  /** As written: `r`, `w`, either with `!`. */
  readonly mode: string;
  readonly readOnly: boolean;
  /** The mode ends in `!`: whoever else uses the target, it is meant so. */
  readonly unchecked: boolean;
  /** The toolstack says that the guest bears I/O past the page cache (node `direct-io-safe`). */
  readonly directIo: boolean;
}

/** Longest part of a value that is shown: the line is one that the guest reads too. */
const SHOWN_MAX = 200;

/** An error that names a node, its value, and what would be accepted. */
export function badNode(name: string, value: string | undefined, expected: string): Error {
  const is = value === undefined ? "missing" : shown(value);
  return new Error(`node ${name} is ${is}: ${expected}`);
}

/** A value in quotation marks, cut off if it is long. */
export function shown(value: string): string {
  return JSON.stringify(value.length > SHOWN_MAX ? `${value.slice(0, SHOWN_MAX)}…` : value);
}

/** @throws Error with one line that names the node, its value, and what would be accepted */
export async function readRequest(nodes: DeviceNodes): Promise<BlockRequest> {
  const [params, mode, type, directIo] = await Promise.all(
    ["params", "mode", "type", "direct-io-safe"].map((name) => nodes.read(name)),
  );
  if (type !== undefined && type !== "phy" && type !== "file") {
    throw badNode("type", type, "phy or file is expected");
  }
  if (mode === undefined || !/^(r|w|ro|rw)!?$/.test(mode)) {
    throw badNode("mode", mode, "r or w is expected, or r! or w! for storage shared on purpose");
  }
  if (!params) throw badNode("params", params, "the path of a block device or file is expected");
  // deno-lint-ignore no-control-regex
  if (/[\0-\x1f\x7f-\x9f]/.test(params)) {
    throw badNode("params", params, "a path without control characters is expected");
  }
  const isName = !params.startsWith("/");
  if (isName && params.split("/").includes("..")) {
    throw badNode("params", params, "an absolute path, or a name in /dev without .., is expected");
  }
  return {
    params,
    path: isName ? `/dev/${params}` : params,
    isName,
    mode,
    readOnly: !mode.includes("w"),
    unchecked: mode.endsWith("!"),
    directIo: directIo === "1",
  };
}

/** A script's name without its directory: a node without a slash names one of Xen's. */
export function nameOf(script: string): string {
  return script.slice(script.lastIndexOf("/") + 1);
}

/** Whether it is Xen's own `block`, of which is known what it makes of which target. */
export function isXenBlock(script: string): boolean {
  return nameOf(script) === "block";
}

/**
 * Says so, and what was looked for; empty when it exists, cannot be looked for now, or is none that Xen's own script would
 * look for in this way: names that are no absolute path are in `/dev`.
 */
export async function targetIfMissing(
  device: Device,
  script: string,
  params: string,
): Promise<string> {
  if (!isXenBlock(script) || params === "") return "";
  const path = params.startsWith("/") ? params : `/dev/${params}`;
  const exists = await device.system.exists(path).catch(() => true);
  if (exists) return "";
  return params === path
    ? `${shown(params)} does not exist`
    : `${shown(params)} does not exist: looked for ${shown(path)}`;
}
