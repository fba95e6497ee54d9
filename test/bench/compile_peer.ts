/** The peers in C, compiled when they are needed. */
import { execFileSync } from "node:child_process";
import { join } from "node:path";

/** Debian packages that it takes. */
export const compilerPackages = ["libxen-dev", "gcc", "libc6-dev"] as const;

/**
 * Compiles `peers/NAME.c` into a directory.
 * @param options further ones of gcc, such as `-lxenstore`
 * @returns path of the program
 * @throws Error with what the compiler said
 */
export function compilePeer(name: string, directory: string, ...options: string[]): string {
  const program = join(directory, name);
  const source = join(import.meta.dir, "peers", `${name}.c`);
  execFileSync("gcc", ["-O2", "-Wall", "-o", program, source, ...options]);
  return program;
}
