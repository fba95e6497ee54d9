/**
 * How this program was called, byte by byte. Loads nothing before it is needed: `node:fs` takes half
 * as long to load as the runtime takes to start.
 */

/** The name that this program was called by: argv[0], as the caller gave it. */
export function calledAs(): string {
  return process.argv0;
}

/** The environment variable, or undefined. As in self.ts, which loads more. */
export function variable(name: string): string | undefined {
  return process.env[name];
}

/** What stands in the runtime's own list of arguments for what is no UTF-8. */
const REPLACEMENT = "\ufffd";

/**
 * The arguments, a character a byte (0 to 255): the runtime's own list has lost what is no UTF-8.
 * Without /proc that list has to do.
 */
export async function argumentBytes(): Promise<string[]> {
  const decoded = process.argv.slice(2);
  const asGiven = () => decoded.map((text) => Buffer.from(text).toString("latin1"));
  if (!decoded.some((text) => text.includes(REPLACEMENT))) return asGiven();
  try {
    const { readFileSync } = await import("node:fs");
    const all = readFileSync("/proc/self/cmdline", "latin1").split("\0");
    return all.slice(0, -1).slice(-decoded.length);
  } catch {
    return asGiven();
  }
}
