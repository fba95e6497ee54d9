/** The files of a daemon: what is in their place already is not followed, truncated or taken away. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Finished, runProgram, until } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

let store: EmbeddedStore;
let directory: string;
/** Somebody's file. */
let victim: string;
const CONTENT = "root:x:0:0:root:/root:/bin/bash\n";
/** A file that others may write, or that is not what it should be: docs/cli.md. */
const UNSAFE = 15;

beforeAll(async () => {
  store = await startEmbeddedStore([1, 7]);
  const dom0 = await connectTo(store.socketPath(0));
  for (const domid of [1, 7]) await makeDomain(dom0, domid);
  dom0.close();
});

afterAll(() => store.stop());

beforeEach(() => {
  directory = fs.mkdtempSync(join(tmpdir(), "xdevd-files-"));
  victim = join(directory, "victim");
  fs.writeFileSync(victim, CONTENT, { mode: 0o644 });
});

afterEach(() => {
  // Daemons that should not have been.
  for (const name of fs.readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const file = `/proc/${name}/cmdline`;
    let words = "";
    try {
      words = fs.readFileSync(file, "utf8");
    } catch {
      // It has ended.
    }
    if (words.includes("--detached") && words.includes(directory)) process.kill(Number(name), 9);
  }
  // Nothing ever happens to it.
  expect(fs.readFileSync(victim, "utf8")).toBe(CONTENT);
  fs.rmSync(directory, { recursive: true });
});

function devd(options: Record<string, string>): Promise<Finished> {
  const all = {
    store: store.socketPath(1),
    "run-dir": join(directory, "run"),
    log: join(directory, "log", "devd.log"),
    pidfile: join(directory, "pid"),
    ...options,
  };
  return runProgram([
    "devd",
    ...Object.entries(all).flatMap(([name, text]) => [`--${name}`, text]),
  ]);
}

async function stop(pidfile = join(directory, "pid")): Promise<void> {
  process.kill(Number(fs.readFileSync(pidfile, "utf8")), "SIGTERM");
  await until(() => !fs.existsSync(pidfile), () => "it does not end");
}

const names = (file: string) => fs.readdirSync(join(file, "..")).sort();

describe("a second start", () => {
  test("leaves the running daemon's log where it is", async () => {
    const log = join(directory, "log", "devd.log");
    expect(await devd({})).toMatchObject({ code: 0, stderr: "" });
    try {
      const { ino } = fs.statSync(log);
      for (const options of [{}, { "run-dir": join(directory, "other") }]) {
        expect(await devd(options)).toMatchObject({ code: 4 });
      }
      const other = { "run-dir": join(directory, "other"), pidfile: join(directory, "other.pid") };
      const second = await devd(other);
      expect(second.stderr).toMatch(
        /^xdevd: cannot prepare the log file .*another daemon writes to/,
      );
      expect(second.code).toBe(1);
      expect(fs.existsSync(other.pidfile)).toBeFalse();
      expect(names(log)).toEqual(["devd.log"]);
      expect(fs.statSync(log).ino).toBe(ino);
    } finally {
      await stop();
    }
    expect(fs.readFileSync(log, "utf8")).toMatch(/stopped; no devices are left\n$/);
  });

  test("after the first has ended keeps its log", async () => {
    const log = join(directory, "log", "devd.log");
    for (let start = 0; start < 2; start++) {
      expect(await devd({})).toMatchObject({ code: 0, stderr: "" });
      await stop();
    }
    expect(names(log)).toEqual(["devd.log", "devd.log.1"]);
  });
});

/** What may be where a file of the daemon's is to be, and what is said of it. */
const IN_PLACE: [string, (file: string) => void, RegExp][] = [
  ["a symbolic link", (file) => fs.symlinkSync(victim, file), /is a symbolic link/],
  ["a link to nothing", (file) => fs.symlinkSync(`${victim}-new`, file), /is a symbolic link/],
  ["another name of a file", (file) => fs.linkSync(victim, file), /has 2 names/],
  ["a pipe", (file) => Bun.spawnSync(["mkfifo", file]), /is no regular file/],
  ["a directory", (file) => fs.mkdirSync(file), /is no regular file/],
  [
    "a file that all may write",
    (file) => {
      fs.writeFileSync(file, "");
      fs.chmodSync(file, 0o666);
    },
    /has mode 666/,
  ],
];
if (process.getuid?.() === 0) {
  IN_PLACE.push([
    "a file of somebody else's",
    (file) => {
      fs.writeFileSync(file, "");
      fs.chownSync(file, 12345, 0);
    },
    /belongs to user 12345/,
  ]);
}

/** All that there is, without following anything. */
function snapshot(of: string): string {
  return fs.readdirSync(of, { recursive: true, encoding: "utf8" }).sort().map((name) => {
    const status = fs.lstatSync(join(of, name));
    return `${name} ${status.mode} ${status.ino} ${status.isFile() ? status.size : ""}`;
  }).join("\n");
}

describe.each([
  ["log", "log/devd.log", "log"],
  ["pid file", "pid", "pidfile"],
  ["lock", "run/devd-1.lock", "run-dir"],
])("in the place of the %s", (_, name, option) => {
  test.each(IN_PLACE)("%s is refused, and left alone", async (_, make, why) => {
    const file = join(directory, name);
    fs.mkdirSync(join(file, ".."), { recursive: true });
    make(file);
    const before = snapshot(directory);
    const { code, stderr } = await devd({});
    expect(stderr).toMatch(why);
    expect(stderr).toContain(file);
    expect(stderr).toContain(`--${option}`);
    expect(stderr.trim().split("\n")).toHaveLength(1);
    expect(code).toBe(UNSAFE);
    const after = snapshot(directory).split("\n").filter((line) => before.includes(line));
    expect(after.join("\n")).toBe(before);
    expect(fs.existsSync(`${victim}-new`)).toBeFalse();
  });
});

test("a pid file that holds anything else is not truncated", async () => {
  const { code, stderr } = await devd({ pidfile: victim });
  expect(stderr).toMatch(/victim holds something else than a process id/);
  expect(code).toBe(UNSAFE);
  // One that was left behind is taken over.
  fs.writeFileSync(join(directory, "pid"), "2147483647\n", { mode: 0o600 });
  expect(await devd({})).toMatchObject({ code: 0 });
  await stop();
});

describe("a run directory", () => {
  const modes: [string, number][] = [["all", 0o777], ["a sticky one", 0o1777], ["a group", 0o775]];
  test.each(modes)("that others may write is refused: %s", async (_, mode) => {
    const run = join(directory, "run");
    fs.mkdirSync(run);
    fs.chmodSync(run, mode);
    const commands = [
      ["devd", "-F", "--store", store.socketPath(1), "--run-dir", run],
      ["devd", "--store", store.socketPath(1), "--run-dir", run, "--log", join(directory, "log")],
      ...["prepare", "unprepare"].map((verb) =>
        [
          ...[verb, "7", "xvda", "/image", "--script", "block", "--store", store.socketPath(1)],
          ...["--run-dir", run],
        ].filter((word) => verb === "prepare" || !["/image", "--script", "block"].includes(word))
      ),
    ];
    for (const command of commands) {
      const { code, stderr } = await runProgram(command);
      expect(stderr).toMatch(
        new RegExp(`^xdevd: run directory ${run} is not safe: .*writable by others .*--run-dir`),
      );
      expect(stderr.trim().split("\n")).toHaveLength(1);
      expect(code).toBe(UNSAFE);
    }
    expect(fs.readdirSync(run)).toEqual([]);
    expect(names(run)).toEqual(["run", "victim"]);
  });

  test("below a directory that others may write is refused, below a sticky one not", async () => {
    const above = join(directory, "above");
    const run = join(above, "run");
    fs.mkdirSync(run, { recursive: true });
    fs.chmodSync(above, 0o777);
    const args = { "run-dir": run };
    const refused = await devd(args);
    expect(refused.stderr).toContain(`its directory ${above} is writable by others`);
    expect(refused.code).toBe(UNSAFE);
    fs.chmodSync(above, 0o1777);
    expect(await devd(args)).toMatchObject({ code: 0, stderr: "" });
    await stop();
  });

  test("of somebody else is refused", async () => {
    const run = join(directory, "run");
    // Whoever runs this may not give it away: then somebody else's it is that all know.
    const isRoot = process.getuid?.() === 0;
    fs.mkdirSync(run);
    if (isRoot) fs.chownSync(run, 12345, 12345);
    const { code, stderr } = await devd({ "run-dir": isRoot ? run : "/proc/1/xdevd" });
    expect(stderr).toMatch(isRoot ? /belongs to uid 12345/ : /cannot make/);
    expect(code).toBe(isRoot ? UNSAFE : 1);
  });
});

test("log and pid file may be in a sticky directory, not in one that all may change", async () => {
  const open = join(directory, "open");
  fs.mkdirSync(open);
  fs.chmodSync(open, 0o777);
  for (const option of ["log", "pidfile"]) {
    const { code, stderr } = await devd({ [option]: join(open, "file") });
    expect(stderr).toContain(`its directory ${open} is writable by others`);
    expect(code).toBe(UNSAFE);
  }
  expect(fs.readdirSync(open)).toEqual([]);
  fs.chmodSync(open, 0o1777);
  const options = { log: join(open, "log"), pidfile: join(open, "pid") };
  expect(await devd(options)).toMatchObject({ code: 0, stderr: "" });
  await stop(options.pidfile);
});

test("a lock whose holder was killed is waited for: what it was about to start has it for a moment", async () => {
  const lock = join(directory, "run", "devd-1.lock");
  fs.mkdirSync(join(directory, "run"), { mode: 0o755 });
  const dead = Bun.spawnSync(["sh", "-c", "echo $$"]).stdout.toString();
  const hold = async (content: string, seconds: string) => {
    fs.writeFileSync(lock, content, { mode: 0o600 });
    const line = `exec 9<>"$0"; flock -x 9; echo held; exec sleep ${seconds}`;
    const holder = Bun.spawn(["sh", "-c", line, lock], { stdout: "pipe" });
    await holder.stdout.getReader().read();
    return holder;
  };
  const first = await hold(dead, "0.5");
  expect(await devd({})).toMatchObject({ code: 0, stderr: "" });
  await stop();
  await first.exited;
  // One that runs is not waited for, nor one that never gives it back.
  for (const content of [`${process.pid}\n`, dead]) {
    const second = await hold(content, "60");
    const refused = await devd({});
    expect(refused.stderr).toContain(`process ${content.trim()}, serves already`);
    expect(refused.code).toBe(4);
    second.kill();
    await second.exited;
  }
});

test("a daemon that is killed while a script runs leaves neither lock nor log locked", async () => {
  const scripts = join(directory, "scripts");
  const [script, began] = [join(scripts, "slow"), join(directory, "began")];
  fs.mkdirSync(scripts, { mode: 0o755 });
  fs.writeFileSync(script, `#!/bin/sh\n: > ${began}\nexec sleep 30\n`, { mode: 0o755 });
  const dom0 = await connectTo(store.socketPath(0));
  const id = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 1 };
  const device = new HandMadeDevice(dom0, id);
  try {
    expect(await devd({ scripts })).toMatchObject({ code: 0, stderr: "" });
    await device.create({ script, params: "/image", state: "2" });
    await until(() => fs.existsSync(began), () => "the script never ran");
    process.kill(Number(fs.readFileSync(join(directory, "pid"), "utf8")), "SIGKILL");
    await until(
      async () => (await devd({ scripts, time: "orphans=1" })).code === 0,
      () => "locked",
    );
    await device.nuke();
    await stop();
  } finally {
    dom0.close();
  }
}, 60_000);

test("sockets of a test store are not put where others may write", async () => {
  const open = join(directory, "open");
  fs.mkdirSync(open);
  fs.chmodSync(open, 0o1777);
  const { code, stderr } = await runProgram(["xenstored", "--dir", open]);
  expect(stderr).toMatch(/^xdevd: directory \S+open is not safe: it is writable by others/);
  expect(code).toBe(UNSAFE);
});

test("what took the pid file's place meanwhile stays at the end", async () => {
  expect(await devd({})).toMatchObject({ code: 0, stderr: "" });
  const pidfile = join(directory, "pid");
  const pid = Number(fs.readFileSync(pidfile, "utf8"));
  fs.rmSync(pidfile);
  fs.symlinkSync(victim, pidfile);
  process.kill(pid, "SIGTERM");
  await until(() => !fs.existsSync(join(directory, "run", "devd-1.lock")), () => "it stays");
  expect(fs.readlinkSync(pidfile)).toBe(victim);
});
