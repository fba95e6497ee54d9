/**
 * Holds all imports to `boundaries.ts`: no arrow up, no circle between files, no exception that is
 * not needed.
 *
 *   bun tools/check_imports.ts [ROOT]   ROOT: another checkout, whose own table counts
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import type { Floor } from "./boundaries.ts";

/** One import of one file. */
interface Import {
  readonly from: string;
  readonly to: string;
  readonly line: number;
  readonly typesOnly: boolean;
}

type Exceptions = Readonly<Record<string, readonly string[]>>;

/** What `deno info --json` says, as far as it is used. */
interface ModuleGraph {
  readonly modules: readonly {
    readonly specifier: string;
    readonly error?: string;
    readonly dependencies?: readonly {
      readonly code?: Resolved;
      readonly type?: Resolved;
    }[];
  }[];
}

interface Resolved {
  readonly specifier?: string;
  readonly span: { readonly start: { readonly line: number } };
}

const root = resolve(process.argv[2] ?? dirname(dirname(fileURLToPath(import.meta.url))));
const problems = await check();
for (const problem of problems) console.error(problem);
process.exit(problems.length > 0 ? 1 : 0);

async function check(): Promise<string[]> {
  const { FLOORS, EXCEPTIONS, CIRCLES } = await import(
    pathToFileURL(join(root, "tools/boundaries.ts")).href
  ) as typeof import("./boundaries.ts");
  const files = sources("");
  const imports = importsOf(files);
  return [
    ...files.filter((file) => placeOf(file, FLOORS) === null).map((file) =>
      `${file}: belongs to no floor of tools/boundaries.ts`
    ),
    ...unchecked(files),
    ...arrowsUp(imports, FLOORS, EXCEPTIONS),
    ...circles(imports, CIRCLES),
  ];
}

/** All our sources, as seen from the root. */
function sources(folder: string): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
    if (!entry.isDirectory()) return /\.m?ts$|\.mjs$/.test(path) ? [path] : [];
    const isOther = /^(node_modules|build|dist|\..*)$|^test\/(xen|boot)\/(cache|runs)$/.test(path);
    return isOther ? [] : sources(path);
  });
}

/** Top folders that the task `check` of deno.json does not name. */
function unchecked(files: readonly string[]): string[] {
  const task: string = JSON.parse(readFileSync(join(root, "deno.json"), "utf8")).tasks.check;
  const named = new Set(/deno check ([^&]*)/.exec(task)?.[1]?.trim().split(" "));
  const folders = new Set(
    files.filter((file) => file.includes("/")).map((file) => file.split("/")[0]!),
  );
  return [...folders].filter((folder) => !named.has(folder)).map((folder) =>
    `deno.json: the task check does not name the folder ${folder}`
  );
}

function importsOf(files: readonly string[]): Import[] {
  const directory = join(root, "build");
  mkdirSync(directory, { recursive: true });
  const all = join(directory, `all_files.${process.pid}.ts`);
  writeFileSync(all, files.map((file) => `import "../${file}";\n`).join(""));
  let graph: ModuleGraph;
  try {
    const deno = join(root, "node_modules/.bin/deno");
    const text = execFileSync(deno, ["info", "--json", all], {
      cwd: root,
      encoding: "utf8",
      maxBuffer: 256 * 1024 * 1024,
      stdio: ["ignore", "pipe", "inherit"],
      env: { ...process.env, DENO_NO_UPDATE_CHECK: "1" },
    });
    graph = JSON.parse(text);
  } finally {
    rmSync(all);
  }
  const home = `${pathToFileURL(root).href}/`;
  const pathOf = (specifier = "") =>
    specifier.startsWith(home) ? decodeURIComponent(specifier.slice(home.length)) : null;
  const ours = new Set(files);
  return graph.modules.flatMap(({ specifier, dependencies = [] }) => {
    const from = pathOf(specifier);
    if (from === null || !ours.has(from)) return [];
    return dependencies.flatMap(({ code, type }) => {
      const resolved = code?.specifier === undefined ? type : code;
      const to = pathOf(resolved?.specifier);
      if (resolved === undefined || to === null || !ours.has(to)) return [];
      const typesOnly = code?.specifier === undefined;
      return [{ from, to, line: resolved.span.start.line + 1, typesOnly }];
    });
  });
}

/** Where a file belongs: its floor, and which of the floor's folders. */
function placeOf(file: string, floors: readonly Floor[]): { floor: Floor; folder: number } | null {
  let found: { floor: Floor; folder: number } | null = null;
  let longest = 0;
  for (const floor of floors) {
    for (const [folder, prefixes] of floor.folders.entries()) {
      for (const prefix of [prefixes].flat()) {
        if (!file.startsWith(prefix) || prefix.length <= longest) continue;
        longest = prefix.length;
        found = { floor, folder };
      }
    }
  }
  return found;
}

function isAllowed({ from, to, typesOnly }: Import, floors: readonly Floor[]): boolean {
  const [here, there] = [placeOf(from, floors), placeOf(to, floors)];
  if (here === null || there === null) return true;
  if (here.floor === there.floor) return !here.floor.ordered || there.folder <= here.folder;
  const { name } = there.floor;
  return here.floor.imports.includes(name) || typesOnly && !!here.floor.types?.includes(name);
}

function arrowsUp(
  imports: readonly Import[],
  floors: readonly Floor[],
  exceptions: Exceptions,
): string[] {
  const forbidden = imports.filter((one) => !isAllowed(one, floors));
  const found = forbidden.filter(({ from, to }) => !exceptions[from]?.includes(to)).map((one) => {
    const { name, imports, types = [], ordered } = placeOf(one.from, floors)!.floor;
    const seen = [
      ordered ? "the folders of its own before it" : "its own",
      ...imports,
      ...types.map((floor) => `types of ${floor}`),
    ];
    return `${one.from}:${one.line}: may not import ${one.to}: what is of ${name} may import ` +
      `${seen.join(", ")} (tools/boundaries.ts)`;
  });
  return [
    ...found,
    ...unused(exceptions, (from, to) => forbidden.some((one) => one.from === from && one.to === to))
      .map((line) => `${line} in EXCEPTIONS is not needed any more: take it out`),
  ];
}

function unused(exceptions: Exceptions, isNeeded: (from: string, to: string) => boolean): string[] {
  return Object.entries(exceptions).flatMap(([from, imported]) =>
    imported.filter((to) => !isNeeded(from, to)).map((to) => `tools/boundaries.ts: ${from} → ${to}`)
  );
}

function circles(imports: readonly Import[], exceptions: Exceptions): string[] {
  const next = new Map<string, Set<string>>();
  for (const { from, to } of imports) {
    if (exceptions[from]?.includes(to)) continue;
    const targets = next.get(from) ?? new Set();
    next.set(from, targets.add(to));
  }
  const problems: string[] = [];
  const done = new Set<string>();
  for (const file of next.keys()) {
    const circle = done.has(file) ? null : wayBetween(file, file, next);
    if (circle === null) continue;
    for (const each of circle) done.add(each);
    problems.push(`a circle of imports: ${circle.join(" → ")}`);
  }
  const exists = (from: string, to: string) =>
    imports.some((one) => one.from === from && one.to === to);
  return [
    ...problems,
    ...unused(exceptions, (from, to) => exists(from, to) && wayBetween(to, from, next) !== null)
      .map((line) => `${line} in CIRCLES is not needed any more: take it out`),
  ];
}

/** The shortest way along imports, of at least one, or null. */
function wayBetween(
  from: string,
  to: string,
  next: ReadonlyMap<string, ReadonlySet<string>>,
): string[] | null {
  const before = new Map<string, string>();
  const waiting = [from];
  for (let at = waiting.shift(); at !== undefined; at = waiting.shift()) {
    for (const target of next.get(at) ?? []) {
      if (before.has(target)) continue;
      before.set(target, at);
      if (target === to) {
        const way = [to];
        for (let step = at; step !== from; step = before.get(step)!) way.unshift(step);
        return [from, ...way];
      }
      waiting.push(target);
    }
  }
  return null;
}
