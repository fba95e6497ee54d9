/** SVG as text. Pure. */

/** Attributes by name; numbers are written with at most two decimals. */
export type Attributes = Readonly<Record<string, string | number>>;

/** Text that means itself, in an attribute and in an element. */
export function escape(text: string): string {
  return text
    // What XML forbids altogether (https://www.w3.org/TR/xml/#charsets).
    // deno-lint-ignore no-control-regex
    .replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd")
    .replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** A number as an attribute: so that the same figures make the same file. */
export function number(value: number): string {
  return String(Math.round(value * 100) / 100 + 0);
}

/** An element; its children are elements already. */
export function element(name: string, attributes: Attributes, ...children: string[]): string {
  const list = Object.entries(attributes).map(([key, value]) =>
    ` ${key}="${typeof value === "number" ? number(value) : escape(value)}"`
  ).join("");
  return children.length === 0
    ? `<${name}${list}/>`
    : `<${name}${list}>${children.join("")}</${name}>`;
}

/** A line of text. */
export function text(content: string, x: number, y: number, attributes: Attributes = {}): string {
  return element("text", { x, y, ...attributes }, escape(content));
}

/** A straight line. */
export function line(
  from: readonly [number, number],
  to: readonly [number, number],
  attributes: Attributes,
): string {
  return element("line", { x1: from[0], y1: from[1], x2: to[0], y2: to[1], ...attributes });
}
