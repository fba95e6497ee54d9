/** Calls on files, beside those of `node:fs`. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as calls from "../../../platform/io/file_calls.ts";
import { sys as kernel } from "../../../platform/kernel.ts";
import type { Sys } from "../../../platform/sys.ts";

/** To be meddled with. */
const sys = kernel as { -readonly [Name in keyof Sys]: Sys[Name] };

let work = "";
beforeAll(() => {
  work = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "xdevd-calls-")));
});
afterAll(() => fs.rmSync(work, { recursive: true, force: true }));

const at = (name: string) => join(work, name);

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    return String((error as { code?: string }).code);
  }
  return "none";
}

describe("a status", () => {
  const paths = ["/", "/etc/passwd", "/dev/null", "/dev/loop0", "/proc/self/exe", "/proc/self/fd"];
  for (const path of paths) {
    for (
      const [name, ours, theirs] of [
        ["stat", calls.statusOf, fs.statSync],
        ["lstat", calls.linkStatusOf, fs.lstatSync],
      ] as const
    ) {
      test(`${name} ${path}`, () => {
        const expected = theirs(path, { bigint: true });
        const found = ours(path);
        const { dev, ino, rdev } = expected;
        expect(found).toMatchObject({
          dev,
          ino,
          rdev,
          mode: Number(expected.mode) & 0o7777,
          uid: Number(expected.uid),
          gid: Number(expected.gid),
          size: Number(expected.size),
        });
        const kinds = {
          file: expected.isFile(),
          directory: expected.isDirectory(),
          symlink: expected.isSymbolicLink(),
          block: expected.isBlockDevice(),
          character: expected.isCharacterDevice(),
        };
        expect(Object.entries(kinds).find(([, is]) => is)?.[0]).toBe(found.kind);
      });
    }
  }

  test("the time of a change, in ms", () => {
    fs.writeFileSync(at("aged"), "");
    fs.utimesSync(at("aged"), 1_700_000_000.25, 1_700_000_000.25);
    expect(calls.statusOf(at("aged")).mtimeMs).toBe(1_700_000_000_250);
  });

  test("of a descriptor", () => {
    const fd = calls.openFile("/etc/passwd", calls.O_RDONLY);
    expect(calls.openStatus(fd).ino).toBe(fs.statSync("/etc/passwd", { bigint: true }).ino);
    calls.closeFile(fd);
    expect(codeOf(() => calls.openStatus(fd))).toBe("EBADF");
  });
});

describe("what fails names the call and the path", () => {
  test.each([
    ["open", () => calls.readFile("/nowhere/x"), "ENOENT"],
    ["stat", () => calls.statusOf("/etc/passwd/x"), "ENOTDIR"],
    ["a NUL", () => calls.statusOf("/etc\0/passwd"), "EINVAL"],
    ["list", () => calls.list("/etc/passwd"), "ENOTDIR"],
    ["mkdir", () => calls.makeDirectory("/etc"), "EEXIST"],
    ["mkdirs over a file", () => calls.makeDirectories("/etc/passwd/x"), "ENOTDIR"],
    ["readlink", () => calls.readLink("/etc/passwd"), "EINVAL"],
    ["reading a directory", () => calls.readFile("/etc"), "EISDIR"],
    ["a name that is too long", () => calls.statusOf(`/${"x".repeat(300)}`), "ENAMETOOLONG"],
    ["a file that is too large", () => calls.readFile("/dev/zero", 100_000), "EFBIG"],
  ])("%s", (_, work, code) => {
    expect(codeOf(work)).toBe(code);
    expect(work).toThrow(code);
  });
});

test("whether something is there", () => {
  expect(calls.exists("/etc/passwd")).toBe(true);
  expect(calls.exists("/etc/passwd/x")).toBe(false);
  expect(calls.exists("/nowhere")).toBe(false);
  fs.symlinkSync("loop", at("loop"));
  expect(codeOf(() => calls.exists(at("loop")))).toBe("ELOOP");
});

test("reads and writes what is longer than one read, and what has no size", () => {
  const bytes = crypto.getRandomValues(new Uint8Array(50_000));
  calls.writeFile(at("long"), bytes, 0o600);
  expect(fs.readFileSync(at("long"))).toEqual(Buffer.from(bytes));
  expect(Buffer.from(calls.readFile(at("long")))).toEqual(Buffer.from(bytes));
  expect(calls.statusOf(at("long")).mode).toBe(0o600);
  expect(calls.readText("/proc/self/status")).toContain("Pid:");
  calls.writeFile(at("long"), "short");
  expect(calls.readText(at("long"))).toBe("short");
});

test("lists more than one page of names, whatever they are", () => {
  calls.makeDirectories(at("many/of/them"));
  const names = Array.from({ length: 1500 }, (_, i) => `${i}-${"ü".repeat(i % 60)}`);
  for (const name of names) fs.writeFileSync(at(`many/of/them/${name}`), "");
  expect(calls.list(at("many/of/them")).sort()).toEqual(names.sort());
  fs.mkdirSync(at("kept"));
  fs.writeFileSync(at("kept/file"), "");
  fs.symlinkSync(at("kept"), at("many/link"));
  calls.removeAll(at("many"));
  expect(fs.existsSync(at("many"))).toBe(false);
  expect(fs.existsSync(at("kept/file"))).toBe(true);
  calls.removeAll(at("many"));
});

test("a directory that its owner exchanges for a link while it is removed leads nowhere", () => {
  fs.mkdirSync(at("victim"));
  fs.writeFileSync(at("victim/file"), "");
  fs.mkdirSync(at("hostile/inner"), { recursive: true });
  const { stat } = sys;
  // As one of that directory's owner's processes would, between any two calls.
  sys.stat = (...args) => {
    const result = stat(...args);
    if (fs.lstatSync(at("hostile/inner"), { throwIfNoEntry: false })?.isDirectory() === true) {
      const name = new TextDecoder().decode(args[1].subarray(0, -1));
      if (name.endsWith("inner")) {
        fs.renameSync(at("hostile/inner"), at("aside"));
        fs.symlinkSync(at("victim"), at("hostile/inner"));
      }
    }
    return result;
  };
  try {
    expect(codeOf(() => calls.removeAll(at("hostile")))).toMatch(/ELOOP|ENOTDIR/);
  } finally {
    sys.stat = stat;
  }
  expect(fs.existsSync(at("victim/file"))).toBe(true);
  calls.removeAll(at("hostile"));
  expect(fs.existsSync(at("hostile"))).toBe(false);
  expect(fs.existsSync(at("victim/file"))).toBe(true);
});

test("names that are no text are removed as well", () => {
  fs.mkdirSync(at("bytes"));
  fs.writeFileSync(Buffer.concat([Buffer.from(`${at("bytes")}/`), Buffer.from([0xff, 0x80])]), "");
  calls.removeAll(at("bytes"));
  expect(fs.existsSync(at("bytes"))).toBe(false);
});

test("directories above are made with the mode; what is there already is left", () => {
  calls.makeDirectories(at("a/b/c"), 0o700);
  calls.makeDirectories(at("a/b/c"), 0o755);
  expect(fs.statSync(at("a/b")).mode & 0o777).toBe(0o700);
  calls.makeDirectories(`${at("a/b/d")}/`);
  expect(fs.statSync(at("a/b/d")).isDirectory()).toBe(true);
});

test("canonical paths", () => {
  fs.mkdirSync(at("real/deep"), { recursive: true });
  fs.writeFileSync(at("real/deep/file"), "");
  fs.symlinkSync("real/deep", at("short"));
  fs.symlinkSync(at("short"), at("absolute"));
  fs.symlinkSync("../real/../short/file", at("real/up"));
  for (
    const path of [
      "short/file",
      "absolute/file",
      "real/up",
      "short/../deep",
      "./real//deep/.",
      "short/",
      "/dev/stdin/../..",
      "/proc/self/cwd",
    ]
  ) {
    const full = path.startsWith("/") ? path : `${work}/${path}`;
    let expected: string;
    try {
      expected = fs.realpathSync.native(full);
    } catch (error) {
      expect(codeOf(() => calls.realPath(full))).toBe((error as { code: string }).code);
      continue;
    }
    expect([path, calls.realPath(full)]).toEqual([path, expected]);
  }
  expect(codeOf(() => calls.realPath(`${work}/real/deep/file/`))).toBe("ENOTDIR");
  expect(codeOf(() => calls.realPath(`${work}/none/x`))).toBe("ENOENT");
});

test("names are changed, added and removed", () => {
  calls.writeFile(at("first"), "1");
  calls.link(at("first"), at("second"));
  calls.makeLink("second", at("third"));
  expect(calls.readLink(at("third"))).toBe("second");
  calls.rename(at("first"), at("fourth"));
  calls.unlink(at("third"));
  expect(["first", "second", "third", "fourth"].map((name) => fs.existsSync(at(name))))
    .toEqual([false, true, false, true]);
  fs.mkdirSync(at("empty"));
  calls.removeDirectory(at("empty"));
  expect(fs.existsSync(at("empty"))).toBe(false);
});

test("the current directory", () => {
  expect(calls.currentDirectory()).toBe(process.cwd());
  expect(calls.absolute("x")).toBe(`${process.cwd()}/x`);
});
