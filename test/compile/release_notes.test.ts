/** The notes of a release, and a release that is refused. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { releaseNotes } from "../../compile/release_notes.ts";

const RELEASE = {
  version: "1.0.0",
  commit: "abc",
  date: "2026-11-30",
  compilers: ["linux-x64: gcc 12"],
  files: [
    { name: "xdevd-full-linux-x64", bytes: 3 },
    { name: "xdevd-full_1.0.0_amd64.deb", bytes: 2 },
    { name: "xdevd-linux-x64", bytes: 1 },
    { name: "xdevd-linux-x64.cdx.json", bytes: 4 },
    { name: "xdevd-xenstore-tools_1.0.0_all.deb", bytes: 5 },
    { name: "xdevd_1.0.0_arm64.deb", bytes: 6 },
  ],
  changes: null,
};

test("each file is there with what it is", () => {
  const rows = releaseNotes(RELEASE).split("\n").filter((line) => line.startsWith("| `"));
  expect(rows.map((row) => /^\| `(\S+)` \| (\d+) \| (\w+ \w+)/.exec(row)?.slice(1))).toEqual([
    ["xdevd-full-linux-x64", "3", "the full"],
    ["xdevd-full_1.0.0_amd64.deb", "2", "Debian package"],
    ["xdevd-linux-x64", "1", "the program"],
    ["xdevd-linux-x64.cdx.json", "4", "bill of"],
    ["xdevd-xenstore-tools_1.0.0_all.deb", "5", "Debian package"],
    ["xdevd_1.0.0_arm64.deb", "6", "Debian package"],
  ]);
});

test("changes are told since the last tag, if there is one", () => {
  expect(releaseNotes(RELEASE)).not.toContain("## Changes");
  const changes = { tag: "v0.9", lines: ["One thing", "Another"] };
  expect(releaseNotes({ ...RELEASE, changes })).toContain(
    "## Changes since v0.9\n\n- One thing\n- Another\n",
  );
});

test("what nobody knows is no part of a release", () => {
  const files = [{ name: "core", bytes: 1 }];
  expect(() => releaseNotes({ ...RELEASE, files })).toThrow("core: what is that?");
});

test("a folder that is there already is not written to", () => {
  const directory = mkdtempSync(join(tmpdir(), "xdevd-release-"));
  try {
    const { exitCode, stdout, stderr } = Bun.spawnSync(
      [process.execPath, "compile/release.ts", "--draft", "--outdir", directory],
    );
    expect({ exitCode, stdout: stdout.toString(), stderr: stderr.toString() }).toEqual({
      exitCode: 1,
      stdout: "",
      stderr: `release: ${directory} is there already: remove it first\n`,
    });
  } finally {
    rmSync(directory, { recursive: true });
  }
});
