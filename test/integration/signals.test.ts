/** Signals to a daemon: what each does, and that none ends it but TERM and INT. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { manifestLine } from "../../core/daemon/plugin/manifest.ts";
import { DaemonProcess, programCommand, runProgram, until } from "../support/daemon_process.ts";
import { testManifest } from "../support/plugin_files.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

let store: EmbeddedStore;
let dom0: StoreClient;
let directory: string;

beforeEach(async () => {
  store = await startEmbeddedStore([1, 7]);
  dom0 = await connectTo(store.socketPath(0));
  for (const domid of [1, 7]) await makeDomain(dom0, domid);
  directory = fs.mkdtempSync(join(tmpdir(), "xdevd-signals-"));
});

afterEach(async () => {
  dom0.close();
  await store.stop();
  fs.rmSync(directory, { recursive: true });
});

const options = () => ["--store", store.socketPath(1), "--run-dir", join(directory, "run")];

function send(pid: number, signal: string | number): void {
  const { exitCode, stderr } = Bun.spawnSync(["/bin/kill", `-${signal}`, String(pid)]);
  expect({ exitCode, stderr: stderr.toString() }).toEqual({ exitCode: 0, stderr: "" });
}

/** A disk whose script does something; nobody is its kernel but this test. */
async function attach(devid: number, script: string): Promise<HandMadeDevice> {
  const id = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid };
  const device = new HandMadeDevice(dom0, id);
  await device.create({ script, params: `/image-${devid}`, state: "2" });
  return device;
}

function makeScript(name: string, text: string): string {
  const scripts = join(directory, "scripts");
  fs.mkdirSync(scripts, { recursive: true, mode: 0o755 });
  const file = join(scripts, name);
  fs.writeFileSync(file, `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  return file;
}

/** KILL and STOP nobody can take, TERM and INT end it, CONT, CHLD, URG and WINCH do nothing by themselves. */
const OTHERS = [9, 15, 2, 19, 17, 18, 23, 28];
/** Faults of the program itself. */
const FAULTS = [4, 5, 6, 7, 8, 11, 31];
/** Stops a program in the foreground, at its terminal's wish. */
const JOB_CONTROL = [20, 21, 22];
/** The C library's own. */
const LIBRARY = [32, 33];

test("no stray signal ends it", async () => {
  const daemon = await DaemonProcess.start(options());
  const left = [...OTHERS, ...FAULTS, ...JOB_CONTROL, ...LIBRARY];
  for (let signal = 1; signal <= 64; signal++) {
    if (left.includes(signal)) continue;
    send(daemon.pid, signal);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(`${signal} ${daemon.running}`).toBe(`${signal} true`);
  }
  await daemon.says(/SIGQUIT: nothing is done about it/);
  send(daemon.pid, "USR1");
  await daemon.says(/state of all devices: 0 known, 0 set up or half so/);
  expect(await daemon.stop()).toBe(0);
});

test("also while it waits for the store, and the lock is not its own yet", async () => {
  const silent = join(directory, "silent");
  const server = Bun.listen({ unix: silent, socket: { data() {} } });
  const daemon = Bun.spawn(
    [...programCommand(), "devd", "-F", "--store", silent, "--run-dir", directory],
    { stderr: "pipe" },
  );
  try {
    const taken = () => {
      const status = fs.readFileSync(`/proc/${daemon.pid}/status`, "utf8");
      // USR1 is number 10: caught, or held back and read from a descriptor.
      return [/^SigCgt:\s*(\S+)/m, /^SigBlk:\s*(\S+)/m].some((field) =>
        (BigInt(`0x${field.exec(status)![1]}`) >> 9n & 1n) === 1n
      );
    };
    // While a program is put in a process's place, its signals are held back: that is no taking.
    let looks = 0;
    await until(() => (looks = taken() ? looks + 1 : 0) > 10, () => "it never took a signal");
    for (const signal of ["HUP", "USR1", "USR2", "QUIT", "ALRM"]) send(daemon.pid, signal);
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(daemon.exitCode).toBeNull();
    expect(daemon.signalCode).toBeNull();
  } finally {
    daemon.kill("SIGKILL");
    await daemon.exited;
    server.stop(true);
  }
});

/** A daemon in the background; `end` ends it. */
class Background {
  readonly #pidfile = join(directory, "pid");
  readonly logFile = join(directory, "log", "devd.log");
  /** What it does not do at the level `error`, it does at none. */
  async start(...more: string[]): Promise<void> {
    const command = [
      ...["devd", ...options(), "--log", this.logFile, "-p", this.#pidfile, ...more],
    ];
    expect(await runProgram(command)).toMatchObject({ code: 0, stderr: "" });
  }
  get pid(): number {
    return Number(fs.readFileSync(this.#pidfile, "utf8"));
  }
  get log(): string {
    return fs.readFileSync(this.logFile, "utf8");
  }
  async says(pattern: RegExp): Promise<void> {
    await until(() => pattern.test(this.log), () => `it never said ${pattern}:\n${this.log}`);
  }
  async end(): Promise<void> {
    process.kill(this.pid, "SIGTERM");
    await until(() => !fs.existsSync(this.#pidfile), () => "it does not end");
  }
}

test("USR1 tells how each device is, what is the matter first, whatever the level is", async () => {
  const good = makeScript("good", "exec true");
  const bad = makeScript("bad", '[ "$1" = remove ] && exit 0; echo "no such pool" >&2; exit 1');
  const slow = makeScript("slow", '[ "$1" = remove ] || exec sleep 30');
  const daemon = new Background();
  const native = '[plugins.vbd.settings]\nnative = "never"\n';
  fs.writeFileSync(join(directory, "config.toml"), native, { mode: 0o644 });
  await daemon.start(
    ...["--log-level", "error", "--scripts", join(directory, "scripts")],
    ...["--config", join(directory, "config.toml")],
  );
  try {
    const devices = [await attach(1, slow), await attach(2, bad), await attach(3, good)];
    // The third has no disk to show: that is an error, too.
    for (const device of devices.slice(1)) await device.reaches("hotplug-status", "error");
    const lines = () =>
      daemon.log.split("\n").filter((line) => /\bvbd\/7\/\d: .*, for /.test(line));
    await until(() => {
      send(daemon.pid, "USR1");
      return lines().some((line) =>
        /vbd\/7\/1: being set up, for \d\S* s; a call .* runs/.test(line)
      );
    }, () => daemon.log);
    await until(() => {
      send(daemon.pid, "USR1");
      return /vbd\/7\/2: could not be set up; the toolstack .*last error: .*no such pool/.test(
        daemon.log,
      );
    }, () => daemon.log);
    await until(() => {
      send(daemon.pid, "USR1");
      return lines().slice(-3).map((line) => /vbd\/7\/(\d)/.exec(line)![1]).join() === "2,3,1";
    }, () => daemon.log);
    await daemon.says(/state of all devices: 3 known, \d set up or half so/);
  } finally {
    await daemon.end();
  }
});

test("HUP: the log goes on in a new file when the old one was moved away", async () => {
  const daemon = new Background();
  await daemon.start();
  try {
    const moved = `${daemon.logFile}-moved`;
    // Nothing has changed: nothing is lost, and the file stays this daemon's.
    send(daemon.pid, "HUP");
    await daemon.says(/SIGHUP: the log is open again/);
    const other = ["--run-dir", join(directory, "other"), "--log", daemon.logFile];
    const second = await runProgram(["devd", "--store", store.socketPath(1), ...other]);
    expect(second.stderr).toMatch(/another daemon writes to it/);
    fs.renameSync(daemon.logFile, moved);
    send(daemon.pid, "HUP");
    await until(() => fs.existsSync(daemon.logFile), () => "there is no new file");
    await daemon.says(/SIGHUP: the log is open again/);
    const old = fs.readFileSync(moved, "utf8");
    send(daemon.pid, "USR1");
    await daemon.says(/state of all devices/);
    expect(fs.readFileSync(moved, "utf8")).toBe(old);
    expect(await runProgram(["devd", "--store", store.socketPath(1), ...other]))
      .toMatchObject({ code: 1 });
    // What has taken its place is not followed; the file that is open goes on.
    const now = `${daemon.logFile}-now`;
    fs.renameSync(daemon.logFile, now);
    fs.symlinkSync(join(directory, "victim"), daemon.logFile);
    send(daemon.pid, "HUP");
    await until(
      () =>
        /error +SIGHUP: cannot reopen the log file .*symbolic link/.test(
          fs.readFileSync(now, "utf8"),
        ),
      () => fs.readFileSync(now, "utf8"),
    );
    expect(fs.existsSync(join(directory, "victim"))).toBeFalse();
  } finally {
    await daemon.end();
  }
});

test("HUP: the configuration is read again, as far as that is safe; a bad one changes nothing", async () => {
  const kinds = ["tell"];
  const manifest = testManifest({ name: "teller", kinds, settings: { word: "what it says" } });
  const plugin = join(directory, "teller.js");
  fs.writeFileSync(
    plugin,
    `${manifestLine(manifest)}\nexport default { ...${JSON.stringify(manifest)},` +
      "async add({ nodes, settings }) {" +
      '  await nodes.write({ word: settings.word ?? "none", "hotplug-status": "connected" }); },' +
      "async remove() {} };\n",
    { mode: 0o644 },
  );
  const config = join(directory, "config.toml");
  const configure = (text: string) => fs.writeFileSync(config, text, { mode: 0o644 });
  let devid = 0;
  const word = async (expected: string) => {
    const id = { backendDomid: 1, kind: "tell", frontendDomid: 7, devid: ++devid };
    const device = new HandMadeDevice(dom0, id);
    await device.create({ state: "2" });
    await device.reaches("hotplug-status", "connected");
    expect(await device.read("word")).toBe(expected);
  };
  configure('[plugins.teller.settings]\nword = "one"\n');
  const daemon = await DaemonProcess.start([...options(), "--plugin", plugin, "--config", config]);
  const hup = async (pattern: RegExp) => {
    send(daemon.pid, "HUP");
    await daemon.says(pattern);
  };
  try {
    await word("one");
    await hup(/SIGHUP: configuration read again \(\S+config.toml\): nothing to apply has changed/);
    configure(
      '# Hello\n[plugins.teller.settings]\nword = "two"\n\n[scripts.block-x]\nversion = 2\n',
    );
    await hup(/from the next call on: \[plugins.teller.settings\] word, \[scripts."block-x"\]/);
    await word("two");
    for (
      const [text, why] of [
        ['[plugins.teller.settings]\nword = "three\n', /config.toml: line 2, column \d+: /],
        [
          "[plugins.teller]\n\nenabled = 7\n",
          /config.toml: line 3: \[plugins.teller\] enabled is 7/,
        ],
        [
          '[plugins.teller.settings]\n\nword = "three"\nwords = 1\n',
          /config.toml: line 4: setting words of plugin teller is unknown; it has word/,
        ],
        [
          '[plugins.teller.settings]\nword = "three"\n\n[colours]\n',
          /config.toml: line 4: colours is unknown/,
        ],
      ] as const
    ) {
      configure(text);
      await hup(
        new RegExp(
          `error +SIGHUP: configuration file \\S+${why.source}.*; everything stays as it was`,
        ),
      );
      await word("two");
    }
    fs.rmSync(config);
    await hup(/config.toml does not exist; everything stays as it was/);
    await word("two");
    configure(
      '[kinds]\ntell = "teller"\n[plugins.teller]\nprocesses = 3\nsettings = { word = "four" }\n',
    );
    await hup(
      /warning SIGHUP: changed, and needs a restart of the daemon: \[kinds\] tell, \[plugins.teller\] processes/,
    );
    await word("four");
  } finally {
    expect(await daemon.stop()).toBe(0);
  }
});

test("scripts and plugins have all signals as ever, whatever the daemon was started with", async () => {
  const out = join(directory, "dispositions");
  // A shell has signals blocked for moments of its own.
  const look = `exec grep -E "^Sig(Blk|Ign)" /proc/self/status > ${out}`;
  const script = makeScript("look", look);
  const log = join(directory, "log");
  const [file, ...before] = programCommand();
  const daemon = await DaemonProcess.start(
    [...options(), "--scripts", join(directory, "scripts")],
    {
      command: ["/usr/bin/env", "--ignore-signal", "--block-signal=USR2,ALRM", file, ...before],
      logFile: log,
    },
  );
  try {
    const mask =
      /^SigIgn:\s*(\S+)/m.exec(fs.readFileSync(`/proc/${daemon.pid}/status`, "utf8"))![1];
    // PIPE at least: what is tested is not that nothing is ignored here.
    expect(BigInt(`0x${mask}`) & 0x1000n).toBe(0x1000n);
    await attach(1, script);
    const seen = () => fs.existsSync(out) ? fs.readFileSync(out, "utf8") : "";
    await until(() => /SigIgn.*\n/.test(seen()), () => daemon.log);
    expect(seen()).toBe(
      "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n",
    );
  } finally {
    expect(await daemon.stop()).toBe(0);
  }
});

test("a disk that is full, where the log is, does not end it", async () => {
  const out = join(directory, "seen");
  const script = makeScript("see", `echo "$1" >> ${out}`);
  const full = fs.openSync("/dev/full", "w");
  const daemon = Bun.spawn([
    ...[...programCommand(), "devd", "-F", ...options()],
    ...["--scripts", join(directory, "scripts")],
  ], { stdout: "ignore", stderr: full });
  fs.closeSync(full);
  try {
    await attach(1, script);
    await until(
      () => fs.existsSync(out),
      () => `it did nothing, and ended with ${daemon.exitCode}`,
    );
  } finally {
    daemon.kill("SIGTERM");
    expect(await daemon.exited).toBe(0);
  }
});
