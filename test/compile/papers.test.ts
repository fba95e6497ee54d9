/** What comes with binaries, as far as it is pure. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import manifest from "../../package.json" with { type: "json" };
import { control } from "../../compile/debian_control.ts";
import { bill, packagesOf } from "../../compile/sbom.ts";
import { RUNTIME_VERSION, TARGETS, targetsNamed } from "../../compile/targets.ts";

test("the targets' runtimes are the pinned one, as package-lock.json knows it", () => {
  expect(RUNTIME_VERSION).toBe(manifest.devDependencies.bun);
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;
  const compared = TARGETS.filter((target) => {
    const locked = lock[`node_modules/${target.package}`]?.integrity;
    if (locked !== undefined) {
      expect([target.name, target.integrity]).toEqual([target.name, locked]);
    }
    return locked !== undefined;
  });
  expect(compared.length).toBeGreaterThan(1);
});

test("an unknown target is refused with those that there are", () => {
  expect(targetsNamed("linux-x64-musl,linux-x64-musl-baseline").map((each) => each.bunTarget))
    .toEqual(["bun-linux-x64-musl", "bun-linux-x64-baseline-musl"]);
  expect(() => targetsNamed("linux-arm64", TARGETS.slice(0, 1))).toThrow("expected linux-x64");
  expect(() => targetsNamed("linux-x64,linux-x86")).toThrow(
    "expected linux-x64, linux-x64-baseline,",
  );
});

test("packages are found by their files, wherever node_modules is", () => {
  expect(packagesOf([
    "main.ts",
    "node_modules/commander/lib/command.js",
    "../main/node_modules/@logtape/logtape/dist/mod.js",
    "node_modules/commander/index.js",
  ])).toEqual(["@logtape/logtape", "commander"]);
});

test("a bill of materials names all that is inside, and where each depends", () => {
  const subject = {
    version: "1.0.0",
    target: "linux-x64",
    commit: null,
    licence: "Apache-2.0",
    sha256: "00",
    plugins: [],
  };
  const runtime = { name: "@oven/x", version: "1", licence: "MIT", integrity: "sha512-AP8=" };
  const library = { name: "lib", version: "2", licence: "MIT", integrity: undefined };
  const made = bill(subject, runtime, [library]) as {
    components: { purl: string; type: string; hashes?: unknown }[];
    dependencies: { ref: string; dependsOn?: string[] }[];
  };
  expect(made.components.map(({ purl, type, hashes }) => ({ purl, type, hashes }))).toEqual([
    {
      purl: "pkg:npm/%40oven/x@1",
      type: "platform",
      hashes: [{ alg: "SHA-512", content: "00ff" }],
    },
    { purl: "pkg:npm/lib@2", type: "library", hashes: undefined },
  ]);
  expect(made.dependencies[0]?.dependsOn).toEqual(["pkg:npm/%40oven/x@1", "pkg:npm/lib@2"]);
  expect(bill(subject, runtime, [library])).toEqual(made);
});

test("a control file has the fields that dpkg wants, and folds its description", () => {
  const text = control({
    name: "a",
    architecture: "all",
    depends: "b (>= 1)",
    fields: { Provides: "c" },
    summary: "does it",
    text: ["One line.", "Another."],
  }, { version: "1.2", maintainer: "M <m@example.org>", kilobytes: 7 });
  expect(text).toBe(
    "Package: a\nVersion: 1.2\nArchitecture: all\nMaintainer: M <m@example.org>\n" +
      "Installed-Size: 7\nDepends: b (>= 1)\nProvides: c\nSection: admin\nPriority: optional\n" +
      "Description: does it\n One line.\n Another.\n",
  );
});

test("maintainer scripts are shell scripts", () => {
  for (const name of ["postinst", "prerm", "postrm"]) {
    const { stderr, exitCode } = Bun.spawnSync(["sh", "-n", `packaging/debian/${name}`]);
    expect({ name, exitCode, stderr: stderr.toString() }).toEqual({
      name,
      exitCode: 0,
      stderr: "",
    });
  }
});
