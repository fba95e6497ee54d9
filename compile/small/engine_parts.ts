/** What of others is inside of the small binary besides packages of npm. */
import type { Component } from "../sbom.ts";
import type { Target } from "../targets.ts";
import { compilerLibrary } from "./engine.ts";
import { MUSL, type Pinned, QUICKJS, SUITE } from "./pinned.ts";

/** The engine, the C library, and what the compiler itself adds. */
export function engineParts(target: Target): Component[] {
  const compiler = compilerLibrary(target);
  return [
    { type: "platform", ...debian(QUICKJS), licence: "MIT" },
    // Its copyright file: MIT, with files under other terms that ask for as little.
    { type: "library", ...debian(MUSL[target.debian]), licence: "MIT" },
    {
      type: "library",
      ecosystem: "generic",
      name: "libgcc",
      version: compiler.version,
      licence: "GPL-3.0-or-later WITH GCC-exception-3.1",
      sha256: compiler.sha256,
    },
  ];
}

function debian({ name, version, architecture, sha256 }: Pinned) {
  const qualifiers = `arch=${architecture ?? "source"}&distro=${SUITE}`;
  return { ecosystem: "deb/debian", name, version, qualifiers, sha256 } as const;
}
