/** The files of `docs/bench`. */
import * as fs from "node:fs";
import { join } from "node:path";
import { benchDocument } from "./document.ts";
import { plot } from "./plot/plot.ts";
import type { Recorded } from "./result.ts";

/** Where they are. */
export const DIRECTORY: string = join(import.meta.dir, "..", "..", "docs", "bench");

/**
 * Writes `NAME.json` and `NAME.svg`, and `README.md` from all runs that there are. Each file is
 * whole at any time: the old one or the new one.
 */
export function record(run: Recorded, directory: string = DIRECTORY): void {
  // Drawn before anything is written: what cannot be drawn leaves all as it was.
  const files = { [`${run.name}.svg`]: plot(run), [`${run.name}.json`]: json(run) };
  const others = recorded(directory).filter(({ name }) => name !== run.name);
  replace(directory, { ...files, "README.md": benchDocument([...others, run]) });
}

/** Draws all plots and the index again, from the figures. */
export function redraw(directory: string = DIRECTORY): void {
  const runs = recorded(directory);
  const files = Object.fromEntries(runs.map((run) => [`${run.name}.svg`, plot(run)]));
  replace(directory, { ...files, "README.md": benchDocument(runs) });
}

/** All runs that have figures there. @throws Error that names the file that has none */
export function recorded(directory: string = DIRECTORY): Recorded[] {
  const names = fs.existsSync(directory) ? fs.readdirSync(directory) : [];
  return names.filter((name) => name.endsWith(".json")).sort().map((name) => {
    const path = join(directory, name);
    try {
      return JSON.parse(fs.readFileSync(path, "utf8")) as Recorded;
    } catch (error) {
      const why = (error as Error).message;
      throw new Error(
        `${path}: not the figures of a benchmark: ${why}; delete it, or run it again`,
      );
    }
  });
}

function json(run: Recorded): string {
  return JSON.stringify(run, null, 2) + "\n";
}

function replace(directory: string, files: Readonly<Record<string, string>>): void {
  const written: [string, string][] = [];
  fs.mkdirSync(directory, { recursive: true });
  try {
    for (const [name, content] of Object.entries(files)) {
      const path = join(directory, `.${name}.new`);
      fs.writeFileSync(path, content);
      written.push([path, join(directory, name)]);
    }
    for (const [path, name] of written) fs.renameSync(path, name);
  } finally {
    // None is left, unless something failed.
    for (const [path] of written) fs.rmSync(path, { force: true });
  }
}
