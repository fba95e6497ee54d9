/** A benchmark's run as one SVG. The same run makes the same text. Pure. */
import { machine, type Recorded } from "../result.ts";
import { bars } from "./bars.ts";
import { curve } from "./curve.ts";
import { INK, MARGIN, SMALL, WIDTH } from "./style.ts";
import { element, escape, number, text } from "./svg.ts";

/** Of a panel's title, and of what is told below all. */
const TITLE = 30;
const FOOT = 40;

/** Draws a run. */
export function plot({ name, environment, figures }: Recorded): string {
  const elements: string[] = [];
  let top = 0;
  for (const result of figures) {
    top += TITLE;
    const { what, unit, along } = result;
    elements.push(text(`${what}, in ${unit}`, MARGIN, top - 10, { "font-weight": "600" }));
    const panel = along === undefined ? bars(result, top) : curve(result, along, top);
    elements.push(...panel.elements);
    top += panel.height;
  }
  const height = top + FOOT;
  const legend = "bar or point: median; whisker: least to p99 (greatest of fewer than 100); " +
    "×: times the first, round by round (middle half of the rounds)";
  elements.push(text(legend, MARGIN, height - 24, SMALL));
  elements.push(text(machine(environment), MARGIN, height - 8, SMALL));
  return element(
    "svg",
    {
      xmlns: "http://www.w3.org/2000/svg",
      viewBox: `0 0 ${WIDTH} ${number(height)}`,
      width: WIDTH,
      height,
      "font-family": "system-ui, sans-serif",
      "font-size": "12",
      fill: INK,
      role: "img",
    },
    element("title", {}, escape(`xdevd, bench ${name}`)),
    ...elements.map((one) => `\n${one}`),
    "\n",
  ) + "\n";
}
