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

/** Compiles xdevd, unless XDEVD_BINARY names one; returns its file. @throws Error that says why not */
export function compileXdevd(directory: string): string {
  const given = process.env["XDEVD_BINARY"];
  if (given) return given;
  const outfile = join(directory, "xdevd");
  const { exitCode, stderr } = Bun.spawnSync(
    [process.execPath, "compile/compile.ts", "--full", "--outfile", outfile],
    { cwd: root, stdout: "ignore", stderr: "pipe" },
  );
  if (exitCode !== 0) throw new Error(stderr.toString());
  return outfile;
}
