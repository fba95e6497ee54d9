/** What people, and programs, are told of a command that failed. */
import { CodedError, lineOf, problemOf } from "../core/messages/error.ts";
import { printable } from "../core/log/log.ts";
import { OutputClosed, printTo } from "../platform/self.ts";
import { errorPrefix } from "./devd/log_output.ts";
import { asksForJson, errorJson, printJson } from "./json_output.ts";
import { LineEnded } from "./line/command.ts";

/**
 * Tells it.
 * @param args the command line
 * @returns the exit status
 */
export function tellFailure(error: unknown, args: readonly string[]): number {
  const isLine = error instanceof LineEnded;
  const problem = problemOf(isLine ? new CodedError("usage", error.message) : error);
  let { status } = problem;
  if (asksForJson(args)) {
    try {
      printJson({ error: errorJson(problem) });
    } catch (unsaid) {
      // There is still the standard error.
      if (unsaid instanceof OutputClosed) status = OutputClosed.status;
    }
  }
  // Of the command line people have been told.
  if (isLine) return status;
  const prefix = errorPrefix();
  const lines = [`xdevd: ${lineOf(problem)}`, ...problem.details.map((line) => `  ${line}`)];
  try {
    printTo(2, lines.map((line) => `${prefix}${printable(line)}\n`).join(""));
  } catch {
    // Nobody can be told.
  }
  return status;
}
