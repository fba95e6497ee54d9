/** How plots look: colours that can be read on white and on black. Pure. */

/** Width of a plot, in pixels. */
export const WIDTH = 760;
/** Space at the sides. */
export const MARGIN = 16;
/** Of text; contrast of 4 or more on white as on GitHub's black. */
export const INK = "#767676";
/** Of the subject that others are compared with, and of the others. */
export const REFERENCE = "#9aa0a6";
export const SUBJECT = "#3b82d6";
/** Of what tells the spread. */
export const SPREAD = "#d9730d";

/** Width of text in 12 pixels, about: no fonts are known here. */
export function widthOf(text: string): number {
  return text.length * 6.6;
}

/** Attributes of lines that only guide the eye. */
export const GRID = { stroke: INK, "stroke-opacity": "0.25" } as const;
/** Of text in the margin. */
export const SMALL = { "font-size": "11" } as const;
