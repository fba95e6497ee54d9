/** What dom0 printed on the second serial line, as results. Its lines are described in domains/dom0/main. */

/** How one scenario went on one side. */
export interface Result {
  readonly side: string;
  readonly name: string;
  readonly passed: boolean;
  readonly seconds: number;
  /** Why not: what did not hold, what was left behind. */
  readonly reasons: readonly string[];
}

/** A whole run. */
export interface Transcript {
  readonly results: readonly Result[];
  /** Measured values by side and name, in the order they came. */
  readonly samples: ReadonlyMap<string, readonly number[]>;
  /** Files that the domains left for the host: logs. */
  readonly files: ReadonlyMap<string, string>;
  /** Scenarios that began and did not end. */
  readonly unfinished: readonly string[];
  /** dom0's exit status; null if it did not come to its end. */
  readonly status: number | null;
}

/** Key of a sample. */
export const sampleKey = (side: string, name: string): string => `${side} ${name}`;

/** Status with which a scenario ends that dom0 had to kill. */
const killed = 137;

/** Reads a transcript, also of a run that was cut off. */
export function parseTranscript(text: string): Transcript {
  const results: Result[] = [];
  const samples = new Map<string, number[]>();
  const files = new Map<string, string[]>();
  const reasons = new Map<string, string[]>();
  const running = new Set<string>();
  let status: number | null = null;
  for (const line of text.split("\n")) {
    const [word = "", first = "", second = "", ...rest] = line.split(" ");
    if (word === "@start") running.add(`${first} ${second}`);
    else if (word === "@result") {
      const code = Number(rest[0]);
      const found = reasons.get(`${first} ${second}`) ?? [];
      if (code === killed) found.push("not done in time");
      else if (code !== 0 && found.length === 0) found.push(`ended with status ${code}`);
      running.delete(`${first} ${second}`);
      results.push({
        side: first,
        name: second,
        passed: code === 0,
        seconds: Number(rest[1]),
        reasons: found,
      });
    } else if (word === "@sample") append(samples, sampleKey(first, second), Number(rest[0]));
    else if (word === "@file") append(files, first, line.slice(`@file ${first} `.length));
    else if (word === "@done") status = Number(first);
    else {
      const told = /^(\S+ \S+)\| (FAIL|LEAK): (.*)$/.exec(line);
      if (told) append(reasons, told[1]!, told[2] === "LEAK" ? `left: ${told[3]}` : told[3]!);
    }
  }
  return {
    results,
    samples,
    files: new Map([...files].map(([name, lines]) => [name, lines.join("\n") + "\n"])),
    unfinished: [...running],
    status,
  };
}

function append<T>(map: Map<string, T[]>, key: string, value: T): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
