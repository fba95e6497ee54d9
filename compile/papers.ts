/** What comes with binaries: bills of materials, and checksums. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { placeText } from "../platform/io/place_files.ts";
import manifest from "../package.json" with { type: "json" };
import { bill, type BundledPackage, packagesOf } from "./sbom.ts";
import { RUNTIME_VERSION, type Target } from "./targets.ts";

/**
 * The licence of the runtime and what is linked into it, as its makers state it
 * (https://bun.com/docs/project/licensing): its own code, and JavaScriptCore with WebKit's parts.
 */
const RUNTIME_LICENCE = "MIT AND LGPL-2.1-only";

/** Writes the bill of materials of a binary beside it; returns its name. */
export function writeBill(
  outfile: string,
  inputs: readonly string[],
  target: Target,
  plugins: readonly string[],
  commit: string | null,
): string {
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")).packages as Record<
    string,
    { version: string; integrity?: string }
  >;
  const packages = packagesOf(inputs).map((name): BundledPackage => {
    const { version, license } = JSON.parse(
      readFileSync(join("node_modules", name, "package.json"), "utf8"),
    );
    const locked = lock[`node_modules/${name}`];
    if (locked?.version !== version) {
      throw new Error(`${name} is ${version}, but ${locked?.version} in package-lock.json`);
    }
    return { name, version, licence: license ?? "NOASSERTION", integrity: locked?.integrity };
  });
  const runtime: BundledPackage = {
    name: target.package,
    version: RUNTIME_VERSION,
    licence: RUNTIME_LICENCE,
    integrity: target.integrity,
  };
  const subject = {
    version: manifest.version,
    target: target.name,
    commit,
    licence: manifest.license,
    sha256: sha256(outfile),
    plugins,
  };
  const file = `${outfile}.cdx.json`;
  placeText(file, `${JSON.stringify(bill(subject, runtime, packages), null, 2)}\n`, 0o644);
  return file;
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
