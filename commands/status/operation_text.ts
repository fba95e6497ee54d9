/** An attach or a detach, for people. Pure. */
import { oneLine } from "../../core/log/log.ts";
import { timelineLine } from "../../core/log/timeline.ts";
import type { FlightEvent, OperationReport } from "../../core/daemon/flight/flight_recorder.ts";

/** Longest line, in characters. */
const LINE_MAX = 400;

/** One operation: a line that says what it was, and one for each event. */
export function operationText(
  device: string,
  operation: OperationReport,
  coloured: boolean,
): string {
  const { events, lost } = operation;
  const lines = events.map((event) => eventLine(event, coloured));
  if (lost > 0) lines.push(`${" ".repeat(14)}${lost} more were too many to be kept`);
  return `${[titleOf(device, operation), ...lines].join("\n")}\n\n`;
}

/** `attach of vbd/7/51712, 2026-11-30T12:00:00.000Z: done in 38.2 ms` */
export function titleOf(device: string, one: OperationReport): string {
  const { operation, startedAt, durationMs, outcome, error } = one;
  const end = durationMs === null ? "under way" : `${outcome} in ${durationMs.toFixed(1)} ms`;
  const why = error === null ? "" : `: ${error}`;
  return oneLine(`${operation} of ${device}, ${startedAt}: ${end}${why}`, LINE_MAX);
}

export function eventLine({ atMs, who, what, tookMs }: FlightEvent, coloured: boolean): string {
  const took = tookMs === null ? "" : ` (${tookMs.toFixed(1)} ms)`;
  return timelineLine(atMs, oneLine(who, 20), `${oneLine(what, LINE_MAX)}${took}`, coloured);
}
