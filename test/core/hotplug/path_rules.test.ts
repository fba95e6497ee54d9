/** Which scripts may be run, on real files. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { checkScript, ScriptRefused } from "../../../core/hotplug/path_rules.ts";
import type { Files } from "../../../platform/types.ts";
import { systemFiles } from "../../../platform/io/files.ts";

const uid = process.geteuid!();
const asRoot = test.if(uid === 0);
const STRANGER = 12345;

if (uid !== 0) console.error("path_rules: not root, so files of other users are not tested");

let top: string;
let scripts: string;

beforeEach(() => {
  top = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "xdevd-rules-")));
  scripts = join(top, "scripts");
  fs.mkdirSync(scripts, { mode: 0o755 });
});

afterEach(() => fs.rmSync(top, { recursive: true }));

/** Makes a script; the mode is as given, whatever the umask. */
function make(path: string, mode = 0o755): string {
  fs.writeFileSync(path, "#!/bin/sh\n");
  fs.chmodSync(path, mode);
  return path;
}

/** Makes a directory; the mode is as given, whatever the umask. */
function makeDirectory(path: string, mode = 0o755): string {
  fs.mkdirSync(path);
  fs.chmodSync(path, mode);
  return path;
}

const check = (name: string, directories = [scripts]) =>
  checkScript(systemFiles, name, { directories, trustedUids: [0, uid] });

async function refused(name: string, why: RegExp, directories?: string[]): Promise<void> {
  const error = await check(name, directories).catch((thrown) => thrown);
  expect(error).toBeInstanceOf(ScriptRefused);
  expect(error.message).toMatch(why);
  expect(error.message).not.toContain("\n");
}

describe("accepted", () => {
  test("by its path, as given; by a bare name, in the first directory", async () => {
    const path = make(join(scripts, "block"));
    expect(await check(path)).toBe(path);
    expect(await check("block")).toBe(path);
    expect(await check("block", [scripts, "/nowhere"])).toBe(path);
    expect(await check(path, ["/nowhere", scripts])).toBe(path);
    const deep = make(join(makeDirectory(join(scripts, "more")), "block"), 0o500);
    expect(await check(deep)).toBe(deep);
  });

  test("through a link from inside to inside, and through an allowed directory that is a link", async () => {
    const path = make(join(scripts, "block"));
    fs.symlinkSync("block", join(scripts, "alias"));
    expect(await check("alias")).toBe(join(scripts, "alias"));
    fs.symlinkSync(scripts, join(top, "link"));
    expect(await check("block", [join(top, "link")])).toBe(join(top, "link", "block"));
    expect(await check(path, [join(top, "link")])).toBe(path);
  });

  test("below a sticky directory such as /tmp", async () => {
    const sticky = makeDirectory(join(top, "sticky"), 0o1777);
    const directory = makeDirectory(join(sticky, "scripts"));
    const path = make(join(directory, "block"));
    expect(await check(path, [directory])).toBe(path);
  });
});

describe("the root directory", () => {
  /** The machine's files, but for how its root looks. */
  const withRoot = (mode: number, uid = 0): Files => ({
    ...systemFiles,
    lstat: async (path) => {
      const status = await systemFiles.lstat(path);
      return path === "/" ? { ...status, mode, uid } : status;
    },
  });
  const checkOn = (files: Files) =>
    checkScript(files, make(join(scripts, "block")), {
      directories: [scripts],
      trustedUids: [0, uid],
    });

  test.each([[0o777], [0o775], [0o757]])("that others may write (%o) is refused", async (mode) => {
    await expect(checkOn(withRoot(mode))).rejects.toThrow(
      /its directory \/ is writable by others \(mode 0?7/,
    );
  });

  test("that is somebody else's is refused; one that is sticky, or root's alone, is not", async () => {
    await expect(checkOn(withRoot(0o755, STRANGER))).rejects.toThrow(/its directory \//);
    await checkOn(withRoot(0o1777));
    await checkOn(withRoot(0o755));
    await checkOn(withRoot(0o555));
  });
});

describe("refused", () => {
  test("odd names", async () => {
    make(join(scripts, "block"));
    await refused("", /the node is empty/);
    for (const code of [0, 9, 10, 13, 27, 31, 127]) {
      await refused(`block${String.fromCharCode(code)}`, /control characters/);
    }
    await refused(`/${"x".repeat(1024)}`, /longer than 1024/);
    await refused(`${scripts}/../scripts/block`, /a \.\. in its path/);
    await refused("..", /is outside|\.\. in its path/);
    await refused("sub/block", /not an absolute path/);
    await refused("./block", /not an absolute path/);
  });

  test("what is not there, is no file, or cannot be executed", async () => {
    const path = make(join(scripts, "block"), 0o644);
    await refused(join(scripts, "none"), /does not exist/);
    await refused("none", /does not exist: looked for \/.*\/scripts\/none \[script-refused\]$/);
    await refused(path, /not executable \(mode 0644\)/);
    await refused(`${path}/`, /does not exist/);
    await refused(`${path}/x`, /does not exist/);
    await refused(makeDirectory(join(scripts, "directory")), /is a directory/);
    await refused(scripts, /is outside/);
    fs.symlinkSync("loop", join(scripts, "loop"));
    await refused("loop", /cannot be looked at|too many/);
    fs.symlinkSync("gone", join(scripts, "dangling"));
    await refused("dangling", /does not exist/);
  });

  test("what lies elsewhere: by its path, by a link, by a similar name", async () => {
    const outside = make(join(top, "evil"));
    await refused(outside, /is outside the allowed directory/);
    fs.symlinkSync(outside, join(scripts, "link"));
    await refused(join(scripts, "link"), /is outside the allowed directory/);
    const similar = makeDirectory(join(top, "scripts-old"));
    await refused(make(join(similar, "block")), /is outside/);
    await refused(
      "/bin/sh",
      /allowed directories .*scripts, \/nowhere.*: options .* --scripts \/nowhere --scripts \/\S*bin of/,
      [
        scripts,
        "/nowhere",
      ],
    );
  });

  test("what cannot be compared with a directory that cannot be looked at: the cause is named", async () => {
    const path = make(join(scripts, "block"));
    const blind = (code: string): Files => ({
      ...systemFiles,
      realPath: (name) =>
        name === "/elsewhere"
          ? Promise.reject(Object.assign(new Error(`${code}: realpath`), { code }))
          : systemFiles.realPath(name),
    });
    const refusal = (code: string, directories: string[]) =>
      checkScript(blind(code), path, { directories, trustedUids: [0, uid] })
        .then(() => null, ({ message }) => message);
    expect(await refusal("EMFILE", ["/elsewhere"])).toContain(
      "cannot be judged: directory /elsewhere cannot be looked at: EMFILE: realpath",
    );
    expect(await refusal("ENOENT", ["/elsewhere"])).toContain("is outside the allowed directory");
    expect(await refusal("EMFILE", ["/elsewhere", scripts])).toBeNull();
  });

  test.each([0o775, 0o757, 0o4757])("a script of mode %o", async (mode) => {
    await refused(make(join(scripts, "block"), mode), /writable by others \(mode .*chmod go-w/);
  });

  test.each([0o775, 0o757, 0o777])("a directory of mode %o, at any height", async (mode) => {
    const path = make(join(makeDirectory(join(scripts, "sub")), "block"));
    for (const directory of [join(scripts, "sub"), scripts, top]) {
      const before = fs.statSync(directory).mode;
      fs.chmodSync(directory, mode);
      await refused(path, new RegExp(`its directory ${directory} is writable by others`));
      fs.chmodSync(directory, before & 0o7777);
    }
    expect(await check(path)).toBe(path);
  });

  test("a script in a sticky directory: anybody could put its helpers there", async () => {
    const sticky = makeDirectory(join(scripts, "sticky"), 0o1777);
    await refused(make(join(sticky, "block")), /its directory .*sticky is writable by others/);
    make(join(scripts, "block"));
    fs.symlinkSync(join(scripts, "block"), join(sticky, "link"));
    await refused(join(sticky, "link"), /its directory .*sticky is writable by others/);
  });

  test("links that pass through a place that others can write, however many", async () => {
    make(join(scripts, "block"));
    const open = makeDirectory(join(top, "open"), 0o777);
    fs.symlinkSync(join(scripts, "block"), join(open, "second"));
    fs.symlinkSync("../open/second", join(scripts, "first"));
    await refused("first", /its directory .*open is writable by others/);
    fs.symlinkSync("first", join(scripts, "zeroth"));
    await refused("zeroth", /its directory .*open is writable by others/);
    fs.chmodSync(open, 0o755);
    expect(await check("zeroth")).toBe(join(scripts, "zeroth"));
  });

  asRoot("what belongs to another user: the script, a directory, a link", async () => {
    const path = make(join(scripts, "block"));
    fs.chownSync(path, STRANGER, 0);
    await refused(path, /belongs to uid 12345; expected root .chown root makes it acceptable/);
    fs.chownSync(path, 0, STRANGER);
    expect(await check(path)).toBe(path);
    for (const directory of [scripts, top]) {
      fs.chownSync(directory, STRANGER, 0);
      await refused(path, new RegExp(`its directory ${directory} belongs to uid 12345`));
      fs.chownSync(directory, 0, 0);
    }
    fs.symlinkSync("block", join(scripts, "link"));
    fs.lchownSync(join(scripts, "link"), STRANGER, 0);
    await refused("link", /belongs to uid 12345/);
    // Even a sticky directory lets a link's owner replace it.
    const sticky = makeDirectory(join(top, "sticky"), 0o1777);
    fs.symlinkSync(scripts, join(sticky, "way"));
    expect(await check(join(sticky, "way", "block"))).toBe(join(sticky, "way", "block"));
    fs.lchownSync(join(sticky, "way"), STRANGER, 0);
    await refused(join(sticky, "way", "block"), /way belongs to uid 12345/);
  });

  asRoot("a user that is trusted is told apart from root", async () => {
    const path = make(join(scripts, "block"));
    fs.chownSync(path, STRANGER, 0);
    const policy = { directories: [scripts], trustedUids: [0, STRANGER] };
    expect(await checkScript(systemFiles, path, policy)).toBe(path);
  });
});
