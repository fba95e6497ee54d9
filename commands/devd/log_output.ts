/** Where a program's log goes, and how it looks there. */
import { configureLog, type LogLevel, PRIORITIES } from "../../core/log/log.ts";
import { isJournal } from "../../platform/linux/journal_stream.ts";
import { printTo } from "../../platform/self.ts";

/** How lines are written: for people, or an object each. */
export const LOG_FORMATS = ["text", "json"] as const;

/** One of {@link LOG_FORMATS}. */
export type LogFormat = typeof LOG_FORMATS[number];

/** Directs all logging to the standard error. @param print writes there */
export function logToStderr(
  level: LogLevel,
  format: LogFormat = "text",
  print: typeof printTo = printTo,
): void {
  configureLog(level, (line) => print(2, line), { format, journal: isJournal(2) });
}

/** What opens an error's line on the standard error: a priority, if the journal reads it. */
export function errorPrefix(): string {
  return isJournal(2) ? PRIORITIES.error : "";
}
