/** Real child processes, and how their output is cut into lines. */
import { describe, expect, spyOn, test } from "bun:test";
import * as fc from "fast-check";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemPipedChildren, systemProcesses } from "../../platform/io/child.ts";
import { LineSplitter } from "../../platform/io/line_splitter.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import { Orphans } from "../../core/daemon/device/orphans.ts";
import { sys } from "../../platform/kernel.ts";
import { until } from "../support/daemon_process.ts";
import { FakeClock } from "../support/fake_clock.ts";

/** Runs a shell command to its end. */
async function sh(script: string, env: Record<string, string> = {}) {
  const lines: string[] = [];
  const child = await systemProcesses.start({
    argv: ["/bin/sh", "-c", script],
    env,
    apart: true,
    output: (line, stream) => lines.push(`${stream}: ${line}`),
  });
  return { ...await child.exited, lines };
}

const descriptors = () => fs.readdirSync("/proc/self/fd").length;

describe("a child", () => {
  test("is found by its environment as soon as it was started, each time", async () => {
    let missed = 0;
    for (let round = 0; round < 150; round++) {
      const child = await systemProcesses.start({
        argv: ["/bin/sleep", "60"],
        env: { XDEVD_TEST_MARK: String(round) },
      });
      const found = await systemProcessTable.withVariable("XDEVD_TEST_MARK");
      if (found.get(child.pid) !== String(round)) missed++;
      child.signalGroup("SIGKILL");
      await child.exited;
    }
    expect(missed).toBe(0);
    // One that has none is not waited for without end.
    const bare = await systemProcesses.start({ argv: ["/bin/sleep", "60"], env: {} });
    expect((await systemProcessTable.withVariable("XDEVD_TEST_MARK")).size).toBe(0);
    bare.signalGroup("SIGKILL");
    await bare.exited;
  }, 60_000);

  test("prints into one pipe, in order, unless its streams are told apart", async () => {
    const lines: string[] = [];
    const child = await systemProcesses.start({
      argv: ["/bin/sh", "-c", "echo one; echo two >&2; echo three; exec 2>&-; echo four"],
      env: {},
      output: (line, stream) => lines.push(`${stream}: ${line}`),
    });
    await child.exited;
    expect(lines).toEqual(["stdout: one", "stdout: two", "stdout: three", "stdout: four"]);
  });

  test("that leaves one behind has its pipes closed after a moment, and that one is told", async () => {
    const before = descriptors();
    for (let round = 0; round < 5; round++) {
      const { code, lines } = await sh("yes & echo $! >&2");
      expect(code).toBe(0);
      const pid = Number(lines.find((line) => line.startsWith("stderr"))!.slice(8));
      // It writes where nobody reads.
      await until(
        async () => await systemProcessTable.identityOf(pid) === undefined,
        () => `${pid}`,
      );
    }
    await until(() => descriptors() <= before, () => `${descriptors()}, ${before} before`);
  });

  test("that is talked to and leaves one behind has its pipes closed, too", async () => {
    const before = descriptors();
    const child = await systemPipedChildren.start({
      argv: ["/bin/sh", "-c", "echo hello; sleep 30 & echo $! >&2"],
      env: {},
      complaint: (line) => pid = Number(line),
    });
    let pid = 0;
    let said = "";
    for await (const chunk of child.output) said += new TextDecoder().decode(chunk);
    expect(said).toBe("hello\n");
    expect((await child.exited).code).toBe(0);
    await until(() => descriptors() <= before, () => `${descriptors()}, ${before} before`);
    process.kill(pid);
  });

  test("that prints without end is read no faster than can be afforded", async () => {
    const started = performance.now();
    let lines = 0;
    const child = await systemProcesses.start({
      argv: ["/usr/bin/yes"],
      env: {},
      output: () => lines++,
    });
    await new Promise((resolve) => setTimeout(resolve, 1_500));
    const written = /^wchar: (\d+)$/m.exec(fs.readFileSync(`/proc/${child.pid}/io`, "utf8"))?.[1];
    const seconds = (performance.now() - started) / 1000;
    child.signalGroup("SIGKILL");
    await child.exited;
    // A second's share at the start of each, and what the pipe has room for.
    expect(Number(written)).toBeLessThan((seconds + 2) * 4 * 1024 * 1024);
    expect(lines).toBe(10_001);
  });

  test("gets exactly the environment given", async () => {
    process.env["XDEVD_TEST_SECRET"] = "1";
    const { lines } = await sh("tr '\\0' '\\n' < /proc/$$/environ", { A: "1", "B b": "x=y" });
    expect(lines.sort()).toEqual(["stdout: A=1", "stdout: B b=x=y"]);
    expect((await sh("tr '\\0' '\\n' < /proc/$$/environ")).lines).toEqual([]);
    delete process.env["XDEVD_TEST_SECRET"];
  });

  test("gets no descriptor but the three, /dev/null to read from, no signal ignored", async () => {
    const open = fs.openSync("/etc/passwd", "r");
    const { lines } = await sh(
      "ls /proc/$$/fd; readlink /proc/$$/fd/0; cat; grep -E 'Sig(Ign|Blk)' /proc/self/status; pwd",
    );
    fs.closeSync(open);
    // dash keeps no descriptor of its own open.
    expect(lines.map((line) => line.replace(/^stdout: /, ""))).toEqual([
      "0",
      "1",
      "2",
      "/dev/null",
      expect.stringMatching(/^SigBlk:\s0+$/),
      expect.stringMatching(/^SigIgn:\s0+$/),
      "/",
    ]);
  });

  test("can open its output again, as scripts do", async () => {
    const { code, lines } = await sh("set -e; echo one > /dev/stderr; echo two | tee /dev/stderr");
    expect(code).toBe(0);
    expect(lines.sort()).toEqual(["stderr: one", "stderr: two", "stdout: two"]);
  });

  test("leads a session and a group of its own", async () => {
    const child = await systemProcesses.start({ argv: ["/bin/sleep", "1000"], env: {} });
    const [, , group, session] = fs.readFileSync(`/proc/${child.pid}/stat`, "utf8")
      .replace(/^.*\) /, "").split(" ").map(Number);
    expect([group, session]).toEqual([child.pid, child.pid]);
    expect(child.signalGroup("SIGTERM")).toBeTrue();
    expect(await child.exited).toEqual({ code: null, signal: "SIGTERM" });
    expect(child.signalGroup("SIGKILL")).toBeFalse();
  });

  test("ends with its whole group", async () => {
    const pids: number[] = [];
    const child = await systemProcesses.start({
      argv: ["/bin/sh", "-c", "sleep 1000 & echo $!; (sleep 1000 & echo $!; wait) & wait"],
      env: { PATH: "/bin:/usr/bin" },
      output: (line) => pids.push(Number(line)),
    });
    await until(() => pids.length === 2, () => `${pids}`);
    child.signalGroup("SIGKILL");
    expect(await child.exited).toEqual({ code: null, signal: "SIGKILL" });
    await until(() => pids.every((pid) => !runs(pid)), () => `${pids} still run`);
  });

  test("that leaves somebody with its output behind is over all the same; he is not hurt", async () => {
    const before = descriptors();
    const started = performance.now();
    const { code, lines } = await sh("(sleep 0.3; echo late; echo $? > /dev/null) & echo $!");
    expect(performance.now() - started).toBeLessThan(280);
    expect(code).toBe(0);
    const pid = Number(lines[0]!.replace("stdout: ", ""));
    expect(runs(pid)).toBeTrue();
    await until(() => !runs(pid), () => "he never ended");
    expect(lines).toHaveLength(1);
    await until(() => descriptors() <= before, () => `${before} became ${descriptors()}`);
  });

  test("that prints a lot and ends at once loses nothing", async () => {
    const { lines } = await sh("seq 1 9000; seq 1 100 >&2; printf end");
    expect(lines.filter((line) => line.startsWith("stdout"))).toHaveLength(9001);
    expect(lines.filter((line) => line.startsWith("stderr"))).toHaveLength(100);
    expect(lines).toContain("stdout: end");
  });

  test("leaves no descriptor behind, started or not", async () => {
    await sh("true");
    const before = descriptors();
    for (let turn = 0; turn < 10; turn++) {
      await sh("echo x");
      await systemProcesses.start({ argv: ["/does/not/exist"], env: {}, output: () => {} })
        .catch(() => {});
    }
    await until(() => descriptors() <= before, () => `${before} became ${descriptors()}`);
  });

  test("that cannot be started says why", async () => {
    const directory = fs.mkdtempSync(join(tmpdir(), "xdevd-processes-"));
    const start = (name: string, text: string | null, mode: number) => {
      const path = join(directory, name);
      if (text !== null) fs.writeFileSync(path, text, { mode });
      return systemProcesses.start({ argv: [path], env: {}, output: () => {} });
    };
    await expect(start("a", null, 0)).rejects.toMatchObject({ code: "ENOENT" });
    await expect(start("b", "#!/bin/sh", 0o644)).rejects.toMatchObject({ code: "EACCES" });
    await expect(start("c", "echo", 0o755)).rejects.toMatchObject({ code: "ENOEXEC" });
    await expect(start("d", "#!/none", 0o755)).rejects.toMatchObject({ code: "ENOENT" });
    fs.rmSync(directory, { recursive: true });
  });
});

describe("a child that is talked to", () => {
  const start = (script: string, complaint: (line: string) => void = () => {}) =>
    systemPipedChildren.start({ argv: ["/bin/sh", "-c", script], env: {}, complaint });

  test("hears and answers, as much as there is, and ends with its input", async () => {
    const complaints: string[] = [];
    const child = await start("cat; echo over >&2", (line) => complaints.push(line));
    const size = 2 * 1024 * 1024;
    for (let at = 0; at < 16; at++) child.write(new Uint8Array(size / 16).fill(at));
    // It waits for what it says to be read.
    expect(child.queued).toBeGreaterThan(size / 2);
    child.closeInput();
    let [bytes, last] = [0, 0];
    for await (const chunk of child.output) {
      expect(chunk[0]).toBeGreaterThanOrEqual(last);
      [bytes, last] = [bytes + chunk.length, chunk.at(-1)!];
    }
    expect([bytes, last, child.queued]).toEqual([size, 15, 0]);
    expect(await child.exited).toEqual({ code: 0, signal: null });
    expect(complaints).toEqual(["over"]);
  });

  test("is made within what prepares the ground for it", async () => {
    const steps: string[] = [];
    const child = await systemPipedChildren.start({
      argv: ["/bin/sh", "-c", "exit 3"],
      env: {},
      complaint: () => {},
      around(make) {
        steps.push("before");
        const made = make();
        steps.push("after");
        return made;
      },
    });
    expect(await child.exited).toEqual({ code: 3, signal: null });
    expect(steps).toEqual(["before", "after"]);
  });

  test("that has ended takes nothing more; no descriptor is left, started or not", async () => {
    const round = async () => {
      const child = await start("exit 0");
      child.write(new Uint8Array(1024 * 1024));
      await child.exited;
      child.write(new Uint8Array(10));
      child.closeInput();
      for await (const _ of child.output);
      await systemPipedChildren.start({ argv: ["/none"], env: {}, complaint: () => {} }).then(
        () => expect.unreachable(),
        (error) => expect(error).toMatchObject({ code: "ENOENT" }),
      );
    };
    await round();
    const before = descriptors();
    for (let turn = 0; turn < 10; turn++) await round();
    await until(() => descriptors() <= before, () => `${before} became ${descriptors()}`);
  });

  test("leaves nothing behind when it is listened to no longer", async () => {
    const round = async () => {
      const child = await start("yes");
      for await (const _ of child.output) break;
      child.signalGroup("SIGKILL");
      await child.exited;
    };
    await round();
    const before = descriptors();
    for (let turn = 0; turn < 5; turn++) await round();
    await until(() => descriptors() <= before, () => `${before} became ${descriptors()}`);
  });
});

describe("lines", () => {
  const split = (chunks: Uint8Array[]) => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    for (const chunk of chunks) splitter.push(chunk);
    splitter.end();
    return lines;
  };
  const bytes = (text: string) => new TextEncoder().encode(text);

  test("come out as they went in, however the bytes are cut", () => {
    const line = fc.string({ unit: "grapheme", maxLength: 30 })
      .map((text) => text.replace(/[\r\n]/g, ""));
    fc.assert(fc.property(fc.array(line), line, fc.array(fc.nat(500)), (lines, last, cuts) => {
      const stream = bytes(lines.map((text) => `${text}\n`).join("") + last);
      const edges = [0, ...cuts.map((cut) => cut % (stream.length + 1)), stream.length]
        .sort((a, b) => a - b);
      const chunks = edges.slice(1).map((to, at) => stream.slice(edges[at], to));
      expect(split(chunks)).toEqual(last === "" ? lines : [...lines, last]);
    }));
  });

  test("a carriage return before the end is no part of a line", () => {
    expect(split([bytes("a\r\n\r\nb\rc\n")])).toEqual(["a", "", "b\rc"]);
  });

  test("an incomplete character at the end is shown as such", () => {
    expect(split([bytes("a"), Uint8Array.of(0xc3)])).toEqual(["a\ufffd"]);
  });

  test("one that is too long is cut once, and the next one is whole", () => {
    const long = "x".repeat(2001);
    const cut = `${"x".repeat(2000)}… (cut)`;
    expect(split([bytes(`${"x".repeat(2000)}\nnext\n`)])).toEqual(["x".repeat(2000), "next"]);
    expect(split([bytes(`${long}\nnext\n`)])).toEqual([cut, "next"]);
    expect(split([bytes(long), bytes(long), bytes("tail\nnext")])).toEqual([cut, "next"]);
    expect(split([bytes(long), bytes("tail")])).toEqual([cut]);
  });

  test("at most 10000, then one that says so; nothing after the end", () => {
    const lines: string[] = [];
    const splitter = new LineSplitter((line) => lines.push(line));
    splitter.push(bytes("x\n".repeat(10_000)));
    expect(lines).toHaveLength(10_000);
    splitter.push(bytes("x\n".repeat(10)));
    expect(lines).toHaveLength(10_001);
    splitter.end();
    splitter.end();
    splitter.push(bytes("y\n"));
    expect(lines).toHaveLength(10_001);
  });
});

function runs(pid: number): boolean {
  try {
    return !/\) Z /.test(fs.readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return false;
  }
}

describe("who cannot look", () => {
  // asm-generic/errno-base.h, errno.h
  const errors = { ENOMEM: 12, ENFILE: 23, EMFILE: 24, EIO: 5 };

  for (const [name, errno] of Object.entries(errors)) {
    test(`for ${name} does not say that nothing runs`, async () => {
      const child = await systemProcesses.start({
        argv: ["/bin/sleep", "60"],
        env: { XDEVD_TEST_MARK: name },
      });
      const known = await systemProcessTable.identityOf(child.pid);
      expect(known).toBeDefined();
      const { open } = sys;
      // All but the list of processes, and then that, too.
      for (const within of ["/proc/", "/proc"]) {
        const spy = spyOn(sys, "open").mockImplementation((at, path, ...rest) =>
          new TextDecoder().decode(path).startsWith(within) ? -errno : open(at, path, ...rest)
        );
        try {
          await expect(systemProcessTable.withVariable("XDEVD_TEST_MARK")).rejects.toThrow(name);
          await expect(systemProcessTable.identityOf(child.pid)).rejects.toThrow(name);
          await expect(systemProcessTable.commandLineOf(child.pid)).rejects.toThrow(name);
        } finally {
          spy.mockRestore();
        }
      }
      child.signalGroup("SIGKILL");
      await child.exited;
      expect(await systemProcessTable.identityOf(child.pid)).toBeUndefined();
      expect(await systemProcessTable.commandLineOf(child.pid)).toEqual([]);
    });
  }

  test("where /proc is another's, or none, does not say so, either", async () => {
    const spy = spyOn(sys, "getpid").mockImplementation(() => 2 ** 22 + 1);
    try {
      await expect(systemProcessTable.withVariable("XDEVD_TEST_MARK")).rejects.toThrow(
        "/proc does not show processes",
      );
    } finally {
      spy.mockRestore();
    }
  });

  test("takes what an operation has started for running until somebody can tell", async () => {
    const clock = new FakeClock();
    let fails = 3;
    const table = {
      ...systemProcessTable,
      withVariable: () =>
        fails-- > 0
          ? Promise.reject(new Error("EMFILE: open /proc"))
          : Promise.resolve(new Map<number, string>()),
    };
    let ended: boolean | Error | null = null;
    new Orphans(table, clock).ended("an operation", 0).then((value) => ended = value);
    await clock.advance(200);
    expect(ended).toBeNull();
    await clock.advance(200);
    expect(ended).toBe(false as never);
    fails = Infinity;
    new Orphans(table, clock).ended("an operation", 0).catch((error) => ended = error);
    await clock.advance(10_000);
    expect(String(ended)).toContain("processes of an earlier operation may run: EMFILE");
  });
});
