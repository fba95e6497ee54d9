/** The notes of a release. Pure. */
import { ENGINE_VERSION, MUSL, QUICKJS, SUITE } from "./small/pinned.ts";
import { RUNTIME_VERSION } from "./targets.ts";

/** What they tell of. */
export interface Release {
  readonly version: string;
  readonly commit: string;
  /** Of the commit: `2026-11-30`. */
  readonly date: string;
  /** What the small binaries were compiled with. */
  readonly compilers: readonly string[];
  readonly files: readonly { readonly name: string; readonly bytes: number }[];
  /** First lines of commits since a tag; null: this is the first. */
  readonly changes: { readonly tag: string; readonly lines: readonly string[] } | null;
}

/** What a file is, by its name; the first that fits. */
const WHAT: readonly (readonly [RegExp, string])[] = [
  [/\.cdx\.json$/, "bill of materials (CycloneDX)"],
  [/^xdevd-xenstore-tools_/, "Debian package: `xenstore-read` and its like, by xdevd"],
  [/^xdevd-full_.*\.deb$/, "Debian package of the full binary; takes the place of `xdevd`"],
  [/^xdevd_.*\.deb$/, "Debian package: program, service, initramfs hooks"],
  [/^xdevd-full-/, "the full binary, with Bun; needs glibc"],
  [/^xdevd-/, "the program: static, for any Linux"],
];

/** As Markdown. */
export function releaseNotes(release: Release): string {
  const { version, commit, date, compilers, files, changes } = release;
  return [
    `# xdevd ${version}`,
    "",
    `Of commit ${commit}, ${date}.`,
    "",
    "| file | bytes | |",
    "| --- | --: | --- |",
    ...files.map(({ name, bytes }) => `| \`${name}\` | ${bytes} | ${whatIs(name)} |`),
    "",
    "## Checking",
    "",
    "`SHA256SUMS` is over all files here, and signed by whoever gives them to you. Check the signature as they tell",
    "you (docs/releases.md has how), then what you have of the files:",
    "",
    "    sha256sum --check --ignore-missing SHA256SUMS",
    "",
    "Or make them yourself: `npm run release` of the same commit gives the same bytes with the same compilers,",
    "",
    ...compilers.map((line) => `- ${line}`),
    "",
    "## What is inside of others",
    "",
    `- small: QuickJS ${ENGINE_VERSION} and musl ${MUSL.amd64.version}, of Debian ${SUITE}`,
    `  (\`${QUICKJS.name}\` ${QUICKJS.version}, \`${MUSL.amd64.name}\`)`,
    `- full: Bun ${RUNTIME_VERSION}`,
    "- both: the libraries that the bills of materials list",
    "",
    ...(changes === null ? [] : [
      `## Changes since ${changes.tag}`,
      "",
      ...changes.lines.map((line) => `- ${line}`),
      "",
    ]),
  ].join("\n");
}

function whatIs(name: string): string {
  const found = WHAT.find(([pattern]) => pattern.test(name));
  if (found === undefined) throw new Error(`${name}: what is that?`);
  return found[1];
}
