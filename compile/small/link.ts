/** The small binary: the engine, the host in C and the program's parts, in one static file. */
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import type { BuildInfo } from "../../core/build_info.ts";
import { placeMade } from "../../platform/io/place_files.ts";
import { builtInsSource, commit, ONLY_DEVD } from "../sources.ts";
import { type Target, thisMachine } from "../targets.ts";
import { engine } from "./engine.ts";
import { makeParts, partsHeader } from "./parts.ts";
import { ENGINE_VERSION } from "./pinned.ts";
import { sanitizedEngine } from "./sanitized.ts";

/** What to build. */
export interface SmallOrder {
  readonly outfile: string;
  /** Names of the backends that are built in. */
  readonly plugins: readonly string[];
  /** Null, or none: for this machine. */
  readonly target?: Target | null;
  /** No other command than the daemon, its version, and the xenstore tools. */
  readonly onlyDevd?: boolean;
  /** With the compiler's sanitizers, for tests on this machine. */
  readonly sanitized?: boolean;
  /** The module that runs, in place of `main.ts`: for tests of the host. */
  readonly main?: string;
}

/**
 * Builds it.
 * @returns the files that went into it, relative to the current directory
 * @throws MissingPart, one line, when something that it is made with is not to be had
 * @throws Error that says why not
 */
export async function buildSmall(
  {
    outfile,
    plugins,
    target: chosen,
    onlyDevd = false,
    sanitized = false,
    main = "main.ts",
  }: SmallOrder,
): Promise<readonly string[]> {
  const target = chosen ?? thisMachine();
  const info: BuildInfo = { commit: commit(), target: target.name };
  const replaced = {
    "built_in.ts": builtInsSource(plugins),
    ...(onlyDevd ? { "commands/commands.ts": ONLY_DEVD } : {}),
    "core/build_info.ts": `export const BUILD = ${JSON.stringify(info)};`,
    "platform/quickjs/engine_version.ts": `export const ENGINE = "${ENGINE_VERSION}";`,
  };
  // The parts are bytecode, which this machine compiles, and which is the same for all.
  const own = engine(thisMachine());
  const made = sanitized ? sanitizedEngine() : engine(target);
  const work = resolve(`build/small/work.${process.pid}`);
  rmSync(work, { recursive: true, force: true });
  mkdirSync(work, { recursive: true });
  try {
    const parts = await makeParts(own, main, replaced, work);
    const { directory } = parts;
    writeFileSync(join(directory, "parts.h"), partsHeader(parts));
    const host = resolve("platform/quickjs/host.c");
    await placeMade(resolve(outfile), (temporary) => {
      made.link(host, temporary, directory, [directory]);
    });
    return parts.inputs;
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
}
