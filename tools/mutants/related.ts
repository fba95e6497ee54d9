/** Which tests are about a file: those of its folder and name, and those that import it by the shortest way. */
import { existsSync, readFileSync } from "node:fs";
import { basename, dirname, join, relative } from "node:path";

/** Tests of one file that are run at most. */
const TESTS_MAX = 8;

/** Points for a test whose name has the file's in it; each folder that is the same is one. */
const SAME_NAME = 3;
/** Points that each import on the way takes; a test without a way counts as one with this many. */
const NO_WAY = 6;

/** Finds tests by where they are, what they are called, and what they import. */
export class Related {
  readonly #root: string;
  /** By file: those that import it. */
  readonly #importers = new Map<string, Set<string>>();
  readonly #tests: readonly string[];

  /** @param files sources and tests, relative to the root */
  constructor(root: string, files: readonly string[], tests: readonly string[]) {
    this.#root = root;
    this.#tests = tests;
    for (const file of files) {
      for (const imported of this.#importsOf(file)) {
        const importers = this.#importers.get(imported) ?? new Set();
        this.#importers.set(imported, importers.add(file));
      }
    }
  }

  /** The tests of a file, the most likely first. */
  testsOf(file: string): string[] {
    const distances = this.#distancesFrom(file);
    const points = (test: string) =>
      sameFolders(file, test) + (hasName(test, file) ? SAME_NAME : 0) -
      Math.min(NO_WAY, distances.get(test) ?? NO_WAY);
    return this.#tests
      .filter((test) => distances.has(test) || sameFolders(file, test) > 1 || hasName(test, file))
      .map((test) => ({ test, points: points(test) }))
      .sort((a, b) => b.points - a.points || (a.test < b.test ? -1 : 1))
      .slice(0, TESTS_MAX).map(({ test }) => test);
  }

  /** How many imports lead from each file to this one. */
  #distancesFrom(file: string): Map<string, number> {
    const distances = new Map([[file, 0]]);
    for (const [at, distance] of distances) {
      for (const importer of this.#importers.get(at) ?? []) {
        if (!distances.has(importer)) distances.set(importer, distance + 1);
      }
    }
    return distances;
  }

  #importsOf(file: string): string[] {
    const text = readFileSync(join(this.#root, file), "utf8");
    const found = text.matchAll(/(?:from|import)\s*\(?\s*"(\.[^"]+)"/g);
    return [...found].map((match) => join(dirname(file), match[1]!))
      .map((path) => relative(this.#root, join(this.#root, path)))
      .filter((path) => existsSync(join(this.#root, path)));
  }
}

/** Tests lie below test/ as sources do below the root. */
function sameFolders(file: string, test: string): number {
  const [own, theirs] = [dirname(file).split("/"), dirname(test).split("/").slice(1)];
  const differs = own.findIndex((folder, at) => folder !== theirs[at]);
  return differs < 0 ? own.length : differs;
}

function hasName(test: string, file: string): boolean {
  const [name, other] = [basename(file, ".ts"), basename(test, ".test.ts")];
  return other === name || other.endsWith(`_${name}`) || other.startsWith(`${name}_`);
}
