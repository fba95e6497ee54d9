/** The nodes of a request: who writes which, with which permissions, and what they mean. Pure. */
import type { Permission } from "../../xenstore/permissions.ts";

/** Who writes a node; nobody else does. */
export type Writer = "toolstack" | "driver domain";

/** A node of a request. */
export interface RequestNode {
  readonly writer: Writer;
  readonly when: string;
  readonly meaning: string;
}

/** Below the directory of a request. */
export const REQUEST_NODES = {
  version: { writer: "toolstack", when: "creation", meaning: "`1`: the version of this protocol" },
  token: {
    writer: "toolstack",
    when: "creation",
    meaning:
      "random text, different for each request: the record and the backend directory bear it",
  },
  params: {
    writer: "toolstack",
    when: "creation",
    meaning: "the target: a path, or free text for the script; may be empty",
  },
  script: {
    writer: "toolstack",
    when: "creation",
    meaning:
      "the hotplug script, by absolute path or by name; empty for the driver domain's default",
  },
  "config/<name>": {
    writer: "toolstack",
    when: "creation",
    meaning:
      "what the backend directory is to have besides (`mode`, `mac`, `bridge`, …); see Configuration",
  },
  "publish/guest/<name>": {
    writer: "toolstack",
    when: "creation",
    meaning: "what the frontend directory will have, owned by the guest",
  },
  "publish/backend/<name>": {
    writer: "toolstack",
    when: "creation",
    meaning: "the same, owned by the driver domain (`mtu`)",
  },
  hold: {
    writer: "toolstack",
    when: "creation; later",
    meaning: "`1`: do not publish yet (a migration); for toolstacks, the driver domain ignores it",
  },
  online: {
    writer: "toolstack",
    when: "creation; removal",
    meaning: "`1` wanted, `0` to be removed; never `1` again",
  },
  frontend: {
    writer: "toolstack",
    when: "publishing",
    meaning: "path of the frontend directory, which exists from now on",
  },
  force: {
    writer: "toolstack",
    when: "removal",
    meaning: "`1`: do not wait for the guest",
  },
  state: {
    writer: "driver domain",
    when: "any time (`new`: by the toolstack)",
    meaning: "how far it is; see States",
  },
  backend: {
    writer: "driver domain",
    when: "`prepared`",
    meaning: "path of the backend directory; its kind is the driver domain's choice",
  },
  "hotplug-status": {
    writer: "driver domain",
    when: "`connected`, `error`; at the end",
    meaning: "`connected`, `error`, `disconnected`; empty before",
  },
  error: {
    writer: "driver domain",
    when: "`error`",
    meaning: "why, one line of at most 1024 bytes",
  },
  pdev: {
    writer: "driver domain",
    when: "`connected`",
    meaning: "the device that stands behind it, in the driver domain; to be shown, nothing else",
  },
} as const satisfies Record<string, RequestNode>;

/** Nodes that the driver domain writes: the toolstack makes them, empty, with permission for it. */
export const DRIVER_NODES = ["state", "backend", "hotplug-status", "error", "pdev"] as const;

/** Longest `error`, in bytes. */
export const ERROR_MAX = 1024;

/** Node of the backend directory, and of libxl's record, that has the request's token. */
export const REQUEST_MARK = "xdevd-request";

/** For what the driver domain reads: domain 0's own, and nobody else's. */
export function readable(backendDomid: number): Permission[] {
  return [{ domid: 0, access: "none" }, { domid: backendDomid, access: "read" }];
}

/** For what it writes. Domain 0 owns it, so it does not count against the driver domain's quota. */
export function writable(backendDomid: number): Permission[] {
  return [{ domid: 0, access: "none" }, { domid: backendDomid, access: "both" }];
}
