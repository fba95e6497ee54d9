/** A result as bars: the median, and a whisker from the least value to the 99th percentile. Pure. */
import { type Figures, shown, shownRatio } from "../result.ts";
import { axisFor } from "./axis.ts";
import { GRID, MARGIN, REFERENCE, SMALL, SPREAD, SUBJECT, WIDTH, widthOf } from "./style.ts";
import { element, line, text } from "./svg.ts";

/** Of one bar with the space around it, in pixels. */
const ROW = 24;
const BAR = 14;
/** For the axis below. */
const FOOT = 26;

/** A drawn panel. */
export interface Panel {
  readonly elements: readonly string[];
  /** In pixels. */
  readonly height: number;
}

/** @param top where the panel begins, in pixels */
export function bars({ subjects, unit }: Figures, top: number): Panel {
  const labels = Math.max(...subjects.map(({ name }) => widthOf(name)));
  const medians = subjects.map(({ median }) => shown(median));
  const ratios = subjects.map(({ ratio }) => ratio === null ? "" : shownRatio(ratio));
  const [mediansWide, ratiosWide] = [medians, ratios].map((all) => Math.max(...all.map(widthOf)));
  const left = MARGIN + labels + 10;
  const ratioAt = WIDTH - MARGIN - ratiosWide!;
  const medianAt = ratioAt - 10;
  const right = medianAt - mediansWide! - 14;
  const axis = axisFor(subjects.flatMap(({ least, median, p99 }) => [least, median, p99]));
  const x = (value: number) => left + axis.at(value) * (right - left);
  const bottom = top + subjects.length * ROW;
  const elements: string[] = [];
  for (const tick of axis.ticks) {
    elements.push(line([x(tick), top], [x(tick), bottom], GRID));
    elements.push(text(String(tick), x(tick), bottom + 14, { ...SMALL, "text-anchor": "middle" }));
  }
  const scale = axis.logarithmic ? `${unit}, logarithmic` : unit;
  const unitAt = right + widthOf(String(axis.to)) / 2 + 4;
  elements.push(text(scale, unitAt, bottom + 14, SMALL));
  subjects.forEach((subject, index) => {
    const { name, least, median, p99 } = subject;
    const middle = top + index * ROW + ROW / 2;
    const baseline = middle + 4;
    elements.push(
      text(name, left - 10, baseline, { "text-anchor": "end" }),
      element("rect", {
        x: left,
        y: middle - BAR / 2,
        // Seen even where it stands at the beginning of the axis.
        width: Math.max(1, x(median) - left),
        height: BAR,
        fill: index === 0 ? REFERENCE : SUBJECT,
      }),
      ...whisker([x(least), middle], [x(p99), middle]),
      text(medians[index]!, medianAt, baseline, { "text-anchor": "end" }),
      ...ratios[index] === "" ? [] : [text(ratios[index]!, ratioAt, baseline)],
    );
  });
  return { elements, height: subjects.length * ROW + FOOT };
}

/** A line with an end at each end; nothing where there is no spread. */
export function whisker(
  from: readonly [number, number],
  to: readonly [number, number],
): string[] {
  const [[x1, y1], [x2, y2]] = [from, to];
  if (x1 === x2 && y1 === y2) return [];
  const [across, along] = y1 === y2 ? [0, 4] : [4, 0];
  const look = { stroke: SPREAD, "stroke-width": "1.5" };
  return [
    line(from, to, look),
    line([x1 - across, y1 - along], [x1 + across, y1 + along], look),
    line([x2 - across, y2 - along], [x2 + across, y2 + along], look),
  ];
}
