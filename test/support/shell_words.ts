/** The words of our program's part of a line of a shell: before a pipe and the like, without quotes. */
export function wordsOf(line: string): string[] {
  const [, ours = ""] = /(?:^|[\s(])(xdevd(?:-full)?\s.*)$/.exec(line) ?? [];
  const words: string[] = [];
  for (const [word] of ours.matchAll(/(?:[^\s"']|"[^"]*"|'[^']*')+/g)) {
    if (/^(\||&&?|\d?>.*)$/.test(word)) break;
    // The end of `"$(xdevd …)"`.
    const last = /^[^(]*\)"?$/.test(word);
    words.push(last ? word.replace(/\)"?$/, "") : word.replace(/["']/g, ""));
    if (last) break;
  }
  return words.slice(1);
}
