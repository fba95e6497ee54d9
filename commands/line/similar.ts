/** What somebody may have meant. Pure. */

/** More changes than this are another word. */
const CHANGES_MAX = 3;
/** So much of the longer word has to be the same. */
const LIKENESS = 0.4;

/** The changes of one letter each (another, none, one more, two that changed places) between two words. */
function changes(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > CHANGES_MAX) return Math.max(from.length, to.length);
  const rows = Array.from({ length: from.length + 1 }, (_, i) => {
    const row = new Array<number>(to.length + 1).fill(0);
    row[0] = i;
    return row;
  });
  for (let j = 0; j <= to.length; j++) rows[0]![j] = j;
  for (let i = 1; i <= from.length; i++) {
    for (let j = 1; j <= to.length; j++) {
      const same = from[i - 1] === to[j - 1];
      let least = Math.min(
        rows[i - 1]![j]! + 1,
        rows[i]![j - 1]! + 1,
        rows[i - 1]![j - 1]! + (same ? 0 : 1),
      );
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        least = Math.min(least, rows[i - 2]![j - 2]! + 1);
      }
      rows[i]![j] = least;
    }
  }
  return rows[from.length]![to.length]!;
}

/** A question in a line of its own, with its line end before it; nothing when there is no such word. */
export function didYouMean(word: string, candidates: readonly string[]): string {
  const dashes = word.startsWith("--") ? "--" : "";
  const plain = word.slice(dashes.length);
  let best = CHANGES_MAX;
  let similar: string[] = [];
  for (const candidate of new Set(candidates)) {
    const other = candidate.slice(dashes.length);
    if (other.length <= 1) continue;
    const distance = changes(plain, other);
    const length = Math.max(plain.length, other.length);
    if ((length - distance) / length <= LIKENESS || distance > best) continue;
    if (distance < best) similar = [];
    best = distance;
    similar.push(other);
  }
  const [first, ...more] = similar.sort().map((name) => `${dashes}${name}`);
  if (first === undefined) return "";
  const words = more.length === 0 ? first : `one of ${[first, ...more].join(", ")}`;
  return `\n(Did you mean ${words}?)`;
}
