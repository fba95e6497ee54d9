/** What the runtime brings. */
export { program } from "./program.ts";
export { sources } from "./sources.ts";
