/** Where a program's log goes, and how it looks there. */
import { configureLog, PRIORITIES } from "../../core/log/log.ts";
import type { LogLevel } from "../../core/log/levels.ts";
import type { LogFormat } from "../../core/log/levels.ts";
import { isJournal } from "../../platform/linux/journal_stream.ts";
import { printTo } from "../../platform/self.ts";

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
