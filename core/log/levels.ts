/** How much is logged, and how lines look. */

/** How severe a line is. */
export type LogLevel = "debug" | "info" | "warning" | "error";

/** The accepted names, least severe first. */
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warning", "error"];

/** How lines are written: for people, or an object each. */
export const LOG_FORMATS = ["text", "json"] as const;

/** One of {@link LOG_FORMATS}. */
export type LogFormat = typeof LOG_FORMATS[number];
