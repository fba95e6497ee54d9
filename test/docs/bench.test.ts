/** What is made of the benchmarks' figures: ratios, plots, and the files of docs/bench. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { benchDocument } from "../bench/document.ts";
import { axisFor } from "../bench/plot/axis.ts";
import { plot } from "../bench/plot/plot.ts";
import { element, escape } from "../bench/plot/svg.ts";
import { DIRECTORY, record, recorded, redraw } from "../bench/record.ts";
import { type Along, figuresOf, type Recorded, shown } from "../bench/result.ts";
import { ratio, summarise } from "../bench/statistics.ts";

function run(name: string, series: Record<string, number[]>, along?: Along): Recorded {
  const subjects = Object.fromEntries(
    Object.entries(series).map(([subject, values]) => [subject, summarise(values)]),
  );
  const result = { what: `what ${name} | measures`, unit: "ms", subjects };
  return {
    name,
    environment: {
      date: "2026-01-02",
      processor: "A & B",
      processors: 2,
      load: 0.5,
      kernel: "Linux 6",
      versions: { bun: "1" },
    },
    figures: [figuresOf(along === undefined ? result : { ...result, along })],
  };
}

describe("ratios", () => {
  test("their spread is that of the rounds, so that what slows down both does not count", () => {
    const slower = [1, 1, 4, 4, 8, 8, 2, 2];
    const a = summarise(slower.map((by) => 3 * by));
    const b = summarise(slower);
    expect(ratio(a, b)).toEqual({ median: 3, spread: [3, 3] });
    expect(ratio(summarise([2, 4, 6, 8]), summarise([2, 2, 2, 2])))
      .toEqual({ median: 3, spread: [2, 4] });
    // By their medians it would be 0.22.
    expect(ratio(summarise([2, 2, 2, 18]), summarise([1, 1, 9, 9])).median).toBe(2);
  });

  test("there is none without rounds", () => {
    expect(ratio(summarise([2, 4]), summarise([1]))).toEqual({ median: 4, spread: null });
    expect(ratio(summarise([2]), summarise([1]))).toEqual({ median: 2, spread: null });
  });

  test("figures have the first subject's as null, and four digits", () => {
    const { figures: [one] } = run("x", { b: [3], a: [1] });
    expect(one!.subjects.map(({ name, ratio }) => [name, ratio])).toEqual([
      ["b", null],
      ["a", { median: 0.3333, spread: null }],
    ]);
  });

  test("as they are shown", () => {
    expect([0, 0.00981, 0.5, 12.345, 123.4].map(shown))
      .toEqual(["0.00", "0.0098", "0.50", "12.3", "123"]);
  });
});

describe("an axis", () => {
  const values = fc.array(fc.double({ min: 1e-6, max: 1e9, noNaN: true }), { minLength: 1 });

  test("has all values on it, in their order, and is logarithmic from 50 times", () => {
    fc.assert(fc.property(values, (values) => {
      const axis = axisFor(values);
      const sorted = [...values].sort((a, b) => a - b);
      expect(axis.logarithmic).toBe(sorted.at(-1)! / sorted[0]! > 50);
      expect(axis.from).toBe(axis.logarithmic ? axis.ticks[0]! : 0);
      expect(axis.to * (1 + 1e-6)).toBeGreaterThanOrEqual(sorted.at(-1)!);
      expect(axis.from * (1 - 1e-6)).toBeLessThanOrEqual(sorted[0]!);
      expect(axis.ticks.length).toBeWithin(2, 18);
      expect(axis.ticks).toEqual([...new Set(axis.ticks)].sort((a, b) => a - b));
      expect([axis.at(axis.from), axis.at(axis.to)]).toEqual([0, 1]);
      let last = 0;
      for (const value of sorted) {
        expect(axis.at(value)).toBeWithin(last, 1 + 1e-9);
        last = axis.at(value);
      }
    }));
  });

  test("of round numbers", () => {
    expect(axisFor([4.03, 1]).ticks).toEqual([0, 1, 2, 3, 4, 5]);
    expect(axisFor([0.3]).ticks).toEqual([0, 0.1, 0.2, 0.3]);
    expect(axisFor([21, 2100]).ticks).toEqual([10, 100, 1000, 10_000]);
    expect(axisFor([0, 0]).ticks.at(-1)).toBe(1);
  });
});

describe("SVG", () => {
  test("has any text as text", () => {
    fc.assert(fc.property(fc.string({ unit: "binary" }), (text) => {
      const escaped = escape(text);
      expect(escaped.replace(/&#\d+;/g, "")).not.toMatch(/[<>&"']/);
      const back = escaped.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(Number(code)));
      // deno-lint-ignore no-control-regex
      expect(back).toBe(text.replace(/[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]/g, "\ufffd"));
    }));
  });

  test("has attributes with two decimals", () => {
    expect(element("rect", { x: 1 / 3, y: -0.001, fill: 'a"b' }))
      .toBe('<rect x="0.33" y="0" fill="a&#34;b"/>');
  });
});

/** Attributes of all elements of a name. */
function elements(svg: string, name: string): Record<string, string>[] {
  return [...svg.matchAll(new RegExp(`<${name} ([^>]*?)/?>`, "g"))].map(([, attributes]) =>
    Object.fromEntries([...attributes!.matchAll(/([\w-]+)="([^"]*)"/g)].map((m) => [m[1]!, m[2]!]))
  );
}

describe("a plot", () => {
  test("has a bar for each subject in their order, as long as the median says", () => {
    const svg = plot(run("x", { "first <1>": [2, 2, 2], second: [3, 3, 3], third: [1, 1, 1] }));
    const [a, b, c] = elements(svg, "rect");
    expect([a, b, c].map((bar) => Number(bar!["y"]))).toEqual([35, 59, 83]);
    expect(Number(b!["width"]) / Number(a!["width"])).toBeCloseTo(1.5, 2);
    expect(Number(c!["width"]) / Number(a!["width"])).toBeCloseTo(0.5, 2);
    const labels = [
      "first &#60;1&#62;",
      "second",
      "third",
      "what x | measures, in ms",
      "A &#38; B",
    ];
    for (const label of labels) expect(svg).toContain(label);
    expect(svg).not.toContain("logarithmic");
  });

  test("has whiskers from the least to the 99th percentile, and none of a single value", () => {
    const wide = elements(plot(run("x", { a: [1, 2, 4] })), "line")
      .filter((line) => line["stroke-width"] !== undefined);
    expect(wide).toHaveLength(3);
    const [{ x1, x2 } = {}] = wide;
    const [bar] = elements(plot(run("x", { a: [1, 2, 4] })), "rect");
    const [begin, width] = [Number(bar!["x"]), Number(bar!["width"])];
    expect((Number(x1) - begin) / width).toBeCloseTo(0.5, 2);
    expect((Number(x2) - begin) / width).toBeCloseTo(2, 2);
    const none = elements(plot(run("x", { a: [2], b: [4] })), "line")
      .filter((line) => line["stroke-width"] !== undefined);
    expect(none).toHaveLength(0);
  });

  test("says that an axis is logarithmic", () => {
    expect(plot(run("x", { a: [1], b: [1000] }))).toContain("ms, logarithmic");
  });

  test("along an axis is a line through all points", () => {
    const along = { what: "devices", at: [10, 100, 1000] };
    const svg = plot(run("x", { a: [1, 1], b: [2, 3], c: [4, 5] }, along));
    const points = elements(svg, "circle").map(({ cx, cy }) => [Number(cx), Number(cy)] as const);
    expect(elements(svg, "polyline")[0]!["points"]).toBe(points.map(String).join(" "));
    const [[x1, y1], [x2, y2], [x3, y3]] = points as [
      readonly [number, number],
      readonly [number, number],
      readonly [number, number],
    ];
    expect(x2 - x1).toBeCloseTo(x3 - x2, 1);
    expect([y1 > y2, y2 > y3]).toEqual([true, true]);
    expect(elements(svg, "rect")).toHaveLength(0);
    expect(svg).toContain("devices; ms");
  });
});

describe("the files", () => {
  let directory: string;
  beforeEach(() => directory = fs.mkdtempSync(join(tmpdir(), "xdevd-bench-test-")));
  afterEach(() => fs.rmSync(directory, { recursive: true }));
  const content = () =>
    Object.fromEntries(
      fs.readdirSync(directory).map((
        name,
      ) => [name, fs.readFileSync(join(directory, name), "utf8")]),
    );

  test("a run replaces its own, and the index has all", () => {
    const [b, a] = [run("b", { x: [1] }), run("a", { x: [1], y: [2] })];
    record(b, directory);
    record(a, directory);
    expect(Object.keys(content()).sort())
      .toEqual(["README.md", "a.json", "a.svg", "b.json", "b.svg"]);
    expect(recorded(directory)).toEqual([a, b]);
    const before = content();
    expect(before["README.md"]).toBe(benchDocument([b, a]));
    expect(before["README.md"]).toContain("| y | 2.00 | 2.00 | 2.00 | 2.00 | 1 |");
    expect(before["README.md"]).toContain("| what a \\| measures | median, ms |");
    redraw(directory);
    expect(content()).toEqual(before);
    record(run("a", { x: [7] }), directory);
    expect(recorded(directory)[1]).toEqual(b);
    expect(content()["README.md"]).not.toContain("| y |");
  });

  test("what cannot be drawn, and figures that are none, leave all as it was", () => {
    record(run("a", { x: [1] }), directory);
    const before = content();
    const broken = { ...run("a", { x: [2] }), figures: [null] } as unknown as Recorded;
    expect(() => record(broken, directory)).toThrow();
    expect(content()).toEqual(before);
    fs.writeFileSync(join(directory, "b.json"), "{");
    expect(() => record(run("a", { x: [2] }), directory)).toThrow(/b\.json: not the figures/);
    fs.rmSync(join(directory, "b.json"));
    expect(content()).toEqual(before);
    const inTheWay = join(directory, ".README.md.new");
    fs.mkdirSync(inTheWay);
    expect(() => record(run("a", { x: [2] }), directory)).toThrow(/EISDIR/);
    fs.rmdirSync(inTheWay);
    expect(content()).toEqual(before);
  });

  test("in docs/bench all are as the figures say", () => {
    const runs = recorded(DIRECTORY);
    for (const one of runs) {
      expect(fs.readFileSync(join(DIRECTORY, `${one.name}.svg`), "utf8")).toBe(plot(one));
    }
    expect(fs.readFileSync(join(DIRECTORY, "README.md"), "utf8")).toBe(benchDocument(runs));
  });
});
