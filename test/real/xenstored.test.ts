/** The wrapper around the real xenstored: that it starts, obeys, and leaves nothing behind. */
import { afterEach, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs";
import * as path from "node:path";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const module = path.join(import.meta.dir, "xenstored.ts");

if (requireReal("the real xenstored on the shim", { packages: xenstoredPackages })) {
  const running: RealXenstored[] = [];
  const start = async (...args: Parameters<typeof startXenstored>) => {
    const instance = await startXenstored(...args);
    running.push(instance);
    return instance;
  };
  afterEach(async () => {
    for (const instance of running.splice(0)) await instance.stop();
  });

  describe("the real xenstored", () => {
    test("is Debian's own and answers xenstore-ls as domain 0 and as a domain", async () => {
      const xs = await start({ domains: [7] });
      expect(fs.readlinkSync(`/proc/${xs.pid}/exe`)).toBe("/usr/lib/xen-4.17/bin/xenstored");
      await tool(xs, 0, "xenstore-write", "/local/domain/7", "");
      await tool(xs, 0, "xenstore-chmod", "/local/domain/7", "n7");
      await tool(xs, 7, "xenstore-write", "data/mine", "1");

      expect(await tool(xs, 0, "xenstore-ls", "/local/domain/7")).toBe(
        'data = ""\n mine = "1"\n',
      );
      expect(await tool(xs, 7, "xenstore-ls", "data")).toBe('mine = "1"\n');
      // Not privileged: it is taken for domain 7 indeed.
      await expect(tool(xs, 7, "xenstore-write", "/elsewhere", "1")).rejects.toThrow("ended with");
    });

    test("destroying a domain removes its socket, and it can be introduced again", async () => {
      const xs = await start({ domains: [3, 4] });
      const socket = xs.socketPath(3);
      expect(fs.existsSync(socket)).toBe(true);
      await xs.destroy(3);
      expect(fs.existsSync(socket)).toBe(false);
      expect(fs.existsSync(xs.socketPath(4))).toBe(true);
      await xs.introduce(3);
      expect(fs.existsSync(socket)).toBe(true);
      await xs.release(3);
      expect(fs.existsSync(socket)).toBe(false);
    });

    test("a crash or shutdown is announced, and the domain goes on existing", async () => {
      const xs = await start({ domains: [3, 4] });
      for (const end of [() => xs.crash(3), () => xs.shutdown(4)]) {
        const watcher = spawn("xenstore-watch", ["-n", "2", "@releaseDomain"], {
          env: clientEnvironment(xs, 0),
          stdio: ["ignore", "pipe", "inherit"],
        });
        // The first event comes from setting the watch, the second from what happens to the domain.
        await new Promise((resolve) => watcher.stdout.once("data", resolve));
        const ended = exitOf(watcher);
        await end();
        expect(await ended).toBe(0);
      }
      expect(fs.existsSync(xs.socketPath(3))).toBe(true);
      expect(fs.existsSync(xs.socketPath(4))).toBe(true);
    });

    test("passes arguments on, and several run beside each other", async () => {
      const instances = await Promise.all([start({ args: ["--entry-size=300"] }), start()]);
      const [small, usual] = instances as [RealXenstored, RealXenstored];
      for (const xs of instances) {
        await xs.introduce(1);
        await tool(xs, 0, "xenstore-write", "/local/domain/1", "");
        await tool(xs, 0, "xenstore-chmod", "/local/domain/1", "n1");
      }
      const value = "x".repeat(500);
      await tool(usual, 1, "xenstore-write", "large", value);
      await expect(tool(small, 1, "xenstore-write", "large", value)).rejects.toThrow("ended with");
    });

    test("what the server prints is in the error when it cannot start", async () => {
      await expect(startXenstored({ args: ["--pid-file=/nowhere/pid"] })).rejects.toThrow(
        "/nowhere/pid",
      );
    });

    test("stop leaves no process and no directory", async () => {
      const xs = await startXenstored({ domains: [1] });
      expect(isAlive(xs.pid)).toBe(true);
      await Promise.all([xs.stop(), xs.stop()]);
      expect(isAlive(xs.pid)).toBe(false);
      expect(fs.existsSync(xs.dir)).toBe(false);
    });

    test("the server dies with the process that started it, even if that is killed", async () => {
      const script = `const { startXenstored } = await import(${JSON.stringify(module)});
        const xs = await startXenstored();
        console.log(JSON.stringify([xs.pid, xs.dir]));
        setInterval(() => {}, 1000);`;
      const parent = spawn(process.execPath, ["-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const line = await new Promise<string>((resolve) =>
        parent.stdout.once("data", (chunk) => resolve(String(chunk)))
      );
      const [pid, dir] = JSON.parse(line) as [number, string];
      try {
        expect(isAlive(pid)).toBe(true);
        parent.kill("SIGKILL");
        await exitOf(parent);
        for (let i = 0; i < 100 && isAlive(pid); i++) await Bun.sleep(20);
        expect(isAlive(pid)).toBe(false);
      } finally {
        fs.rmSync(dir, { recursive: true, force: true });
      }
    });
  });
}

/** Runs one of xenstore-utils as a domain and returns what it prints. */
async function tool(xs: RealXenstored, domid: number, name: string, ...args: string[]) {
  const child = spawn(name, args, {
    env: clientEnvironment(xs, domid),
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stdout = "";
  let stderr = "";
  child.stdout.on("data", (chunk) => stdout += chunk);
  child.stderr.on("data", (chunk) => stderr += chunk);
  const code = await new Promise((resolve) => child.once("close", resolve));
  if (code !== 0) throw new Error(`${name} ${args.join(" ")} ended with ${code}: ${stderr}`);
  return stdout;
}

function clientEnvironment(xs: RealXenstored, domid: number) {
  return { ...process.env, XENSTORED_RUNDIR: xs.dir, XENSTORED_PATH: xs.socketPath(domid) };
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("exit", resolve));
}

/** Is there such a process, other than a zombie that nobody has waited for yet? */
function isAlive(pid: number): boolean {
  try {
    return !/^State:\s+Z/m.test(fs.readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}
