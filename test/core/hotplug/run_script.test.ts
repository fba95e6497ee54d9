/** Running scripts: real ones, with real processes. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import {
  DEFAULT_LIMITS,
  runScript,
  runWithLastWords,
  ScriptFailed,
} from "../../../core/hotplug/run_script.ts";
import { openLog } from "../../../core/log/log.ts";
import { OPERATION_VARIABLE, Orphans } from "../../../core/daemon/device/orphans.ts";
import { systemClock } from "../../../platform/clock.ts";
import { systemProcesses } from "../../../platform/io/child.ts";
import { systemFiles } from "../../../platform/io/files.ts";
import { systemProcessTable } from "../../../platform/linux/process_table.ts";
import { failure } from "../../support/fake_blocks.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { until } from "../../support/daemon_process.ts";

let directory: string;
let count = 0;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "xdevd-script-"));
});

afterAll(() => rm(directory, { recursive: true }));

interface Given {
  readonly args?: string[];
  readonly env?: Record<string, string>;
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly endMarked?: () => Promise<unknown>;
}

/** Runs a body as a script; returns what it printed. */
async function run(body: string, given: Given = {}, mode = 0o755): Promise<string[]> {
  const path = join(directory, `script-${count++}`);
  await writeFile(path, body);
  await chmod(path, mode);
  const lines: string[] = [];
  await runScript(systemProcesses, systemClock, {
    argv: [path, ...given.args ?? []],
    env: { PATH: "/usr/bin:/bin", ...given.env },
    limits: { timeoutMs: given.timeoutMs ?? 5_000, killGraceMs: 200 },
    signal: given.signal ?? new AbortController().signal,
    output: (line) => lines.push(line),
    ...(given.endMarked === undefined ? {} : { endMarked: given.endMarked }),
  });
  return lines;
}

describe("one that did not come to its end", () => {
  const codeOf = (running: Promise<unknown>) => running.then(() => "none", ({ code }) => code);
  const SLEEPS = "#!/bin/sh\nsleep 20";

  test("tells so by a code, and no other does", async () => {
    expect(await codeOf(run(SLEEPS, { timeoutMs: 50 }))).toBe("ETIMEDOUT");
    expect(await codeOf(run("#!/bin/sh\nexit 3"))).toBeUndefined();
    const abort = new AbortController();
    const running = codeOf(run(SLEEPS, { signal: abort.signal }));
    abort.abort(new Error("told so"));
    expect(await running).toBeUndefined();
  });

  test("keeps it beside what it said", async () => {
    const error = await runWithLastWords(
      {
        processes: { start: () => Promise.reject(failure("EAGAIN", "EAGAIN: no process")) },
        clock: systemClock,
        files: {} as never,
      },
      {
        ...{ argv: ["/x"], env: {}, limits: { timeoutMs: 1_000, killGraceMs: 1 }, output() {} },
        signal: new AbortController().signal,
      },
      openLog(),
      async () => "its words",
    ).catch((thrown) => thrown);
    expect(error).toMatchObject({ code: "EAGAIN" });
    const path = join(directory, `script-${count++}`);
    await writeFile(path, SLEEPS, { mode: 0o755 });
    const late = await runWithLastWords(
      { processes: systemProcesses, clock: systemClock, files: systemFiles },
      {
        ...{ argv: [path], env: {}, limits: { timeoutMs: 50, killGraceMs: 50 }, output() {} },
        signal: new AbortController().signal,
      },
      openLog(),
      async () => "its words",
    ).catch((thrown) => thrown);
    expect(late.message).toContain("its words");
    expect(late).toMatchObject({ code: "ETIMEDOUT" });
  });
});

describe("a script", () => {
  test("gets its arguments, exactly the environment given, and nothing on its input", async () => {
    const lines = await run('#!/bin/sh\necho "$0|$*"\ncat; env | sort', {
      args: ["add", "type_if=vif; rm -rf /"],
      env: { XENBUS_PATH: "a b$(c)" },
    });
    expect(lines[0]).toEndWith("|add type_if=vif; rm -rf /");
    // PWD and the like are the shell's own.
    const names = lines.slice(1).map((line) => line.split("=")[0]);
    expect(names.filter((name) => !["PWD", "SHLVL", "_", "OLDPWD"].includes(name!)))
      .toEqual(["PATH", "XENBUS_PATH"]);
    expect(lines).toContain("XENBUS_PATH=a b$(c)");
  });

  test("its output comes line by line, both streams, the last one without a line end too", async () => {
    expect(await run("#!/bin/sh\necho one; echo two >&2; printf three"))
      .toEqual(expect.arrayContaining(["one", "two", "three"]));
  });

  test("a line without end is cut, and a flood is bounded", async () => {
    const lines = await run("#!/bin/sh\nhead -c 100000 /dev/zero | tr '\\0' x; seq 1 20000");
    expect(lines[0]).toMatch(/^x{2000}… \(cut\)$/);
    expect(lines.length).toBeLessThanOrEqual(10_001);
    expect(lines.at(-1)).toMatch(/more than 10000 lines/);
  });

  test.each([
    ["exits with a status", "#!/bin/sh\nexit 7", /exited with status 7/],
    ["is killed", "#!/bin/sh\nkill -KILL $$", /was killed by SIGKILL/],
    ["has no interpreter", "#!/does/not/exist", /interpreter of its #! line, does not exist/],
    ["is empty", "", /no program and has no #! line/],
  ])("%s", async (_, body, message) => {
    const error = await run(body).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ScriptFailed);
    expect(error.message).toMatch(message);
    expect(error.message).toStartWith(directory);
  });

  test("is not executable", async () => {
    await expect(run("#!/bin/sh", {}, 0o644)).rejects.toThrow(/it is not executable/);
  });

  test("that takes too long gets TERM, and may clean up", async () => {
    const mark = join(directory, "cleaned");
    const body = `#!/bin/sh\ntrap 'echo > ${mark}; exit 1' TERM\nsleep 1000 & wait`;
    await expect(run(body, { timeoutMs: 100 })).rejects.toThrow(/did not end within 0.1 s/);
    expect(await readFile(mark, "utf8")).toBe("\n");
  });

  test("that ignores TERM gets KILL, and all that it started with it", async () => {
    const pids = join(directory, "pids");
    const body = `#!/bin/sh\ntrap "" TERM\nsleep 1000 & echo $! > ${pids}; sleep 1000`;
    const started = performance.now();
    await expect(run(body, { timeoutMs: 100 })).rejects.toThrow(/did not end within 0.1 s/);
    expect(performance.now() - started).toBeLessThan(3_000);
    const pid = Number(await readFile(pids, "utf8"));
    await until(() => !alive(pid), () => `${pid} still runs`);
  });

  test("takes too long: what it has started ends, too, in whatever session that is", async () => {
    const orphans = new Orphans(systemProcessTable, systemClock);
    const operation = crypto.randomUUID();
    const marked = async () =>
      [...await systemProcessTable.withVariable(OPERATION_VARIABLE)]
        .filter(([, value]) => value === operation).length;
    // One ignores TERM, and one is the child of one that has ended.
    const body = "#!/bin/sh\nsetsid sh -c 'trap \"\" TERM; sleep 1000; sleep 1000' &\n" +
      "setsid sh -c 'sleep 1000 & sleep 1000 & exit 0' &\nsleep 1000";
    const running = run(body, {
      env: { [OPERATION_VARIABLE]: operation },
      timeoutMs: 1_000,
      endMarked: () => orphans.end(operation, "SIGTERM"),
    });
    running.catch(() => {});
    await until(async () => await marked() === 6, async () => `${await marked()} run`);
    await expect(running).rejects.toThrow(/did not end within 1 s and was killed$/);
    expect(await marked()).toBe(0);
  });

  test("is stopped by its signal, or not even started", async () => {
    const abort = new AbortController();
    const running = run("#!/bin/sh\nexec sleep 1000", { signal: abort.signal });
    setTimeout(() => abort.abort(new Error("no longer wanted")), 50);
    await expect(running).rejects.toThrow(/was stopped: no longer wanted/);
    await expect(run("#!/bin/sh", { signal: abort.signal })).rejects.toThrow(/not started/);
  });

  test("is stopped by a signal that fires while it is being started", async () => {
    const abort = new AbortController();
    const running = runScript(
      {
        start(spec) {
          const child = systemProcesses.start(spec);
          abort.abort(new Error("no longer wanted"));
          return child;
        },
      },
      systemClock,
      {
        argv: ["/bin/sleep", "1000"],
        env: {},
        limits: { timeoutMs: 3_000, killGraceMs: 200 },
        signal: abort.signal,
        output: () => {},
      },
    );
    await expect(running).rejects.toThrow(/was stopped: no longer wanted/);
  });

  test("in time leaves no timer and no listener behind", async () => {
    const clock = new FakeClock();
    let listeners = 0;
    const signal = {
      aborted: false,
      addEventListener: () => listeners++,
      removeEventListener: () => listeners--,
    } as unknown as AbortSignal;
    await runScript(systemProcesses, clock, {
      argv: ["/bin/true"],
      env: {},
      limits: DEFAULT_LIMITS,
      signal,
      output: () => {},
    });
    expect([clock.pending, listeners]).toEqual([0, 0]);
  });

  test("has 40 s, then 2 s between TERM and KILL", async () => {
    const clock = new FakeClock();
    const signals: string[] = [];
    const ended = Promise.withResolvers<{ code: null; signal: string }>();
    const running = runScript(
      {
        start: async () => ({
          pid: 1,
          exited: ended.promise,
          signalGroup: (signal) => {
            signals.push(`${signal} ${clock.now()}`);
            return true;
          },
        }),
      },
      clock,
      {
        argv: ["/s"],
        env: {},
        limits: DEFAULT_LIMITS,
        signal: new AbortController().signal,
        output: () => {},
      },
    );
    running.catch(() => {});
    await clock.advance(50_000);
    expect(signals).toEqual(["SIGTERM 40000", "SIGKILL 42000"]);
    ended.resolve({ code: null, signal: "SIGKILL" });
    await expect(running).rejects.toThrow("/s: did not end within 40 s and was killed");
  });

  test("a child that it leaves behind does not hold it up, and lives on", async () => {
    const pids = join(directory, "left");
    const started = performance.now();
    await run(`#!/bin/sh\nsleep 1000 & echo $! > ${pids}; exit 0`);
    expect(performance.now() - started).toBeLessThan(2_000);
    const pid = Number(await readFile(pids, "utf8"));
    expect(alive(pid)).toBeTrue();
    process.kill(pid, "SIGKILL");
  });
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
