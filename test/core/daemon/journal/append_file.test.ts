/** The file below the journal: whole records or none, and only a file that is ours. */
import { afterAll, describe, expect, spyOn, test } from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemAppendFiles } from "../../../../platform/io/append_file.ts";
import { sys } from "../../../../platform/kernel.ts";

const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-append-"));
afterAll(() => {
  if (tiny !== null) spawnSync("umount", [tiny]);
  fs.rmSync(directory, { recursive: true });
});

const text = (length: number, character = "x") => new Uint8Array(Buffer.alloc(length, character));
const read = (path: string) => fs.readFileSync(path, "latin1");

describe("reading", () => {
  test("what is there", () => {
    const path = join(directory, "plain");
    fs.writeFileSync(path, "abc", { mode: 0o600 });
    expect(Buffer.from(systemAppendFiles.read(path)).toString()).toBe("abc");
    expect(() => systemAppendFiles.read(`${path}-not`)).toThrow(/ENOENT/);
  });

  test("a named pipe is refused at once, not waited for", () => {
    const path = join(directory, "pipe");
    expect(spawnSync("mkfifo", [path]).status).toBe(0);
    // In a process of its own: one that waits in open(2) could not be timed out from within.
    const program = `import { systemAppendFiles } from ${
      JSON.stringify(join(import.meta.dir, "../../../../platform/io/append_file.ts"))
    };
    try { systemAppendFiles.read(${
      JSON.stringify(path)
    }); } catch (error) { console.log(error.message); }`;
    const { stdout } = spawnSync(process.execPath, ["-e", program], {
      encoding: "utf8",
      timeout: 10_000,
      killSignal: "SIGKILL",
    });
    expect(stdout.trim()).toBe(`${path} is no regular file: remove it`);
  });

  test("a symbolic link, a directory, and a file that others may write are refused", () => {
    const path = join(directory, "refused");
    fs.symlinkSync(join(directory, "plain"), path);
    expect(() => systemAppendFiles.read(path)).toThrow(/is a symbolic link/);
    fs.rmSync(path);
    fs.mkdirSync(path);
    expect(() => systemAppendFiles.read(path)).toThrow(`${path} is no regular file: remove it`);
    fs.rmdirSync(path);
    for (const mode of [0o620, 0o602, 0o666]) {
      fs.writeFileSync(path, "");
      fs.chmodSync(path, mode);
      expect(() => systemAppendFiles.read(path)).toThrow(`${path} has mode ${mode.toString(8)};`);
    }
  });

  test.skipIf(process.geteuid?.() !== 0)("a file of another user is refused (as root)", () => {
    const path = join(directory, "theirs");
    fs.writeFileSync(path, "", { mode: 0o600 });
    fs.chownSync(path, 65534, 65534);
    expect(() => systemAppendFiles.read(path)).toThrow(
      `${path} belongs to user 65534; expected 0: remove it`,
    );
  });
});

describe("replacing", () => {
  test("is for us alone, follows no link, and clears what a killed daemon left of its own", () => {
    const path = join(directory, "new");
    const victim = join(directory, "victim");
    fs.writeFileSync(victim, "untouched");
    fs.symlinkSync(victim, path);
    fs.symlinkSync(victim, `${path}.new`);
    const before = process.umask(0);
    const file = systemAppendFiles.replace(path, text(3));
    process.umask(before);
    file.append(text(2, "y"));
    expect(file.size).toBe(5);
    file.close();
    expect(fs.lstatSync(path).isFile()).toBeTrue();
    expect(fs.statSync(path).mode & 0o777).toBe(0o600);
    expect(read(path)).toBe("xxxyy");
    expect(read(victim)).toBe("untouched");
    expect(fs.existsSync(`${path}.new`)).toBeFalse();
  });

  test("that fails leaves the old file, and nothing else", () => {
    const path = join(directory, "occupied");
    fs.mkdirSync(join(path, "inside"), { recursive: true });
    expect(() => systemAppendFiles.replace(path, text(3))).toThrow(/EISDIR|ENOTEMPTY|EEXIST/);
    expect(fs.readdirSync(path)).toEqual(["inside"]);
    expect(fs.existsSync(`${path}.new`)).toBeFalse();
  });

  test("a file that is kept survives its replacement, and takes the place of one kept earlier", () => {
    const path = join(directory, "kept");
    for (const letter of ["a", "b"]) {
      systemAppendFiles.replace(path, text(1, letter)).close();
      systemAppendFiles.keep(path, `${path}.bad`);
      expect(read(path)).toBe(letter);
      systemAppendFiles.replace(path, text(1, "-")).close();
      expect(read(`${path}.bad`)).toBe(letter);
    }
    // Twice, as after a kill in between.
    systemAppendFiles.keep(path, `${path}.bad`);
    systemAppendFiles.keep(path, `${path}.bad`);
    expect(read(`${path}.bad`)).toBe("-");
  });
});

test("a file that is closed takes no more, whoever has its number now", () => {
  const file = systemAppendFiles.replace(join(directory, "closed"), text(1));
  file.close();
  file.close();
  const victim = join(directory, "next");
  const fd = fs.openSync(victim, "w");
  expect(() => file.append(text(5))).toThrow(/EBADF/);
  fs.closeSync(fd);
  expect(fs.statSync(victim).size).toBe(0);
});

/** A file system of a few pages that is really full, not one that says so. */
function tinyFileSystem(): string | null {
  const path = join(directory, "tiny");
  fs.mkdirSync(path);
  const { status, stderr, error } = spawnSync(
    "mount",
    ["-t", "tmpfs", "-o", "size=8k", "tmpfs", path],
    { encoding: "utf8" },
  );
  if (status === 0) return path;
  console.log(`full file systems: not tested, as none can be mounted: ${error ?? stderr.trim()}`);
  return null;
}

const tiny = tinyFileSystem();

describe.skipIf(tiny === null)("a full file system", () => {
  const path = join(tiny ?? "", "file");

  test("what was written of a record before it was full is cut off again", () => {
    const file = systemAppendFiles.replace(path, text(3000));
    // 5 KiB of it would fit.
    expect(() => file.append(text(9000))).toThrow(/ENOSPC/);
    expect([file.size, fs.statSync(path).size]).toEqual([3000, 3000]);
    file.append(text(2000, "y"));
    expect(read(path)).toBe("x".repeat(3000) + "y".repeat(2000));
    file.close();
  });

  test("a replacement that does not fit leaves the old file and no other", () => {
    expect(() => systemAppendFiles.replace(path, text(9000))).toThrow(/ENOSPC/);
    expect(fs.readdirSync(tiny!)).toEqual(["file"]);
    expect(fs.statSync(path).size).toBe(5000);
  });

  test("while the half cannot be cut off nothing follows it", () => {
    fs.rmSync(path);
    const file = systemAppendFiles.replace(path, text(3000));
    const truncate = spyOn(sys, "ftruncate").mockImplementation(() => -5);
    try {
      expect(() => file.append(text(9000))).toThrow(/ENOSPC/);
      expect(fs.statSync(path).size).toBeGreaterThan(3000);
      expect(() => file.append(text(10, "y"))).toThrow(/EIO/);
    } finally {
      truncate.mockRestore();
    }
    file.append(text(10, "y"));
    expect(read(path)).toBe("x".repeat(3000) + "y".repeat(10));
    file.close();
  });
});
