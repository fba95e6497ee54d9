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

/** Both binaries, as people get them; their files. @throws Error that says why not */
export function compileBoth(directory: string): Readonly<Record<"small" | "full", string>> {
  const compile = (size: "small" | "full") => {
    const outfile = join(directory, `xdevd-${size}`);
    const { exitCode, stderr } = Bun.spawnSync(
      [process.execPath, "compile/compile.ts", `--${size}`, "--outfile", outfile],
      { cwd: root, stdout: "ignore", stderr: "pipe" },
    );
    if (exitCode !== 0) throw new Error(stderr.toString());
    return outfile;
  };
  return { small: compile("small"), full: compile("full") };
}
