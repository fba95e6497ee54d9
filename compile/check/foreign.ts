/**
 * Debian packages of this machine or another kind, unpacked below `build/foreign` and nowhere else:
 * what it takes to run binaries that are not for this machine.
 */
import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";

const HOME = resolve("build/foreign");

/**
 * Unpacks packages; apt checks their signatures, and the machine's own list of packages stays as it is.
 * @param architecture Debian's name, such as `arm64`
 * @param sources of another suite, as sources.list(5) has them; default: the machine's own
 * @returns the directory that they are in, as if it were `/`
 * @throws Error with apt's words
 */
export function unpacked(
  architecture: string,
  packages: readonly string[],
  sources?: string,
): string {
  const suite = sources === undefined ? "" : "other-";
  const home = join(HOME, `${suite}${architecture}-${packages.join("-")}`);
  const root = join(home, "root");
  if (existsSync(join(home, "done"))) return root;
  rmSync(home, { recursive: true, force: true });
  const downloads = join(home, "debs");
  for (const name of ["state/lists/partial", "cache", "debs", "root"]) {
    mkdirSync(join(home, name), { recursive: true });
  }
  const options = [
    `APT::Architecture=${architecture}`,
    `APT::Architectures=${architecture}`,
    `Dir::State=${home}/state`,
    `Dir::State::status=${home}/status`,
    `Dir::Cache=${home}/cache`,
    "APT::Sandbox::User=root",
    ...(sources === undefined
      ? []
      : [`Dir::Etc::SourceList=${home}/sources.list`, "Dir::Etc::SourceParts=/dev/null"]),
  ].flatMap((option) => ["-o", option]);
  writeFileSync(join(home, "status"), "");
  if (sources !== undefined) writeFileSync(join(home, "sources.list"), sources);
  run(["apt-get", "-qq", ...options, "update"], downloads);
  run(["apt-get", "-qq", ...options, "download", ...packages], downloads);
  for (const file of readdirSync(downloads)) run(["dpkg", "-x", file, root], downloads);
  rmSync(join(home, "state"), { recursive: true });
  writeFileSync(join(home, "done"), "");
  return root;
}

/** Runs a program to its end. @throws Error with its words, unless it succeeds */
export function run(argv: readonly string[], cwd = "."): string {
  const { status, stdout, stderr, error } = spawnSync(argv[0]!, argv.slice(1), {
    cwd,
    encoding: "utf8",
    timeout: 300_000,
  });
  if (status === 0) return stdout;
  throw new Error(`${argv.join(" ")}: ${error?.message ?? `${stdout}${stderr}`.trim()}`);
}

/** Copies a file, making directories as needed. */
export function put(file: string, to: string): void {
  mkdirSync(join(to, ".."), { recursive: true });
  cpSync(file, to, { dereference: true });
}
