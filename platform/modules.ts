/** Modules that are loaded at run time: the small binary has another file in the place of this one. */
export type { Modules } from "./module_loader.ts";
export { bundleModule, freshModules, provideModule, systemModules } from "./bun/modules.ts";
