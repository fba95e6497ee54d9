/** The kernel, by the runtime's system calls: the small binary has another file in the place of this one. */
export { sys } from "./bun/sys.ts";
