/** What file systems of domains are made of: archives, kernel modules, and the table of what they weigh. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { requireReal } from "../real/requirements.ts";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Archive } from "../../compile/image/cpio.ts";
import { addModules } from "../../compile/image/kernel.ts";
import { costTable, weigh, withTable } from "../../compile/minimal/cost.ts";

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-image-"));
});
afterEach(() => rmSync(directory, { recursive: true }));

/** The text of a file in an archive, by an unpacker that is not ours. */
function unpacked(archive: Archive, path: string): string {
  spawnSync("cpio", ["-idm", "--quiet"], { cwd: directory, input: archive.toBytes() });
  return readFileSync(join(directory, path), "utf8");
}

const hasCpio = requireReal("our images, unpacked by cpio", { packages: ["cpio"] });

describe("kernel modules", () => {
  const release = "6.1.0-test";

  function kernel() {
    const modules = join(directory, "modules");
    const write = (path: string, text: string) => {
      mkdirSync(dirname(join(modules, path)), { recursive: true });
      writeFileSync(join(modules, path), text);
    };
    for (const path of ["net/bridge.ko", "net/stp.ko", "net/llc.ko", "block/loop.ko"]) {
      write(path, path);
    }
    write(
      "modules.dep",
      "net/bridge.ko: net/stp.ko net/llc.ko\nnet/stp.ko: net/llc.ko\nnet/llc.ko:\nblock/loop.ko:\n",
    );
    write("modules.builtin", "kernel/drivers/xen/xen-privcmd.ko\n");
    return { modules, release };
  }

  test("come with what they need, which is inserted first; what is built in is left out", () => {
    const archive = new Archive();
    addModules(archive, kernel(), "etc/modules", ["xen-privcmd", "bridge", "loop max_loop=4"]);
    const root = `usr/lib/modules/${release}`;
    expect([...archive.files()].map(({ path }) => path).sort()).toEqual([
      "etc/modules",
      ...["block/loop.ko", "net/bridge.ko", "net/llc.ko", "net/stp.ko"]
        .map((path) => `${root}/${path}`),
    ]);
    const lines = ["net/llc.ko", "net/stp.ko", "net/bridge.ko", "block/loop.ko max_loop=4"]
      .map((line) => `/${root}/${line}\n`);
    const list = lines.join("");
    expect(new TextDecoder().decode(archive.toBytes())).toContain(list);
    if (hasCpio) expect(unpacked(archive, "etc/modules")).toBe(list);
  });

  test("that do not exist are told", () => {
    expect(() => addModules(new Archive(), kernel(), "etc/modules", ["xen-blkback"]))
      .toThrow(/has no module xen-blkback/);
  });
});

describe("what it costs", () => {
  test("each file counts once, in the part that it belongs to", () => {
    const archive = new Archive();
    archive.addText("usr/sbin/xdevd", "x".repeat(3_000_000));
    archive.addText("usr/bin/bash", "x".repeat(1_200_000));
    archive.addText("usr/bin/busybox", "x".repeat(400_000));
    archive.addText("usr/lib/x/libc.so.6", "x".repeat(7_000));
    archive.addText("usr/sbin/poweroff", "#!/bin/sh\n");
    archive.addText("init", "x".repeat(990));
    archive.set("usr/bin/sh", { type: "link", target: "busybox" });
    const weight = weigh(archive, new Uint8Array(5_000_000), new Uint8Array(2_000));
    expect(Object.fromEntries(weight.parts)).toEqual({
      "`xdevd`": 3_000_000,
      "bash and other programs of the scripts": 1_200_000,
      "busybox": 400_000,
      "libraries": 7_000,
      "init and the rest": 1_000,
    });
    expect(costTable(weight, { ...weight, parts: new Map() })).toContain(
      "| … busybox | 0.4 MB | – |",
    );
  });

  test("the table takes its place in a text, again and again", () => {
    const readme = readFileSync(join(import.meta.dir, "../../README.md"), "utf8");
    const once = withTable(readme, ["| one |"]);
    expect(once).toContain("\n\n| one |\n\n<!--");
    expect(withTable(once, ["| one |"])).toBe(once);
    expect(() => withTable("no place", [])).toThrow(/no place for the table/);
  });
});
