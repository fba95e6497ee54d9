/** Reads Prometheus' text format, as strictly as its description has it. */

/** Samples by name and labels, as `name{a="b"}` with the labels in the order that they came in. */
export type Samples = ReadonlyMap<string, number>;

const NAME = /^[a-zA-Z_:][a-zA-Z0-9_:]*$/;
const LABEL = /^([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\n"])*)"(,|$)/;

/** @throws Error that names the line which is none */
export function samplesOf(text: string): Samples {
  const samples = new Map<string, number>();
  const types = new Map<string, string>();
  const ended = new Set<string>();
  let family = "";
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  for (const line of text.slice(0, -1).split("\n")) {
    const refuse = (why: string): never => {
      throw new Error(`${why}: ${line}`);
    };
    const [, what, of = "", rest = ""] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (what === "HELP") {
      if (ended.has(of)) refuse("a family in two pieces");
      ended.add(of);
      family = of;
      continue;
    }
    if (what === "TYPE") {
      if (of !== family || !/^(counter|gauge|histogram)$/.test(rest)) refuse("a type of nothing");
      types.set(of, rest);
      continue;
    }
    const [, name = "", , labels = "", value = ""] = /^([^{ ]+)(\{(.*)\})? (\S+)$/.exec(line) ?? [];
    if (!NAME.test(name)) refuse("no sample");
    const base = types.get(family) === "histogram"
      ? name.replace(/_(bucket|sum|count)$/, "")
      : name;
    if (base !== family) refuse(`not of the family ${family}`);
    for (let left = labels; left !== "";) {
      const match = LABEL.exec(left) ?? refuse("no label");
      left = left.slice(match[0].length);
    }
    const number = value === "+Inf" ? Infinity : Number(value);
    if (Number.isNaN(number)) refuse("no number");
    const key = labels === "" ? name : `${name}{${labels}}`;
    if (samples.has(key)) refuse("a sample that is there already");
    samples.set(key, number);
  }
  return samples;
}
