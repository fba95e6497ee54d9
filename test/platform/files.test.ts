/** Files that are asked at once say the same as those that a helper is asked for. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  isNear,
  nearFiles,
  systemFiles,
  targetFiles,
  targetFilesBeside,
} from "../../platform/io/files.ts";

let directory: string;
beforeAll(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "xdevd-files-")));
  writeFileSync(join(directory, "file"), "text", { mode: 0o640 });
  symlinkSync("file", join(directory, "link"));
});
afterAll(() => rmSync(directory, { recursive: true }));

/** What came of it: the result, or the error's code. */
const outcome = (work: Promise<unknown>) =>
  work.then((result) => ({ result }), ({ code }: { code?: string }) => ({ code }));

test.each(["file", "link", "missing", "file/below", "."])("%s", async (name) => {
  const path = join(directory, name);
  for (const ask of ["stat", "lstat", "realPath", "readLink"] as const) {
    expect(await outcome(nearFiles[ask](path))).toEqual(await outcome(targetFiles[ask](path)));
  }
});

test.each([
  ["/sys/block/loop0/size", true],
  ["/sys/dev/block/8:1/../dev", true],
  ["/sys/dev/block/8:1/../../x", false],
  ["/sys/block/loop0/subsystem/../../../mnt/a", false],
  ["/sys/block", true],
  ["/sys/fs/fuse/connections", false],
  ["/proc/self/mountinfo", true],
  ["/proc/self/cwd/a", false],
  ["/proc/self/fd/3", false],
  ["/", true],
  ["/etc", true],
  ["/etc/xen/scripts/block", true],
  ["/etcetera/a", false],
  ["/usr", true],
  ["/etc/../mnt/a", false],
  ["/usr/sbin/losetup", true],
  ["/usr/local/images/a", false],
  ["/dev/vg/disk", false],
  ["/mnt/a", false],
  ["sys/block", false],
])("near: %s: %p", (path, expected) => expect(isNear(path)).toBe(expected));

test("a link leads to its file", async () => {
  expect(await nearFiles.realPath(join(directory, "link"))).toBe(join(directory, "file"));
  expect((await nearFiles.lstat(join(directory, "link"))).kind).toBe("symlink");
  expect((await nearFiles.stat(join(directory, "link"))).mode).toBe(0o640);
});

test("the kernel's file systems", async () => {
  expect(await systemFiles.list("/sys/class/net")).toContain("lo");
  expect(await systemFiles.readText("/sys/class/net/lo/addr_len")).toBe("6\n");
  expect(await outcome(systemFiles.readText("/sys/class/net/none/mtu"))).toEqual({
    code: "ENOENT",
  });
  expect((await systemFiles.stat("/sys/class/net/lo")).kind).toBe("directory");
  expect(await outcome(systemFiles.stat("/sys/bus/none"))).toEqual({ code: "ENOENT" });
  expect(await outcome(systemFiles.list("/sys/class/none"))).toEqual({ code: "ENOENT" });
});

test("the daemon's own directories are near, and nothing that only begins like them", async () => {
  const own = join(directory, "own");
  const files = targetFilesBeside([own]);
  const { stat } = nearFiles;
  const near: string[] = [];
  nearFiles.stat = (path) => {
    near.push(path);
    return stat(path);
  };
  try {
    for (const path of [own, `${own}/script`, directory, `${own}er`, `${own}/../x`]) {
      await files.stat(path).catch(() => {});
    }
  } finally {
    nearFiles.stat = stat;
  }
  expect(near).toEqual([own, `${own}/script`, directory]);
});
