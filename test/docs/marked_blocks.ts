/**
 * Blocks of commands in the documents that are marked as ones that work: `works` after the fence's
 * language, which no reader sees. `works=1,3` marks lines by their numbers in the block; `root` says
 * that they need root. Pure.
 */

/** One line that works. */
export interface MarkedLine {
  readonly file: string;
  /** In the file, from 1 on. */
  readonly line: number;
  readonly command: string;
}

/** A block, with its lines that are marked. */
export interface MarkedBlock {
  readonly lines: readonly MarkedLine[];
  readonly root: boolean;
}

/** @throws Error for a mark that makes no sense */
export function markedBlocks(file: string, text: string): MarkedBlock[] {
  const lines = text.split("\n");
  const found: MarkedBlock[] = [];
  for (let at = 0; at < lines.length; at++) {
    const [, info] = /^```(\S.*)$/.exec(lines[at]!) ?? [];
    if (info === undefined) continue;
    const end = lines.indexOf("```", at + 1);
    if (end < 0) throw new Error(`${file}:${at + 1}: a block that does not end`);
    const [language, ...marks] = info.trim().split(/\s+/);
    if (language === "sh" && marks.length > 0) {
      found.push(block(file, at, lines.slice(at + 1, end), marks));
    }
    at = end;
  }
  return found;
}

function block(
  file: string,
  start: number,
  lines: readonly string[],
  marks: readonly string[],
): MarkedBlock {
  const place = `${file}:${start + 1}`;
  const all = lines.map((command, index) => ({ file, line: start + 2 + index, command }))
    .filter(({ command }) => command.trim() !== "");
  let chosen: MarkedLine[] | null = null;
  let root = false;
  for (const mark of marks) {
    if (mark === "root") {
      root = true;
      continue;
    }
    const match = /^works(?:=(\d+(?:,\d+)*))?$/.exec(mark);
    if (match === null) {
      throw new Error(`${place}: mark ${mark}; there are works, works=N,N and root`);
    }
    const numbers = match[1];
    if (numbers === undefined) chosen = all;
    else {
      chosen = numbers.split(",").map((number) => {
        const line = all[Number(number) - 1];
        if (line === undefined) throw new Error(`${place}: there is no line ${number}`);
        return line;
      });
    }
  }
  if (chosen === null || chosen.length === 0) throw new Error(`${place}: no line is marked`);
  return { lines: chosen, root };
}
