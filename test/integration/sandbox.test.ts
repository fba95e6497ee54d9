/** `xdevd sandbox`: what it says to type works to the letter, and nothing is left of it. */
import { describe, expect, test } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { programCommand, until } from "../support/daemon_process.ts";

/** This machine may be busy. */
const PATIENCE_MS = 60_000;

interface Sandbox {
  readonly child: ChildProcess;
  readonly said: () => string;
  readonly directory: string;
  /** The commands that it says to type. */
  readonly commands: readonly string[];
}

/** @param cwd where it runs; where `above` is seen from, if it is relative */
async function start(above: string, cwd = "/"): Promise<Sandbox> {
  const [file, ...before] = programCommand();
  const child = spawn(file, [...before, "sandbox"], {
    env: { PATH: process.env["PATH"] ?? "", TMPDIR: above },
    cwd,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let text = "";
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on("data", (chunk: Uint8Array) => text += new TextDecoder().decode(chunk));
  }
  await until(() => text.includes("Ctrl-C ends"), () => `it never began:\n${text}`, PATIENCE_MS);
  const commands = [...text.matchAll(/^ {2}('?\/.*)$/gm)].map(([, line]) => line!);
  const place = resolve(cwd, above);
  const [name] = readdirSync(place);
  return { child, said: () => text, directory: join(place, name!), commands };
}

/** Types a line into a shell that knows nothing of this test. */
function type(line: string): { code: number | null; text: string } {
  const { status, stdout, stderr } = spawnSync("/bin/sh", ["-c", line], {
    encoding: "utf8",
    env: { PATH: "/usr/bin:/bin" },
    timeout: PATIENCE_MS,
  });
  return { code: status, text: stdout + stderr };
}

function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
  child.kill(signal);
  return exited;
}

/** Command lines of all processes that name a directory. */
function processesOf(directory: string): string[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map((pid) => {
    try {
      return readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
    } catch {
      return "";
    }
  }).filter((line) => line.includes(directory));
}

describe("xdevd sandbox", () => {
  test("its commands work as they stand; what it names is there; TERM leaves nothing", async () => {
    const above = mkdtempSync(join(tmpdir(), "xdevd-sandbox-test-"));
    const { child, said, directory, commands } = await start(above);
    try {
      expect(commands).toHaveLength(3);
      const [status, attach] = commands.slice(0, 2).map(type);
      expect(status!.text).toMatch(/^8 +xvdb +vbd .* failed /m);
      expect(status!.text).toMatch(/^3 devices: 2 connected, 1 failed; xdevd/m);
      expect(status!.code).toBe(0);
      expect(attach).toEqual({ code: 0, text: "" });
      let trace = type(commands[2]!);
      // The guest may be through before the script has ended.
      await until(
        () => !trace.text.includes(": under way") || (trace = type(commands[2]!), false),
        () => trace.text,
        PATIENCE_MS,
      );
      expect(trace.text).toMatch(/^attach of vbd\/7\/51728, .* done in /m);
      expect(trace.text).toMatch(/ script {5}\S+\/scripts\/block add \(/);
      expect(trace.code).toBe(0);
      const listed = () => type(`${directory}/dom0 list`);
      expect(listed().text).toMatch(/^web \(7\) +xvdb +vbd .* connected$/m);
      const doctor = type(`${directory}/storage doctor`);
      expect(doctor.text).toContain("xvdb (vbd/8/51728): it is not served");
      expect(doctor.text).toContain(`answers at ${directory}/run/xdevd.sock`);
      expect(doctor.code).toBe(1);
      const metrics = type(`${directory}/storage metrics`);
      expect(metrics.text).toContain('xdevd_failures_total{cause="target-missing"} 1');
      expect(metrics.code).toBe(0);
      // That is written at most once a second.
      let told = type(`${directory}/dom0 status --domain storage`);
      await until(
        () => told.code === 0 || (told = type(`${directory}/dom0 status --domain storage`), false),
        () => told.text,
        PATIENCE_MS,
      );
      expect(told.text).toContain("serving since");
      expect(type(`${directory}/dom0 network-attach web backend=storage bridge=xenbr0`))
        .toMatchObject({ code: 0 });
      expect(type(`${directory}/dom0 block-detach web xvdb`)).toMatchObject({ code: 0 });
      expect(type(`${directory}/dom0 xenstore-read /local/domain/7/name`))
        .toEqual({ code: 0, text: "web\n" });
      expect(type(`${directory}/storage xenstore-read domid`)).toEqual({ code: 0, text: "1\n" });
      // A daemon that is killed comes back, and finds everything as it was.
      const [pid] = readFileSync(`${directory}/run/devd-1.lock`, "utf8").split(/\s/);
      process.kill(Number(pid), "SIGKILL");
      await until(
        () => /the daemon ended with SIGKILL[^]* serving domain 1 /.test(said()),
        said,
        PATIENCE_MS,
      );
      expect(listed().text).toMatch(
        /^web .* xvda .*connected$/m,
      );
    } finally {
      expect(await end(child, "SIGTERM")).toBe(0);
    }
    expect(existsSync(directory)).toBeFalse();
    expect(processesOf(directory)).toEqual([]);
    rmSync(above, { recursive: true });
  }, 3 * PATIENCE_MS);

  test("a relative TMPDIR with all that means something to a shell is as good", async () => {
    const place = mkdtempSync(join(tmpdir(), "xdevd-sandbox-test-"));
    const above = "it's a $(place)";
    mkdirSync(join(place, above));
    const { child, commands } = await start(above, place);
    try {
      expect(commands).toHaveLength(3);
      const [status, attach] = commands.slice(0, 2).map(type);
      expect(status!.text).toMatch(/^3 devices: 2 connected, 1 failed; xdevd/m);
      expect(attach).toEqual({ code: 0, text: "" });
    } finally {
      expect(await end(child, "SIGTERM")).toBe(0);
    }
    expect(readdirSync(join(place, above))).toEqual([]);
    rmSync(place, { recursive: true });
  }, 3 * PATIENCE_MS);

  test.each(["SIGINT", "SIGHUP"] as const)("%s ends it likewise", async (signal) => {
    const above = mkdtempSync(join(tmpdir(), "xdevd-sandbox-test-"));
    const { child, directory } = await start(above);
    expect(await end(child, signal)).toBe(0);
    expect(readdirSync(above)).toEqual([]);
    expect(processesOf(directory)).toEqual([]);
    rmSync(above, { recursive: true });
  }, 2 * PATIENCE_MS);

  test.each([0, 50, 200, 400])(
    "told to end %d ms after it began, it leaves nothing",
    async (ms) => {
      const above = mkdtempSync(join(tmpdir(), "xdevd-sandbox-test-"));
      const [file, ...before] = programCommand();
      const child = spawn(file, [...before, "sandbox"], {
        env: { PATH: process.env["PATH"] ?? "", TMPDIR: above },
        stdio: "ignore",
      });
      await until(() => readdirSync(above).length > 0, () => "it never began", PATIENCE_MS);
      await new Promise((resolve) => setTimeout(resolve, ms));
      expect(await end(child, "SIGTERM")).toBe(0);
      expect(readdirSync(above)).toEqual([]);
      expect(processesOf(above)).toEqual([]);
      rmSync(above, { recursive: true });
    },
    2 * PATIENCE_MS,
  );
});
