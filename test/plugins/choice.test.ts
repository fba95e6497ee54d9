/** The administrator's choice: the configuration file, and which plugin serves which kind. */
import { describe, expect, test } from "bun:test";
import { type Candidate, selectPlugins } from "../../plugins/select.ts";
import { NO_SETTINGS, parseSettings } from "../../plugins/settings.ts";
import { testManifest } from "../support/plugin_files.ts";

const one: Candidate = { manifest: testManifest({ name: "one" }), origin: "built-in" };
const two: Candidate = { manifest: testManifest({ name: "two" }), origin: "/a/two" };
const twin: Candidate = { manifest: testManifest({ name: "two" }), origin: "/b/two" };

describe("two plugins for one kind", () => {
  test("are refused, with what would settle it", () => {
    const { byKind, conflicts } = selectPlugins([one, two], NO_SETTINGS);
    expect(byKind.size).toBe(0);
    expect(conflicts).toEqual([
      "kind test can be served by one (built-in) and two (/a/two); --kind test=two (or [kinds] " +
      'test = "two" in the configuration) says by which',
    ]);
  });

  /** What is proposed of these plugins, by the command line. */
  const proposed = (...candidates: Candidate[]) => {
    const [conflict = ""] = selectPlugins(candidates, NO_SETTINGS).conflicts;
    const names = [...conflict.matchAll(/--kind test=(\S+)/g)].map(([, name]) => name!);
    for (const name of names) {
      const settings = parseSettings(`[kinds]\ntest = "${name}"`);
      expect(selectPlugins(candidates, settings).conflicts).toEqual([]);
    }
    return names;
  };
  const named = (candidate: Candidate): Candidate => ({ ...candidate, named: true });
  const file = (name: string, origin: string): Candidate => ({
    manifest: testManifest({ name }),
    origin,
  });

  test.each<[string, Candidate[], string[]]>([
    ["the one that was named, beside a built-in one", [one, named(two)], ["two"]],
    ["… in whatever order", [named(two), one], ["two"]],
    ["… beside one of a directory", [one, file("x", "/d/x"), named(two)], ["two"]],
    ["… of the same name as another", [twin, named(two)], ["/a/two"]],
    ["… of the same name as a built-in one", [one, named(file("one", "/a/one"))], ["/a/one"]],
    ["… that is called built-in", [one, named(file("built-in", "/a/b"))], ["/a/b"]],
    ["both of two that were named", [one, named(two), named(file("x", "/x"))], ["two", "x"]],
    ["both of two that were named, of one name", [named(two), named(twin)], ["/a/two", "/b/two"]],
    ["the one of a directory, beside a built-in one", [one, two], ["two"]],
    ["both of two of a directory", [one, two, file("x", "/d/x")], ["two", "x"]],
  ])("proposed is %s, and that settles it", (_, candidates, expected) => {
    expect(proposed(...candidates)).toEqual(expected);
  });

  test.each([
    ["two", two],
    ["built-in", one],
    ["/a/two", two],
  ])("%s settles it", (name, expected) => {
    const settings = parseSettings(`[kinds]\ntest = "${name}"`);
    const { byKind, conflicts } = selectPlugins([one, two], settings);
    expect(conflicts).toEqual([]);
    expect(byKind.get("test")).toBe(expected);
  });

  test("of one name are told apart by their files", () => {
    expect(selectPlugins([two, twin], parseSettings('[kinds]\ntest = "two"')).conflicts[0])
      .toContain("--kind test=/a/two or --kind test=/b/two (or the same below [kinds]");
    const { byKind } = selectPlugins([two, twin], parseSettings('[kinds]\ntest = "/b/two"'));
    expect(byKind.get("test")).toBe(twin);
  });

  test("of which one is switched off are none", () => {
    const settings = parseSettings("[plugins.one]\nenabled = false");
    const { byKind, conflicts } = selectPlugins([one, two], settings);
    expect([byKind.get("test"), conflicts]).toEqual([two, []]);
  });

  test("and a choice that there is not", () => {
    const { conflicts } = selectPlugins([one], parseSettings('[kinds]\ntest = "x"\nother = "one"'));
    expect(conflicts).toEqual([
      '[kinds] test = "x", but only one (built-in) can serve kind test',
      '[kinds] other = "one", but no plugin serves kind other',
    ]);
  });
});

describe("the configuration file", () => {
  test("says which kinds, which files, how many processes", () => {
    const sha256 = "AB".repeat(32);
    const { kinds, plugins } = parseSettings(
      `[kinds]\nvbd = "x"\n[plugins.x]\nsha256 = "${sha256}"\nprocesses = 9\n` +
        '[plugins."/a/b"]\nenabled = false\n',
    );
    expect([...kinds]).toEqual([["vbd", "x"]]);
    expect([...plugins]).toEqual([
      ["x", { enabled: true, sha256: sha256.toLowerCase(), processes: 9 }],
      ["/a/b", { enabled: false }],
    ]);
  });

  test("says which version scripts are of, by name or path", () => {
    const { scripts } = parseSettings(
      '[scripts.block-mine]\nversion = 2\n[scripts."/opt/block-x"]\nversion = 1\n',
    );
    expect([...scripts]).toEqual([["block-mine", 2], ["/opt/block-x", 1]]);
  });

  test.each([
    ["[scripts.x]\nversion = 3", '[scripts."x"] version is 3; expected 1 or 2'],
    ["[scripts.x]", '[scripts."x"] version is undefined; expected 1 or 2'],
    ["[scripts.x]\nVersion = 2", "Version is unknown; expected version"],
    ['[scripts."a/b"]\nversion = 2', "expected a script's name, or its absolute path"],
    ["[kinds", /^line 1, column \d+: /],
    ["kinds = 3", "kinds is 3; expected a table"],
    ['[kinds]\n"A/B" = "x"', '[kinds] has "A/B"; expected a backend kind'],
    ["[kinds]\nvbd = 3", "[kinds] vbd is 3; expected a plugin's name"],
    ["[plugin.x]", "plugin is unknown; expected [kinds], [plugins.NAME] and [scripts.NAME]"],
    [
      "[plugins.x]\nenable = true",
      "enable is unknown; expected enabled, sha256, processes and settings",
    ],
    ["[plugins.x]\nenabled = 1", "enabled is 1; expected true or false"],
    ['[plugins.x]\nsha256 = "abc"', 'sha256 is "abc"; expected 64 hexadecimal digits'],
    ["[plugins.x]\nprocesses = 0", "processes is 0; expected a number, 1 to 32768"],
  ])("%j is refused", (text, reason) => {
    expect(() => parseSettings(text)).toThrow(reason);
  });
});
