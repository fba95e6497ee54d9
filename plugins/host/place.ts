/** Where in a plugin's files something went wrong. Pure. */

/** An error with its place in the plugin's files at the end of its first line. */
export class LocatedError extends Error {
  override name = "LocatedError";
}

/** What only a mistake in the code throws. */
const MISTAKES = [TypeError, ReferenceError, RangeError, SyntaxError];

/** Whether this tells of a mistake in the code rather than of what it found. */
export function isMistake(error: unknown): boolean {
  return MISTAKES.some((kind) => error instanceof kind);
}

/** Where the runtime's compiler has found an error; null for other errors. */
export function syntaxPlace(
  error: unknown,
): { readonly file: string; readonly line: number } | null {
  const { errors, position } = (error ?? {}) as {
    errors?: unknown;
    position?: { file?: unknown; line?: unknown } | null;
  };
  if (Array.isArray(errors) && errors.length > 0) return syntaxPlace(errors[0]);
  const { file, line } = position ?? {};
  return typeof file === "string" && typeof line === "number" ? { file, line } : null;
}

/**
 * The place that an error comes from, as `my-disks.ts:23`; null if that is not known.
 * @param origin the plugin's file; files beside and below it are its own
 */
export function placeOf(error: unknown, origin: string): string | null {
  const directory = origin.slice(0, origin.lastIndexOf("/") + 1);
  if (directory === "" || typeof error !== "object" || error === null) return null;
  const own = (file: string, line: number | string) =>
    file.startsWith(directory) ? `${file.slice(directory.length)}:${line}` : null;
  const syntax = syntaxPlace(error);
  if (syntax !== null) return own(syntax.file, syntax.line);
  const { stack } = error as { stack?: unknown };
  for (const line of typeof stack === "string" ? stack.split("\n") : []) {
    const [, file = "", number = ""] = FRAME.exec(line) ?? [];
    const place = own(file, number);
    if (place !== null) return place;
  }
  return null;
}

/** `    at async add (/some/where.ts?3:23:5)`, or without a name. */
const FRAME = /^\s+at (?:.*\(|async )?(\/.*?)(?:\?\d+)?:(\d+)(?::\d+)?\)?$/;

/** The same error, with its place if that is known; what is no Error stays what it is. */
export function located(error: unknown, origin: string): unknown {
  const place = placeOf(error, origin);
  if (place === null || !(error instanceof Error) || error instanceof LocatedError) return error;
  const [first = "", ...others] = error.message.split("\n");
  return new LocatedError([`${first || error.name} (${place})`, ...others].join("\n"), {
    cause: error,
  });
}
