/** Modules that are loaded at run time, and put together: what only the runtime can do. */

/** Code of plugins. */
export interface Modules {
  /** Runs a module file and returns what it exports. */
  load(file: string): Promise<Record<string, unknown>>;
  /** What a module's text imports, as it is written there. @throws Error when it cannot be parsed */
  importsOf(file: string, text: string): string[];
  /** What modules are written in that run as they are. */
  readonly language: "TypeScript" | "JavaScript";
  /** Whether the runtime itself has a module of this name. */
  isBuiltIn(name: string): boolean;
}
