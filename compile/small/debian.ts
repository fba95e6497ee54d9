/** Fetches pinned Debian packages, by apt itself, on a root of its own: nothing is installed. */
import { createHash } from "node:crypto";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { run } from "../check/foreign.ts";
import { MissingPart } from "./missing.ts";
import { type Pinned, SUITE } from "./pinned.ts";

/** Debian's keys, by the package debian-archive-keyring; without it apt's own are asked. */
const KEYS = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** Of which packages are taken; the machine's own need not be among them. */
const ARCHITECTURES = ["amd64", "arm64"] as const;

/** Where what was fetched is kept. */
const FETCHED = resolve("build/small/fetched");

/** @throws MissingPart when a program that the build needs is not there */
export function requireProgram(program: string, debianPackage: string): void {
  const { error } = spawnSync(program, ["--version"], { stdio: "ignore" });
  if (error === undefined) return;
  throw new MissingPart(
    `it needs ${program}, which is not there (Debian: ${debianPackage}; npm run setup -- --system)`,
  );
}

/**
 * The files of these packages, fetched if need be.
 * @returns their paths, in the order of the packages
 * @throws MissingPart, one line, when they cannot be had
 * @throws Error, one line, when they are not what they should be
 */
export function fetched(packages: readonly Pinned[]): string[] {
  const missing = packages.filter((one) => !isWhole(join(FETCHED, one.file), one));
  if (missing.length > 0) fetch(missing);
  return packages.map(({ file }) => join(FETCHED, file));
}

function isWhole(path: string, { sha256 }: Pinned): boolean {
  return existsSync(path) && hash(path) === sha256;
}

function hash(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

function fetch(packages: readonly Pinned[]): void {
  for (const program of ["apt-get", "apt-cache"]) requireProgram(program, "apt");
  const root = resolve(`build/small/apt.${process.pid}`);
  const downloads = join(root, "downloads");
  for (const name of ["state/lists/partial", "cache/archives/partial", "downloads"]) {
    mkdirSync(join(root, name), { recursive: true });
  }
  try {
    writeFileSync(join(root, "status"), "");
    writeFileSync(join(root, "sources.list"), sources());
    const options = [
      `APT::Architecture=${ARCHITECTURES[0]}`,
      `APT::Architectures=${ARCHITECTURES.join(",")}`,
      "APT::Sandbox::User=",
      "Acquire::Languages=none",
      `Dir::Cache=${root}/cache`,
      `Dir::Etc::SourceList=${root}/sources.list`,
      "Dir::Etc::SourceParts=/dev/null",
      `Dir::State=${root}/state`,
      `Dir::State::status=${root}/status`,
    ].flatMap((option) => ["-o", option]);
    console.log(`fetching ${packages.map((one) => `${aptName(one)} ${one.version}`).join(", ")}`);
    apt(["apt-get", ...options, "-qq", "update"], downloads);
    for (const one of packages) {
      checkVersion(one, apt(["apt-cache", ...options, "madison", aptName(one)], downloads));
      const how = one.architecture === null
        ? ["source", "--download-only", "--only-source"]
        : ["download"];
      apt(["apt-get", ...options, "-qq", ...how, `${aptName(one)}=${one.version}`], downloads);
      keep(join(downloads, one.file), one);
    }
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** A package for another kind of machine than this has that in its name. */
function aptName({ name, architecture }: Pinned): string {
  return architecture === null ? name : `${name}:${architecture}`;
}

/** Runs one of apt's programs. @throws MissingPart, one line */
function apt(argv: readonly string[], cwd: string): string {
  try {
    return run(argv, cwd);
  } catch (error) {
    const said = (error as Error).message.slice(`${argv.join(" ")}: `.length);
    const lines = said.split("\n").map((line) => line.trim());
    const why = lines.findLast((line) => /^(E:|Err:)/.test(line)) ?? lines.at(-1);
    throw new MissingPart(`apt cannot fetch what it is made of: ${why}`);
  }
}

/** The machine's own mirror, with the suite that has the parts. @throws MissingPart */
export function sources(): string {
  const listed = run(["apt-get", "indextargets", "--format", "$(LABEL) $(COMPONENT) $(REPO_URI)"]);
  const [, mirror] = /^Debian main (\S+)$/m.exec(listed) ?? [];
  if (mirror === undefined) {
    throw new MissingPart(
      "apt has no list of a Debian mirror, from which its parts come: run apt-get update",
    );
  }
  const keys = existsSync(KEYS) ? ` [signed-by=${KEYS}]` : "";
  return ["deb", "deb-src"].map((type) => `${type}${keys} ${mirror} ${SUITE} main\n`).join("");
}

/** @param madison what `apt-cache madison` printed: name | version | where from */
function checkVersion(one: Pinned, madison: string): void {
  const { version, architecture } = one;
  const type = architecture === null ? "Sources" : `${architecture} Packages`;
  const rows = madison.split("\n").map((line) => line.split("|").map((field) => field.trim()));
  const there = rows.filter(([, , from]) => from?.endsWith(` ${type}`)).map(([, has]) => has);
  if (there.includes(version)) return;
  throw new MissingPart(
    `the mirror's ${SUITE} has ${aptName(one)} ${there.join(", ") || "in no version"}, ` +
      `compile/small/pinned.ts has ${version}`,
  );
}

function keep(path: string, one: Pinned): void {
  if (!isWhole(path, one)) {
    const found = existsSync(path) ? `has sha256 ${hash(path)}` : "did not come";
    // Not a part that is missing: it is there, and is not what it should be.
    throw new Error(`${one.file} ${found}, compile/small/pinned.ts has ${one.sha256}`);
  }
  mkdirSync(FETCHED, { recursive: true });
  renameSync(path, join(FETCHED, one.file));
}
