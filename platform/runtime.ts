/** What the runtime brings: the small binary has another file in the place of this one. */
export { program } from "./bun/program.ts";
export { sources } from "./bun/sources.ts";
