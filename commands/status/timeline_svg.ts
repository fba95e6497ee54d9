/** A picture of an operation, as text: a line for each event, and a bar for what took time. Pure. */
import { own } from "../../contract/v1/own.ts";
import { printable } from "../../core/log/log.ts";
import type { OperationReport } from "../../core/daemon/flight/flight_recorder.ts";
import { titleOf } from "./operation_text.ts";

const COLOURS: Readonly<Record<string, string>> = {
  toolstack: "#0b7285",
  kernel: "#862e9c",
  QEMU: "#862e9c",
  guest: "#e67700",
  daemon: "#2b8a3e",
  script: "#1864ab",
  plugin: "#1864ab",
};

/** Sizes, in user units, which are pixels: rows, the columns of times and names, the axis, all. */
const [ROW, TIMES, NAMES, AXIS, WIDTH] = [18, 80, 80, 320, 1200];
const [TOP, MARGIN] = [56, 12];

/** Longest text beside a bar, in characters. */
const TEXT_MAX = 110;

/** @param device as in `deviceName` */
export function timelineSvg(device: string, operation: OperationReport): string {
  const { events, durationMs } = operation;
  const whole = Math.max(durationMs ?? 0, ...events.map(({ atMs }) => atMs), 0.1);
  const left = MARGIN + TIMES + NAMES;
  const xOf = (ms: number) => left + Math.min(1, Math.max(0, ms / whole)) * AXIS;
  const height = TOP + events.length * ROW + MARGIN;
  const rows = events.map(({ atMs, who, what, tookMs }, index) => {
    const y = TOP + index * ROW;
    const colour = own(COLOURS, who) ?? "#495057";
    // What took time is told when it has ended.
    const from = xOf(atMs - (tookMs ?? 0));
    const width = Math.max(2, xOf(atMs) - from);
    const took = tookMs === null ? "" : ` (${tookMs.toFixed(1)} ms)`;
    return [
      text(MARGIN + TIMES - 12, y + 12, `${atMs.toFixed(1)} ms`, ' text-anchor="end"'),
      text(MARGIN + TIMES, y + 12, who, ` fill="${colour}"`),
      `<rect x="${n(from)}" y="${y + 4}" width="${n(width)}" height="9" rx="2" fill="${colour}"/>`,
      text(left + AXIS + 12, y + 12, `${what}`.slice(0, TEXT_MAX) + took),
    ].join("");
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" height="${height}" ` +
    `viewBox="0 0 ${WIDTH} ${height}" font-family="sans-serif" font-size="12">`,
    `<rect width="100%" height="100%" fill="#ffffff"/>`,
    text(MARGIN, 22, titleOf(device, operation), ' font-size="14" font-weight="bold"'),
    `<line x1="${left}" y1="${TOP - 8}" x2="${left + AXIS}" y2="${TOP - 8}" stroke="#adb5bd"/>`,
    text(left, TOP - 14, "0"),
    text(left + AXIS, TOP - 14, `${whole.toFixed(1)} ms`, ' text-anchor="end"'),
    ...rows,
    "</svg>\n",
  ].join("\n");
}

/** A number without digits that nobody sees. */
function n(value: number): string {
  return value.toFixed(1);
}

function text(x: number, y: number, content: string, more = ""): string {
  return `<text x="${x}" y="${y}"${more}>${escaped(content)}</text>`;
}

const ENTITIES: Readonly<Record<string, string>> = {
  "&": "amp",
  "<": "lt",
  ">": "gt",
  '"': "quot",
};

/** What XML takes (XML 1.0, 2.2 and 2.4). */
function escaped(content: string): string {
  return printable(content).replace(/[&<>"]/g, (character) => `&${own(ENTITIES, character)};`);
}
