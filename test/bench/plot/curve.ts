/** A result along an axis, such as a number of devices: the medians as a line, with whiskers. Pure. */
import { type Along, type Figures, shown } from "../result.ts";
import { axisFor } from "./axis.ts";
import { type Panel, whisker } from "./bars.ts";
import { GRID, MARGIN, SMALL, SUBJECT, WIDTH } from "./style.ts";
import { element, line, number, text } from "./svg.ts";

/** Of the field, in pixels. */
const HEIGHT = 150;
/** For the axis below, and what it is of. */
const FOOT = 40;

/**
 * @param along of the figures; its values stand in logarithmic distances
 * @param top where the panel begins, in pixels
 */
export function curve({ subjects, unit }: Figures, along: Along, top: number): Panel {
  const left = MARGIN + 60;
  const right = WIDTH - MARGIN - 40;
  const bottom = top + HEIGHT;
  const [first, last] = [Math.log(along.at[0]!), Math.log(along.at.at(-1)!)];
  const x = (value: number) => {
    const share = last > first ? (Math.log(value) - first) / (last - first) : 0.5;
    // The first and the last point not on the field's edge.
    return left + (0.04 + 0.92 * share) * (right - left);
  };
  const axis = axisFor(subjects.flatMap(({ least, median, p99 }) => [least, median, p99]));
  const y = (value: number) => bottom - axis.at(value) * HEIGHT;
  const elements: string[] = [];
  for (const tick of axis.ticks) {
    elements.push(line([left, y(tick)], [right, y(tick)], GRID));
    elements.push(text(String(tick), left - 8, y(tick) + 4, { ...SMALL, "text-anchor": "end" }));
  }
  const points = subjects.map(({ median }, index) => [x(along.at[index]!), y(median)] as const);
  elements.push(element("polyline", {
    points: points.map(([x, y]) => `${number(x)},${number(y)}`).join(" "),
    fill: "none",
    stroke: SUBJECT,
    "stroke-width": "2",
  }));
  subjects.forEach(({ least, median, p99 }, index) => {
    const [at, height] = points[index]!;
    const anchor = { "text-anchor": "middle" };
    elements.push(
      ...whisker([at, y(least)], [at, y(p99)]),
      element("circle", { cx: at, cy: height, r: 4, fill: SUBJECT }),
      text(shown(median), at + 8, height - 6, SMALL),
      text(String(along.at[index]), at, bottom + 16, { ...SMALL, ...anchor }),
    );
  });
  const scale = axis.logarithmic ? `${unit}, logarithmic` : unit;
  elements.push(text(`${along.what}; ${scale}`, left, bottom + 32, SMALL));
  return { elements, height: HEIGHT + FOOT };
}
