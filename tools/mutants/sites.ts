/** Where a source can be changed by one small step, and into what. Pure. */

/** One small change of one file. */
export interface Mutant {
  readonly file: string;
  /** From 1. */
  readonly line: number;
  /** Offsets of what is replaced. */
  readonly from: number;
  readonly to: number;
  readonly replacement: string;
  /** For people: `=== → !==`. */
  readonly what: string;
}

/** Operators as the formatter writes them, and what stands in their place. */
const OPERATORS: readonly (readonly [string, string])[] = [
  [" === ", " !== "],
  [" !== ", " === "],
  [" < ", " <= "],
  [" <= ", " < "],
  [" > ", " >= "],
  [" >= ", " > "],
  [" && ", " || "],
  [" || ", " && "],
  [" + ", " - "],
  [" - ", " + "],
  [" += ", " -= "],
  [" -= ", " += "],
];

/** All changes that a file admits, in its order. Comments, texts, types and imports are left alone. */
export function mutantsOf(file: string, source: string): Mutant[] {
  const code = blanked(source);
  const found: Mutant[] = [];
  const add = (from: number, to: number, replacement: string, what: string) => {
    const line = source.slice(0, from).split("\n").length;
    found.push({ file, line, from, to, replacement, what });
  };
  for (const [operator, replacement] of OPERATORS) {
    for (let at = code.indexOf(operator); at >= 0; at = code.indexOf(operator, at + 1)) {
      add(at, at + operator.length, replacement, `${operator.trim()} → ${replacement.trim()}`);
    }
  }
  const each = (pattern: RegExp, change: (match: RegExpExecArray) => void) => {
    for (const match of code.matchAll(pattern)) change(match as RegExpExecArray);
  };
  each(/(?<=[ (=!,]|return )(?<!\| )(true|false)(?=[;,) \n])(?! \| )/g, ({ index, 0: word }) => {
    const other = word === "true" ? "false" : "true";
    add(index, index + word.length, other, `${word} → ${other}`);
  });
  each(/(?<=[ ([-])(?<!\| -?)(\d+)(?=[;,)\] \n])(?! \| )/g, ({ index, 0: number }) => {
    const other = String(Number(number) + 1);
    add(index, index + number.length, other, `${number} → ${other}`);
  });
  each(/(?<=\b(?:if|while) \()(?!\()([^()\n]+|[^()\n]*\([^()\n]*\)[^()\n]*)(?=\) )/g, (match) => {
    const { index, 0: condition } = match;
    add(
      index,
      index + condition.length,
      `!(${source.slice(index, index + condition.length)})`,
      "condition → its opposite",
    );
  });
  // A statement that is a call, whole on its line.
  each(
    /^( +)((?:await )?(?:this|[a-z#])[\w.#?!]*\([^\n]*\));$/gm,
    ({ index, 1: indent, 2: call }) => {
      const from = index + indent!.length;
      add(from, from + call!.length + 1, ";", "call → nothing");
    },
  );
  each(/^( +)(if \([^\n]*\) )((?:return|throw|continue|break)\b[^\n]*;)$/gm, (match) => {
    const { index, 1: indent, 2: condition, 3: exit } = match;
    const from = index + indent!.length + condition!.length;
    add(from, from + exit!.length, ";", `${exit!.split(/[ ;]/)[0]} → nothing`);
  });
  return found.sort((a, b) => a.from - b.from || a.to - b.to);
}

/** The changed source. */
export function mutated(source: string, { from, to, replacement }: Mutant): string {
  return source.slice(0, from) + replacement + source.slice(to);
}

/**
 * The source with blanks for all that is no code to be changed: comments, texts (but for what templates
 * insert), regular expressions, interfaces, type aliases and imports. Offsets stay.
 */
export function blanked(source: string): string {
  const out = [...source.split("")];
  const blank = (from: number, to: number) => {
    for (let at = from; at < to; at++) if (out[at] !== "\n") out[at] = "\u00a0";
  };
  /** Open `{` of templates: what comes after the matching one is text again. */
  const templates: number[] = [];
  let depth = 0;
  let at = 0;
  const text = (quote: string) => {
    const from = at;
    for (; at < source.length; at++) {
      if (source[at] === "\\") at++;
      else if (quote === "`" && source.startsWith("${", at)) {
        blank(from, at);
        at += 2;
        templates.push(depth++);
        return;
      } else if (source[at] === quote) break;
    }
    blank(from, at);
    at++;
  };
  while (at < source.length) {
    const rest = source.slice(at, at + 2);
    if (rest === "//" || rest === "/*") {
      const end = rest === "//" ? source.indexOf("\n", at) : source.indexOf("*/", at) + 2;
      const to = end < at ? source.length : end;
      blank(at, to);
      at = to;
    } else if ("'\"`".includes(source[at]!)) text(source[at++]!);
    else if (
      source[at] === "/" &&
      /[(,=:[!&|?{};\n]\s*$|\b(return|of|in)\s*$/.test(source.slice(0, at).slice(-20))
    ) {
      const match = /^\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n])+\/[a-z]*/.exec(source.slice(at));
      const length = match?.[0].length ?? 1;
      blank(at, at + length);
      at += length;
    } else {
      if (source[at] === "{") depth++;
      if (source[at] === "}") {
        depth--;
        if (templates.at(-1) === depth) {
          templates.pop();
          at++;
          text("`");
          continue;
        }
      }
      at++;
    }
  }
  const code = out.join("");
  // What only types or the loader see.
  return code.replace(
    /^(?:export )?(?:interface|type|declare)\b[^]*?(?:^\}|;)$|^(?:import|export \{|export \*)[^]*?;$/gm,
    (part) => part.replace(/[^\n]/g, "\u00a0"),
  );
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export function randomFrom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = state + 0x6d2b79f5 >>> 0;
    let value = Math.imul(state ^ state >>> 15, state | 1);
    value ^= value + Math.imul(value ^ value >>> 7, value | 61);
    return ((value ^ value >>> 14) >>> 0) / 2 ** 32;
  };
}

/** Some of many, each as likely as the others, in no order. */
export function sample<T>(all: readonly T[], count: number, random: () => number): T[] {
  const left = [...all];
  const found: T[] = [];
  while (found.length < count && left.length > 0) {
    found.push(...left.splice(Math.floor(random() * left.length), 1));
  }
  return found;
}
