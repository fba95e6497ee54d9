/** Telling `xdevd --version` from other command lines, before anything is loaded. Pure. */

/** Whether this command line asks for nothing but the version, as a line or for programs. */
export function asksForVersion(args: readonly string[]): "line" | "json" | null {
  const [version, json] = args.toSorted((a, b) => Number(a === "--json") - Number(b === "--json"));
  if (version !== "--version" && version !== "-V") return null;
  return args.length === 1 ? "line" : args.length === 2 && json === "--json" ? "json" : null;
}
