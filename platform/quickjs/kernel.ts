/** The kernel, by the host's system calls. */
import type { Sys } from "../sys.ts";
import { host } from "./host.ts";

/** See {@link Sys}. */
export const sys: Sys = host.sys;
