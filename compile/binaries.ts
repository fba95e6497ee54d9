/** The two binaries: what each is called, how it is built, and what runs it. */
import { buildFull } from "./full.ts";
import { buildSmall } from "./small/link.ts";
import { engineParts } from "./small/engine_parts.ts";
import type { Component } from "./sbom.ts";
import type { Order } from "./sources.ts";
import { RUNTIME_VERSION, type Target } from "./targets.ts";

/** One of the two. */
export interface Binary {
  readonly size: "small" | "full";
  /** As the file is called in `dist`, and the Debian package. */
  readonly name: "xdevd" | "xdevd-full";
  /**
   * Builds it.
   * @returns the files that went into it, relative to the current directory
   * @throws MissingPart, one line, when something that it is made with is not to be had
   * @throws Error that says why not
   */
  readonly build: (order: Order) => Promise<readonly string[]>;
  /** What of others is inside besides packages of npm. */
  readonly parts: (target: Target) => Component[];
}

/**
 * The licence of the full one's runtime and what is linked into it, as its makers state it
 * (https://bun.com/docs/project/licensing): its own code, and JavaScriptCore with WebKit's parts.
 */
const RUNTIME_LICENCE = "MIT AND LGPL-2.1-only";

/** What everybody copies: static, without a runtime to ship. */
export const SMALL: Binary = {
  size: "small",
  name: "xdevd",
  build: buildSmall,
  parts: engineParts,
};

/** With the runtime that the tests run on: TypeScript plugins, `plugin bundle`, drawings. */
export const FULL: Binary = {
  size: "full",
  name: "xdevd-full",
  build: buildFull,
  parts: ({ runtime }) => [{
    type: "platform",
    ecosystem: "npm",
    name: runtime.package,
    version: RUNTIME_VERSION,
    licence: RUNTIME_LICENCE,
    integrity: runtime.integrity,
  }],
};

/** The file of a target's binary, in a directory for those of several. */
export function fileName({ name }: Binary, target: Target): string {
  return `${name}-${target.name}`;
}
