/** Programs to be measured, compiled with the same options. */
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { COMPILE_OPTIONS, OPTIONS } from "../../compile/full.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");

/** Compiles a program of `peers/`; returns its file. @throws Error that says why not */
export async function compilePeer(name: string, directory: string): Promise<string> {
  const outfile = join(directory, name);
  const { success, logs } = await Bun.build({
    ...OPTIONS,
    entrypoints: [join(root, "test", "bench", "peers", `${name}.ts`)],
    compile: { ...COMPILE_OPTIONS, outfile },
  });
  if (!success) throw new Error(logs.join("\n"));
  return outfile;
}

/** A binary that is measured. */
export interface Subject {
  /** What is said after a way's name, as `, full`; "" for the small one. */
  readonly suffix: string;
  /** As `xdevd-full`. */
  readonly name: string;
  readonly file: string;
}

/** What `--beside` named, as `NAME=FILE`: binaries of other commits. */
const beside: Subject[] = [];

/** From now on, this is measured, too, after the two of these sources. @throws Error for what is not `NAME=FILE` */
export function measureBeside(text: string): void {
  const [, name, file] = /^([\w-]+)=(.+)$/.exec(text) ?? [];
  if (name === undefined || file === undefined) {
    throw new Error(`--beside ${text}: NAME=FILE is expected`);
  }
  beside.push({ suffix: `, ${name}`, name, file });
}

/** Both binaries, as people get them, and those beside them. @throws Error that says why not */
export function compileSubjects(directory: string): readonly Subject[] {
  const compile = (size: "small" | "full") => {
    const outfile = join(directory, `xdevd-${size}`);
    const { exitCode, stderr } = Bun.spawnSync(
      [process.execPath, "compile/compile.ts", `--${size}`, "--outfile", outfile],
      { cwd: root, stdout: "ignore", stderr: "pipe" },
    );
    if (exitCode !== 0) throw new Error(stderr.toString());
    return outfile;
  };
  return [
    { suffix: "", name: "xdevd", file: compile("small") },
    { suffix: ", full", name: "xdevd-full", file: compile("full") },
    ...beside,
  ];
}
