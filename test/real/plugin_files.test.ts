/**
 * Backends that are files: binaries with none built in, and the sources, serve real loop devices
 * with them, on Debian's xenstored.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chmod, copyFile, mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, runProgram } from "../support/daemon_process.ts";
import { fullCommand } from "../support/full_only.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const DRIVER = 1;
const GUEST = 7;
const SIZE = 256 * 1024;

const needs = {
  packages: [...xenstoredPackages, "xen-utils-common", "mount", "python3-minimal", "gcc"],
  root: true,
};
if (requireReal("plugin files on loop devices", needs)) {
  describe.each(
    [
      ["the full binary without backends", "itself, compiled"],
      ["the sources", "TypeScript at run time"],
      ["the small binary without backends", null],
    ] as const,
  )("%s", (what, fullOnly) => {
    const isSmall = fullOnly === null;
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let command: readonly [string, ...string[]];
    let daemon: DaemonProcess | null = null;

    beforeAll(async () => {
      directory = await mkdtemp(join(tmpdir(), "xdevd-plugin-files-"));
      const compile = (...args: string[]) => {
        const made = Bun.spawnSync([process.execPath, "compile/compile.ts", ...args], {
          cwd: root,
        });
        expect(made.stderr.toString()).toBe("");
        expect(made.exitCode).toBe(0);
      };
      command = isSmall ? [join(directory, "xdevd")] : fullCommand(fullOnly);
      if (what !== "the sources") {
        command = [join(directory, "xdevd")];
        compile("--with", "none", "--outfile", command[0], isSmall ? "--small" : "--full");
      }
      compile("plugins", "--outdir", join(directory, "plugins"));
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      await makeDomain(dom0, DRIVER);
      await makeDomain(dom0, GUEST);
    });

    afterEach(async () => {
      expect(await daemon?.stop()).toBe(0);
      daemon = null;
      expect(Bun.spawnSync(["losetup", "-a"]).stdout.toString()).not.toContain(directory);
    });

    afterAll(async () => {
      dom0.close();
      await store.stop();
      await rm(directory, { recursive: true });
    });

    async function start(file: string): Promise<DaemonProcess> {
      // The sources have a vbd of their own.
      const kinds = what === "the sources" ? ["vbd"] : [];
      if (kinds.length > 0 && file.endsWith("vbd.js")) kinds.push("vbd3");
      const chosen = kinds.flatMap((kind) => ["--kind", `${kind}=${file}`]);
      daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
        ...["--plugin", file, ...chosen],
      ], { command });
      return daemon;
    }

    async function attach(nodes: Record<string, string>): Promise<HandMadeDevice> {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: 51712 };
      const device = new HandMadeDevice(dom0, id);
      await device.create(nodes);
      await device.write("state", "2");
      await device.reaches("hotplug-status", "connected");
      return device;
    }

    async function firstBytes(path: string): Promise<Buffer> {
      const file = await open(path, "r");
      try {
        return (await file.read(Buffer.alloc(4096), 0, 4096, 0)).buffer;
      } finally {
        await file.close();
      }
    }

    test("our vbd, bundled, with Debian's block script", async () => {
      const image = join(directory, "image");
      const bytes = Buffer.from(crypto.getRandomValues(new Uint8Array(SIZE / 4)));
      await writeFile(image, Buffer.concat([bytes, bytes, bytes, bytes]));
      await start(join(directory, "plugins", "vbd.js"));
      const device = await attach({ script: "/etc/xen/scripts/block", params: image });
      expect(await firstBytes((await device.read("node"))!)).toEqual(bytes.subarray(0, 4096));
      await device.detach();
      await device.gone();
    });

    if (!isSmall) {
      test("the guide's example: a disk in memory", async () => {
        await start(join(root, "examples", "ramdisk.ts"));
        await servesLoop();
      });
    }

    test("a module, as `plugin new` writes it", async () => {
      const args = ["plugin", "new", "fresh", "--kind", "vbd", "--dir", directory];
      const { stdout, stderr } = await runProgram(args, {}, undefined, command);
      expect(stderr).toBe("");
      const [, file] = /^(\S+): a plugin for kind vbd$/m.exec(stdout)!;
      expect(file).toEndWith(isSmall ? "fresh.js" : "fresh.ts");
      await start(file!);
      await servesLoop();
    });

    async function servesLoop() {
      const device = await attach({ params: "3" });
      const node = (await device.read("node"))!;
      expect(node).toMatch(/^\/dev\/loop\d+$/);
      const size = Bun.spawnSync(["blockdev", "--getsize64", node]).stdout.toString().trim();
      expect(size).toBe(String(3 * 1024 * 1024));
      await device.detach();
      await device.gone();
    }

    test("a program in the shell's language", async () => {
      const file = join(directory, "in-shell");
      await copyFile(join(import.meta.dir, "shell_plugin.sh"), file);
      await chmod(file, 0o755);
      await start(file);
      const device = await attach({ params: "1" });
      await device.detach();
      await device.gone();
    });

    test("a program in Python, as `plugin new` writes it", async () => {
      const name = "a-program";
      const { stderr } = await runProgram(
        ["plugin", "new", name, "--carrier", "process", "--kind", "vbd", "--dir", directory],
        {},
        undefined,
        command,
      );
      expect(stderr).toBe("");
      const daemon = await start(join(directory, name));
      const device = await attach({ params: "4" });
      await daemon.says(/vbd\/7\/51712\): attach/);
      await device.detach();
      await device.gone();
      await rm(join(directory, name));
    });
  });
}
