/** What people, and programs, are told of a command that failed. */
import { CodedError, lineOf, problemOf } from "../core/messages/error.ts";
import { printable } from "../core/log/log.ts";
import { printTo } from "../platform/self.ts";
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
  if (asksForJson(args)) printJson({ error: errorJson(problem) });
  // Of the command line people have been told.
  if (isLine) return problem.status;
  const prefix = errorPrefix();
  printTo(2, `${prefix}xdevd: ${printable(lineOf(problem))}\n`);
  for (const line of problem.details) printTo(2, `${prefix}  ${printable(line)}\n`);
  return problem.status;
}
