/** The daemon's log: one line an event, fit for a terminal, a file, or a journal. */
import { configureSync, getLogger, type LogRecord, resetSync } from "@logtape/logtape";

/** How much is said. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** The accepted names, least severe first. */
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warning", "error"];

/** Where lines go: with the line end. */
export type LogSink = (line: string) => void;

/** Says things. */
export interface Log {
  debug(text: string): void;
  info(text: string): void;
  warning(text: string): void;
  error(text: string): void;
}

/** Directs all logging of the process to a sink. */
export function configureLog(level: LogLevel, sink: LogSink): void {
  resetSync();
  configureSync({
    sinks: { lines: (record) => sink(formatRecord(record)) },
    loggers: [
      { category: "xdevd", lowestLevel: level, sinks: ["lines"] },
      {
        category: ["xdevd", "answers"],
        lowestLevel: "info",
        sinks: ["lines"],
        parentSinks: "override",
      },
      { category: ["logtape", "meta"], lowestLevel: "error", sinks: ["lines"] },
    ],
  });
}

/** A log; `subject` (a device's name, say) opens each of its lines. */
export function openLog(subject?: string): Log {
  const logger = getLogger("xdevd");
  const line = (text: string) => printable(subject === undefined ? text : `${subject}: ${text}`);
  return {
    // Most are for nobody, and then what they cost counts.
    debug: (text) => {
      if (logger.isEnabledFor("debug")) logger.debug("{line}", { line: line(text) });
    },
    info: (text) => logger.info("{line}", { line: line(text) }),
    warning: (text) => logger.warn("{line}", { line: line(text) }),
    error: (text) => logger.error("{line}", { line: line(text) }),
  };
}

/** For what somebody has asked for: at level `info`, and logged whatever the level is. */
export function openAnswers(): (text: string) => void {
  const logger = getLogger(["xdevd", "answers"]);
  return (text) => logger.info("{line}", { line: printable(text) });
}

function formatRecord(record: LogRecord): string {
  const time = new Date(record.timestamp).toISOString();
  const text = record.properties["line"] ?? record.rawMessage;
  return `${time} ${record.level.padEnd(7)} ${text}\n`;
}

/**
 * Text from elsewhere as one harmless line of bounded length: lines follow each other with a blank
 * between them.
 * @param max in characters
 */
export function oneLine(text: string, max: number): string {
  // What is not shown need not be looked through.
  const line = printable(text.slice(0, 2 * max).trim().replace(/\s*[\r\n]\s*/g, " "));
  if (line.length <= max && text.length <= 2 * max) return line;
  // No half of a character.
  return `${line.slice(0, max - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/**
 * Makes text from elsewhere harmless on one line: guests and scripts must not be able to forge
 * lines, send escape sequences to a terminal, or change the order in which text is shown. Control
 * and format characters and half surrogates are escaped.
 */
export function printable(text: string): string {
  if (/^[ -~]*$/.test(text)) return text;
  return text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code > 0xffff ? `\\u{${code.toString(16)}}` : `\\x${code.toString(16).padStart(2, "0")}`;
  });
}
