/**
 * What an object itself has under a name; what all objects have (`constructor`, `toString`) is not
 * meant by anybody who chooses a name. Pure.
 */
export function own<T>(table: Readonly<Record<string, T>>, name: string): T | undefined {
  return Object.hasOwn(table, name) ? table[name] : undefined;
}
