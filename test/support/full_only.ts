/**
 * What only the full binary does, and why: tests of it run it, from the sources, whatever binary the other
 * tests of the program run (`XDEVD_BINARY`).
 */
import { join } from "node:path";

/** By what it is; a test names one of these. */
export const FULL_ONLY = {
  "TypeScript at run time": "the small binary's engine runs JavaScript",
  "several files": "a plugin of the small binary is one file",
  "plugin bundle": "the bundler is Bun's",
  "drawings": "Graphviz is left out of the small binary: it is larger than all the rest",
  "Bun's settings": "the small binary's engine has none",
  "demo --real": "it compiles a helper, and loads a module, of the source tree",
  "itself, compiled": "the test compiles the program in order to run it",
} as const;

/** How the full one is started. @param _what what the test is about */
export function fullCommand(_what: keyof typeof FULL_ONLY): [string, ...string[]] {
  return [process.execPath, join(import.meta.dir, "../../main.ts")];
}
