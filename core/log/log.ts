/** The daemon's log: one line an event, fit for a terminal, a file, or a journal. */
import { LOG_LEVELS, type LogLevel } from "./levels.ts";
import { codeIn } from "../messages/table.ts";

/** Where lines go: with the line end. */
export type LogSink = (line: string) => void;

export interface Log {
  debug(text: string): void;
  info(text: string): void;
  warning(text: string): void;
  error(text: string): void;
}

/** What lines are about: a device, say. */
export interface LogSubject {
  /** Opens each line. */
  readonly label: string;
  /** The same for programs. */
  readonly fields: Readonly<Record<string, string | number>>;
}

export interface LogLook {
  /** `json`: an object each. */
  readonly format: "text" | "json";
  /** Whether systemd's journal takes them: it has the time, and wants to be told the priority. */
  readonly journal: boolean;
}

const PLAIN: LogLook = { format: "text", journal: false };

/** What tells the journal how severe a line is (sd-daemon(3), SD_DEBUG and its like). */
export const PRIORITIES: Readonly<Record<LogLevel, string>> = {
  debug: "<7>",
  info: "<6>",
  warning: "<4>",
  error: "<3>",
};

interface Configuration {
  /** Index of the least severe level that is written. */
  readonly least: number;
  readonly sink: LogSink;
  readonly look: LogLook;
}

/** Null: nobody has said yet where lines go, and they go nowhere. */
let configuration: Configuration | null = null;

/** Directs all logging of the process to a sink. */
export function configureLog(level: LogLevel, sink: LogSink, look: LogLook = PLAIN): void {
  configuration = { least: LOG_LEVELS.indexOf(level), sink, look };
}

/**
 * A log.
 * @param subject opens each of its lines, as it is when that is written
 * @param told of each line, also of those that are not written
 */
export function openLog(
  subject?: string | LogSubject,
  told?: (level: LogLevel, text: string) => void,
): Log {
  const at = (level: LogLevel) => {
    const severity = LOG_LEVELS.indexOf(level);
    return (text: string) => {
      told?.(level, text);
      // Most of `debug` is for nobody, and then what it costs counts.
      if (configuration === null || severity < configuration.least) return;
      write(configuration, level, subject, text);
    };
  };
  return { debug: at("debug"), info: at("info"), warning: at("warning"), error: at("error") };
}

/** For what somebody has asked for: at level `info`, and logged whatever the level is. */
export function openAnswers(): (text: string) => void {
  return (text) => {
    if (configuration !== null) write(configuration, "info", undefined, text);
  };
}

function write(
  { sink, look }: Configuration,
  level: LogLevel,
  subject: string | LogSubject | undefined,
  text: string,
): void {
  const line = format(level, subject, text, look);
  try {
    sink(line);
  } catch {
    // Whoever logs has more important things to do than to fail because its log does.
  }
}

function format(
  level: LogLevel,
  subject: string | LogSubject | undefined,
  text: string,
  { format, journal }: LogLook,
): string {
  const time = new Date().toISOString();
  const priority = journal ? PRIORITIES[level] : "";
  if (format === "json") {
    const about = typeof subject === "string" ? { subject } : subject?.fields ?? {};
    const code = codeIn(text);
    const line = { time, level, ...about, ...(code === null ? {} : { code }), message: text };
    return `${priority}${JSON.stringify(line, harmless)}\n`;
  }
  const label = typeof subject === "string" ? subject : subject?.label;
  const line = printable(label === undefined ? text : `${label}: ${text}`);
  return journal ? `${priority}${line}\n` : `${time} ${level.padEnd(7)} ${line}\n`;
}

/** Who shows what is in an object may have a terminal, too. */
function harmless(_: string, value: unknown): unknown {
  return typeof value === "string" ? printable(value) : value;
}

/**
 * Text from elsewhere as one harmless line of bounded length: lines follow each other with a blank
 * between them.
 * @param max in characters
 */
export function oneLine(text: string, max: number): string {
  if (text.length <= max && /^[!-~](?:[ -~]*[!-~])?$/.test(text)) return text;
  // What is not shown need not be looked through.
  const line = printable(text.slice(0, 2 * max).trim().replace(/\s*[\r\n]\s*/g, " "));
  if (line.length <= max && text.length <= 2 * max) return line;
  // No half of a character.
  return `${line.slice(0, max - 1).replace(/[\ud800-\udbff]$/, "")}…`;
}

/**
 * The same, for paths and the like, of which beginning and end tell most: what is too long lacks its middle.
 * @param max in characters, 4 or more
 */
export function oneLineOfEnds(text: string, max: number): string {
  if (text.length <= max) {
    const line = oneLine(text, 10 * max);
    if (line.length <= max) return line;
  }
  const begin = Math.floor((max - 1) / 3);
  const end = max - 1 - begin;
  // No half of a character.
  const first = oneLine(text.slice(0, 2 * max), 20 * max).slice(0, begin).replace(
    /[\ud800-\udbff]$/,
    "",
  );
  const last = oneLine(text.slice(-2 * max), 20 * max).slice(-end).replace(/^[\udc00-\udfff]/, "");
  return `${first}…${last}`;
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
