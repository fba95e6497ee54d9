/** What comes with binaries, as far as it is pure. */
import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import manifest from "../../package.json" with { type: "json" };
import { control } from "../../compile/debian_control.ts";
import { bill, type Component, packagesOf } from "../../compile/sbom.ts";
import { RUNTIME_VERSION, TARGETS, targetsNamed } from "../../compile/targets.ts";

test("the targets' runtimes are the pinned one, as package-lock.json knows it", () => {
  expect(RUNTIME_VERSION).toBe(manifest.devDependencies.bun);
  const lock = JSON.parse(readFileSync("package-lock.json", "utf8")).packages;
  const compared = TARGETS.filter((target) => {
    const locked = lock[`node_modules/${target.runtime.package}`]?.integrity;
    if (locked !== undefined) {
      expect([target.name, target.runtime.integrity]).toEqual([target.name, locked]);
    }
    return locked !== undefined;
  });
  expect(compared.length).toBeGreaterThan(0);
});

test("an unknown target is refused with those that there are", () => {
  expect(targetsNamed("linux-arm64,linux-x64,linux-arm64").map((each) => each.name))
    .toEqual(["linux-arm64", "linux-x64"]);
  expect(() => targetsNamed("linux-arm64", TARGETS.slice(0, 1))).toThrow("expected linux-x64");
  expect(() => targetsNamed("linux-x64,linux-x86")).toThrow(
    "--target linux-x86: expected linux-x64, linux-arm64",
  );
});

test("packages are found by their files, wherever node_modules is", () => {
  expect(packagesOf([
    "main.ts",
    "node_modules/commander/lib/command.js",
    "../main/node_modules/@noble/hashes/sha2.js",
    "node_modules/commander/index.js",
  ])).toEqual(["@noble/hashes", "commander"]);
});

test("a bill of materials names all that is inside, and where each depends", () => {
  const subject = {
    name: "xdevd-full",
    version: "1.0.0",
    target: "linux-x64",
    commit: null,
    licence: "Apache-2.0",
    sha256: "00",
    plugins: [],
  };
  const runtime: Component = {
    type: "platform",
    ecosystem: "npm",
    name: "@oven/x",
    version: "1",
    licence: "MIT",
    integrity: "sha512-AP8=",
  };
  const library: Component = {
    type: "library",
    ecosystem: "deb/debian",
    name: "lib",
    version: "2+1",
    qualifiers: "arch=arm64",
    licence: "MIT",
    sha256: "77",
  };
  const other: Component = {
    type: "library",
    ecosystem: "npm",
    name: "other",
    version: "3",
    licence: "MIT",
    integrity: undefined,
  };
  const all = [runtime, library, other];
  const made = bill(subject, all) as {
    components: { purl: string; type: string; hashes?: unknown }[];
    dependencies: { ref: string; dependsOn?: string[] }[];
  };
  expect(made.components.map(({ purl, type, hashes }) => ({ purl, type, hashes }))).toEqual([
    {
      purl: "pkg:npm/%40oven/x@1",
      type: "platform",
      hashes: [{ alg: "SHA-512", content: "00ff" }],
    },
    {
      purl: "pkg:deb/debian/lib@2%2B1?arch=arm64",
      type: "library",
      hashes: [{ alg: "SHA-256", content: "77" }],
    },
    { purl: "pkg:npm/other@3", type: "library", hashes: undefined },
  ]);
  expect(made.dependencies[0]).toEqual({
    ref: "pkg:generic/xdevd-full@1.0.0?target=linux-x64",
    dependsOn: made.components.map(({ purl }) => purl),
  });
  expect(bill(subject, all)).toEqual(made);
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
