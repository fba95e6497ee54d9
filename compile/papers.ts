/** What comes with binaries: bills of materials, and checksums. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { placeText } from "../platform/io/place_files.ts";
import manifest from "../package.json" with { type: "json" };
import type { Binary } from "./binaries.ts";
import { bill, type Component, packagesOf } from "./sbom.ts";
import { commit } from "./sources.ts";
import type { Target } from "./targets.ts";

/** Writes the bill of materials of a binary beside it; returns its name. */
export function writeBill(
  binary: Binary,
  outfile: string,
  inputs: readonly string[],
  target: Target,
  plugins: readonly string[],
): string {
  const subject = {
    name: binary.name,
    version: manifest.version,
    target: target.name,
    commit: commit(),
    licence: manifest.license,
    sha256: sha256(outfile),
    plugins,
  };
  const all = [...binary.parts(target), ...npmPackages(inputs)];
  const file = `${outfile}.cdx.json`;
  placeText(file, `${JSON.stringify(bill(subject, all), null, 2)}\n`, 0o644);
  return file;
}

/** Of these files, those of npm. @throws Error when one is not as package-lock.json has it */
function npmPackages(inputs: readonly string[]): Component[] {
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")).packages as Record<
    string,
    { version: string; integrity?: string }
  >;
  return packagesOf(inputs).map((name) => {
    const { version, license } = JSON.parse(
      readFileSync(join("node_modules", name, "package.json"), "utf8"),
    );
    const locked = lock[`node_modules/${name}`];
    if (locked?.version !== version) {
      throw new Error(`${name} is ${version}, but ${locked?.version} in package-lock.json`);
    }
    const licence = license ?? "NOASSERTION";
    const integrity = locked?.integrity;
    return { type: "library", ecosystem: "npm", name, version, licence, integrity };
  });
}

/** Writes `SHA256SUMS` for files of one directory, as `sha256sum --check` reads it. */
export function writeChecksums(files: readonly string[]): string {
  const sums = join(dirname(files[0]!), "SHA256SUMS");
  const lines = files.toSorted().map((file) => `${sha256(file)}  ${basename(file)}\n`);
  placeText(sums, lines.join(""), 0o644);
  return sums;
}

/** Of a file, hexadecimal. */
export function sha256(file: string): string {
  return createHash("sha256").update(readFileSync(file)).digest("hex");
}
