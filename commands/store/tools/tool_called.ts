/** Which xenstore tool is meant, told before anything else is loaded. Pure. */

/** What the tools do. */
export const MODES = ["read", "write", "list", "ls", "rm", "exists", "chmod", "watch"] as const;

/** One of {@link MODES}. */
export type Mode = typeof MODES[number];

/** The names by which this program is a xenstore tool. */
export const TOOLS: readonly string[] = ["xenstore", ...MODES.map((mode) => `xenstore-${mode}`)];

/** A tool's invocation. */
export interface Invocation {
  /** As a program's argv[0]: it may be a path. */
  readonly name: string;
  /** How many of the arguments come before the tool's own. */
  readonly skip: 0 | 1;
}

/**
 * Whether a xenstore tool is called: through a link of its name, or by its name as the first argument
 * (`xdevd xenstore-read …`).
 */
export function toolCalled(argv0: string, args: readonly string[]): Invocation | null {
  if (TOOLS.includes(shortName(argv0))) return { name: argv0, skip: 0 };
  const [first] = args;
  return first !== undefined && TOOLS.includes(first) ? { name: first, skip: 1 } : null;
}

/** The last component of a program's name. */
export function shortName(name: string): string {
  return name.slice(name.lastIndexOf("/") + 1);
}
