/** What the runtime brings: the small binary has another file in the place of this one. */
export { far } from "./bun/far.ts";
export { program } from "./bun/program.ts";
export { sources } from "./bun/sources.ts";
