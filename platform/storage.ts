/**
 * Storage may not answer: who asks it, and how, is the runtime's. The small binary has another file in
 * the place of this one.
 */
export { far } from "./bun/far.ts";
