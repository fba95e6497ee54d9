/** Installing and uninstalling, in directories that stand for a system. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { needsLoader } from "../../../commands/install/needs_loader.ts";
import { requireReal } from "../../real/requirements.ts";
import {
  install,
  MANIFEST_PATH,
  parseManifest,
  uninstall,
} from "../../../commands/install/place_entries.ts";
import { INITRAMFS, layout, SERVICES, type Wanted } from "../../../commands/install/layout.ts";

const ALL: Wanted = { links: true, services: ["systemd"], initramfs: INITRAMFS };
const CONFIG = "/etc/xdevd/config.toml";

let scratch: string;
let root: string;
let binary: string;

beforeEach(() => {
  scratch = fs.realpathSync(fs.mkdtempSync(join(tmpdir(), "xdevd-install-")));
  root = join(scratch, "root");
  fs.mkdirSync(root);
  binary = join(scratch, "binary");
  fs.writeFileSync(binary, "the program");
});
afterEach(() => fs.rmSync(scratch, { recursive: true }));

const put = (wanted: Wanted, version = "1") =>
  install({ root, entries: layout(wanted), binary, version });

function write(path: string, text: string) {
  fs.mkdirSync(join(root, path, ".."), { recursive: true });
  fs.writeFileSync(join(root, path), text);
}

const read = (path: string) => fs.readFileSync(join(root, path), "utf8");

/** Everything below the root: what each path is. */
function tree(): Record<string, string> {
  const entries = fs.readdirSync(root, { recursive: true, encoding: "utf8" }).map((name) => {
    const stats = fs.lstatSync(join(root, name));
    const mode = (stats.mode & 0o7777).toString(8);
    const what = stats.isSymbolicLink()
      ? `-> ${fs.readlinkSync(join(root, name))}`
      : stats.isDirectory()
      ? "directory"
      : fs.readFileSync(join(root, name), "utf8");
    return [name, `${mode} ${what}`];
  });
  return Object.fromEntries(entries);
}

describe("installing", () => {
  test("the program, links that lead to it, a service", async () => {
    const { kept } = await put(ALL);
    expect(kept).toEqual([]);
    expect(fs.statSync(join(root, "usr/sbin/xdevd")).mode & 0o777).toBe(0o755);
    expect(fs.readFileSync(join(root, "usr/bin/xenstore-ls"), "utf8")).toBe("the program");
    expect(read("/usr/lib/systemd/system/xdevd.service")).toContain("Type=notify");
    expect(Object.keys(tree()).filter((name) => name.endsWith("-new"))).toEqual([]);
  });

  test("again changes nothing, and a new program takes the old one's place", async () => {
    await put(ALL);
    const before = tree();
    await put(ALL);
    expect(tree()).toEqual(before);
    fs.writeFileSync(binary, "a newer program");
    await put(ALL, "2");
    expect(read("/usr/sbin/xdevd")).toBe("a newer program");
    expect(parseManifest(read(MANIFEST_PATH)).version).toBe("2");
  });

  test("configuration that was changed, or somebody else's, stays", async () => {
    write(CONFIG, "mine");
    expect((await put(ALL)).kept).toEqual([`${CONFIG} (changed, or somebody else's)`]);
    expect(read(CONFIG)).toBe("mine");
    await uninstall(root);
    expect(read(CONFIG)).toBe("mine");
  });

  test("what is somebody else's is named, and nothing is done", async () => {
    write("/usr/bin/xenstore-ls", "Debian's");
    write("/usr/sbin/xdevd", "another");
    const before = tree();
    await expect(put(ALL)).rejects.toThrow(
      "not by this program: /usr/sbin/xdevd, /usr/bin/xenstore-ls",
    );
    expect(tree()).toEqual(before);
    // A link is not what it leads to.
    fs.rmSync(join(root, "usr/sbin/xdevd"));
    fs.symlinkSync("/bin/true", join(root, "usr/sbin/xdevd"));
    await expect(put({ ...ALL, links: false })).rejects.toThrow("/usr/sbin/xdevd");
  });

  test("links lead around below the root, but not out of it", async () => {
    fs.mkdirSync(join(root, "usr"));
    fs.mkdirSync(join(root, "merged"));
    fs.symlinkSync("../merged", join(root, "usr/sbin"));
    await put(ALL);
    expect(read("/merged/xdevd")).toBe("the program");
    await uninstall(root);
    fs.mkdirSync(join(scratch, "outside"));
    fs.symlinkSync(join(scratch, "outside"), join(root, "etc"));
    await expect(put(ALL)).rejects.toThrow("not below");
    expect(fs.readdirSync(join(scratch, "outside"))).toEqual([]);
  });
});

describe("uninstalling", () => {
  test("undoes exactly that, whatever was there and whatever was installed", async () => {
    const wanted = fc.record({
      links: fc.boolean(),
      services: fc.subarray([...SERVICES]),
      initramfs: fc.subarray([...INITRAMFS]),
    });
    const foreign = fc.subarray([
      "/usr/bin/other",
      "/etc/xdevd/plugins.d/mine.ts",
      "/etc/default/other",
      "/usr/lib/xdevd/plugins/mine.ts",
      CONFIG,
    ]);
    await fc.assert(
      fc.asyncProperty(
        foreign,
        fc.array(wanted, { minLength: 1, maxLength: 3 }),
        async (mine, all) => {
          fs.rmSync(root, { recursive: true });
          fs.mkdirSync(root);
          for (const path of mine) write(path, "mine");
          const before = tree();
          for (const each of all) {
            // One of them at a time can have this name.
            const services = each.services.filter((service) => service !== "sysv");
            await put({ ...each, services });
          }
          await uninstall(root);
          expect(tree()).toEqual(before);
        },
      ),
      { numRuns: 30 },
    );
  });

  test("what was changed since stays, and is named", async () => {
    await put(ALL);
    write(CONFIG, "changed");
    write("/usr/lib/xdevd/plugins/mine.ts", "mine");
    const { kept } = await uninstall(root);
    expect(kept).toContain(`${CONFIG} (changed)`);
    expect(kept).toContain("/usr/lib/xdevd/plugins (not empty)");
    expect(read(CONFIG)).toBe("changed");
    expect(fs.existsSync(join(root, "usr/sbin"))).toBe(false);
  });

  test("without an installation, or with a damaged record, nothing is touched", async () => {
    await expect(uninstall(root)).rejects.toThrow("nothing is installed");
    await put(ALL);
    const path = "/../outside";
    for (
      const bad of ["{", "{}", `{"version":"1","laid":[{"kind":"directory","path":"${path}"}]}`]
    ) {
      write(MANIFEST_PATH, bad);
      const before = tree();
      await expect(uninstall(root)).rejects.toThrow("damaged");
      expect(tree()).toEqual(before);
    }
  });
});

describe("what is installed", () => {
  test("for an initramfs is installed with one of its makers, and not without", () => {
    const named = (initramfs: Wanted["initramfs"]) =>
      layout({ links: false, services: ["systemd"], initramfs })
        .filter(({ path }) => path.includes("initramfs") || path.includes("dracut"))
        .map(({ path }) => path);
    expect(named([])).toEqual([]);
    for (const maker of INITRAMFS) {
      expect(named([maker])).toContain("/etc/xdevd/initramfs.conf");
      expect(named([maker]).length).toBeGreaterThan(1);
    }
  });

  test("shell scripts are shell scripts", () => {
    const entries = layout({ links: false, services: ["openrc"], initramfs: INITRAMFS })
      .concat(layout({ links: false, services: ["sysv"], initramfs: [] }));
    const scripts = entries.flatMap((entry) =>
      entry.kind === "file" && entry.text.startsWith("#!") ? [entry] : []
    );
    expect(scripts.length).toBe(6);
    for (const { path, text, mode } of scripts) {
      const { stderr } = spawnSync("sh", ["-n"], { input: text, encoding: "utf8" });
      expect({ path, mode, stderr }).toEqual({ path, mode: 0o755, stderr: "" });
    }
  });

  test("a program that needs a loader may compile at run time, a static one may not", () => {
    // Bun itself, and with it the full binary.
    expect(needsLoader(process.execPath)).toBe(true);
    const head = fs.readFileSync(process.execPath).subarray(0, 4096);
    const parts = head.readUInt16LE(0x38);
    // The same without the part that names the loader, and cut off at any place.
    for (let part = 0; part < parts; part++) {
      const at = Number(head.readBigUInt64LE(0x20)) + 56 * part;
      if (head.readUInt32LE(at) === 3) head.writeUInt32LE(0, at);
    }
    for (
      const bytes of [head, head.subarray(0, 100), head.subarray(0, 20), Buffer.from("#!/bin/sh")]
    ) {
      fs.writeFileSync(binary, bytes);
      expect(needsLoader(binary)).toBe(false);
    }
    const unit = (compiles: boolean) =>
      layout({ links: false, services: ["systemd"], initramfs: [], compiles }).flatMap((entry) =>
        entry.kind === "file" && entry.path.endsWith(".service") ? [entry.text] : []
      )[0]!;
    expect(unit(false)).toMatch(/^MemoryDenyWriteExecute=yes$/m);
    expect(unit(true)).not.toContain("MemoryDenyWriteExecute");
    const lines = (text: string) => text.split("\n").length;
    expect(lines(unit(false)) - lines(unit(true))).toBe(3);
  });

  const analyze = "/usr/bin/systemd-analyze";
  const judged = requireReal("the unit, by systemd-analyze", { packages: ["systemd"] });
  test.if(judged)("systemd has nothing to say about the unit", async () => {
    fs.writeFileSync(binary, "#!/bin/sh\n");
    await put(ALL);
    const unit = join(scratch, "xdevd.service");
    const text = read("/usr/lib/systemd/system/xdevd.service")
      .replaceAll("/usr/sbin/xdevd", join(root, "usr/sbin/xdevd"))
      .replaceAll("/sbin/modprobe", "/bin/true");
    fs.writeFileSync(unit, text);
    const { stdout, stderr } = spawnSync(analyze, ["verify", "--man=no", unit], {
      encoding: "utf8",
    });
    // It looks at the machine's other units as well.
    expect((stdout + stderr).split("\n").filter((line) => line.includes("xdevd"))).toEqual([]);
  });
});

test("the logrotate file is the one that the documentation shows, and its reload is there", async () => {
  await put({ links: false, services: ["sysv"], initramfs: [] });
  const own = read("/etc/logrotate.d/xdevd").replace(/^#.*\n/gm, "");
  expect(fs.readFileSync("docs/install.md", "utf8")).toContain("```\n" + own + "```");
  const [, script = "", verb] = /^\t\t(\S+) (\S+)/m.exec(own) ?? [];
  for (const service of ["sysv", "openrc"] as const) {
    await put({ links: false, services: [service], initramfs: [] });
    expect(read(script)).toMatch(new RegExp(`^${verb}\\(\\) \\{$`, "m"));
    fs.rmSync(join(root, script));
  }
});

test.each(["initramfs-tools/hook", "dracut/module-setup.sh", "debian/postinst"])(
  "%s knows whether a disk is listed",
  (file) => {
    const text = fs.readFileSync(join(import.meta.dir, "../../../packaging", file), "utf8");
    const pattern = /grep -Eqs '([^']+)'/.exec(text)![1]!;
    const isListed = (line: string) => {
      const { status } = spawnSync("grep", ["-Eqs", pattern], { input: `# disks\n${line}\n` });
      return status === 0;
    };
    const given = fs.readFileSync(
      join(import.meta.dir, "../../../packaging/initramfs.conf"),
      "utf8",
    );
    expect(isListed(given)).toBeFalse();
    for (const line of ["7 vdev=xvda", "  12 xvdb", "any vdev=xvda", "\tany\tvdev=xvdb"]) {
      expect({ line, listed: isListed(line) }).toEqual({ line, listed: true });
    }
    for (const line of ["", "#7 vdev=xvda", "# any vdev=xvda", "anything", "any"]) {
      expect({ line, listed: isListed(line) }).toEqual({ line, listed: false });
    }
  },
);
