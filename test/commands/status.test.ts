/** `xdevd status` and `xdevd trace`: what a person, or a program, is told of a driver domain and its devices. */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connectStream } from "../../platform/io/stream.ts";
import type { ByteStream } from "../../platform/types.ts";
import { domainStatusPath } from "../../core/daemon/control/domain_status.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programCommand, runProgram, until } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { type Fault, faultTimes, makeFaults, makeFaulty } from "../support/ten_faults.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { HandMadeDevice } from "../support/hand_made.ts";
import { faultsOf } from "../support/json_schema.ts";
import { connectTo } from "../support/store_connection.ts";

setDefaultTimeout(120_000);

const DRIVER = 1;
const GUEST = 7;
const disk = (devid: number) => ({ backendDomid: DRIVER, frontendDomid: GUEST, devid });

let store: EmbeddedStore;
let dom0: StoreClient;
let directory: string;
let scripts: string;
let faults: readonly Fault[];
let daemon: DaemonProcess;
let good: HandMadeDevice;

const run = () => ["--run-dir", join(directory, "run")];
const start = () =>
  DaemonProcess.start([
    ...["--store", store.socketPath(DRIVER), "--scripts", scripts, ...run(), ...faultTimes(3)],
    ...["--config", join(directory, "config.toml")],
  ]);
const xdevd = (...args: string[]) => runProgram(args, {}, 30_000);

/** Repeats a command until it prints something. */
async function prints(args: readonly string[], pattern: RegExp): Promise<string> {
  let last = "";
  await until(
    async () => {
      const { stdout, stderr } = await runProgram(args, {}, 30_000);
      return pattern.test(last = stdout + stderr);
    },
    () => `never ${pattern}:\n${last}\n${daemon.log}`,
    60_000,
  );
  return last;
}

beforeAll(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), "xdevd-status-"));
  scripts = join(directory, "scripts");
  const bin = join(directory, "bin");
  for (const made of [scripts, bin]) await fs.mkdir(made, { mode: 0o755 });
  const tool = `#!/bin/sh\nexec ${programCommand().join(" ")} xenstore-write "$@"\n`;
  await fs.writeFile(join(bin, "xenstore-write"), tool, { mode: 0o755 });
  store = await startEmbeddedStore([DRIVER, GUEST]);
  dom0 = await connectTo(store.socketPath(0));
  await createDomain0(dom0);
  await createDomainHome(dom0, { domid: DRIVER, name: "storage", driverDomain: true });
  await createDomainHome(dom0, { domid: GUEST, name: "web" });
  await fs.writeFile(join(directory, "config.toml"), "", { mode: 0o644 });
  faults = await makeFaults(scripts, `${bin}:/usr/bin:/bin`);
  daemon = await start();
  for (const [index, fault] of faults.entries()) await makeFaulty(dom0, disk(index + 1), fault);
  good = new HandMadeDevice(dom0, { ...disk(51712), kind: "vbd" });
  await good.create({ script: join(scripts, "block-good"), params: "/images/good", state: "2" });
  await good.reaches("hotplug-status", "connected");
});

afterAll(async () => {
  await daemon.stop();
  dom0.close();
  await store.stop();
  await fs.rm(directory, { recursive: true, force: true });
});

describe("status", () => {
  test("names what is served and how, and the cause of each failure", async () => {
    const text = await prints(["status", ...run()], /10 failed/);
    expect(text).toMatch(/^guest +device +kind +target +way +state +since$/m);
    expect(text).toMatch(/ xvda +vbd +\/images\/good +script block-good v1 +ready +/);
    for (const { cause } of faults) {
      expect(text.split("\n").filter((line) => cause.test(line)).length).toBeGreaterThan(0);
    }
    expect(text).toMatch(/^11 devices: 10 failed, 1 ready; xdevd \S+ serves domain 1, for /m);
  });

  test("--json has the shape that its schema describes", async () => {
    const { stdout, code } = await xdevd("status", "--json", ...run());
    expect(code).toBe(0);
    const value = JSON.parse(stdout);
    expect(faultsOf(value, "status")).toEqual([]);
    expect(value.devices).toHaveLength(11);
    expect(value.failures.length).toBeGreaterThanOrEqual(10);
  });

  test("of one device, by its name or the guest's", async () => {
    for (const name of ["xvda", "vbd/7/51712"]) {
      const { stdout } = await xdevd("status", name, ...run());
      expect(stdout).toContain("/images/good");
      expect(stdout).toContain("1 device: 1 ready");
    }
    const { code, stderr } = await xdevd("status", "xvdz", ...run());
    expect(code).toBe(10);
    expect(stderr).toContain('no device "xvdz"');
  });

  test.each(["xvda", "51712", "vbd/7/51712", "vbd/7/xvda"])(
    "%s is a device to all that ask the daemon",
    async (name) => {
      expect((await xdevd("status", name, ...run())).stdout).toContain("1 device: 1 ready");
      expect((await xdevd("trace", name, ...run())).stdout).toContain("attach of vbd/7/51712, ");
      for (const command of ["retry", "give-up"]) {
        const { code, stderr } = await xdevd(command, name, ...run());
        expect({ code, stderr }).toEqual({
          code: 1,
          stderr: expect.stringContaining(" vbd/7/51712"),
        });
      }
    },
  );

  test.each(["", "vbd/7", "vbd/7/", "/vbd/7/1", "vbd/x/1", "a/b/c/d"])(
    "%p is no device, which is said without asking anybody",
    async (name) => {
      for (const command of ["status", "trace", "retry", "give-up"]) {
        const { code, stderr } = await xdevd(command, name, "--run-dir", "/nowhere");
        expect([command, code]).toEqual([command, 2]);
        expect(stderr).toContain("Expected KIND/DOMID/DEVID (vbd/7/51712");
      }
    },
  );

  test("--watch tells each change, and ends when it is told to", async () => {
    const [program, ...args] = programCommand();
    const child = spawn(program, [...args, "status", "--watch", ...run()], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    child.stdout.on("data", (chunk) => text += chunk);
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    await until(() => /xvda .*: ready: /.test(text), () => text, 30_000);
    const other = new HandMadeDevice(dom0, { ...disk(51728), kind: "vbd" });
    await other.create({ script: join(scripts, "block-good"), params: "/b", state: "2" });
    await until(() => /xvdb .*: ready: /.test(text), () => text, 30_000);
    await other.detach();
    await until(() => /vbd\/7\/51728: nothing is left of it/.test(text), () => text, 30_000);
    child.kill("SIGTERM");
    expect(await exited).toBe(0);
  });
});

describe("trace", () => {
  test("tells who did what, when, and how long it took", async () => {
    const { stdout, code } = await xdevd("trace", "xvda", ...run());
    expect(code).toBe(0);
    expect(stdout).toMatch(/^attach of vbd\/7\/51712, \S+Z: done in [\d.]+ ms$/m);
    expect(stdout).toMatch(/^ +0\.0 ms {2}\S+ /m);
    expect(stdout).toMatch(/ms {2}script +\S+\/block-good add \([\d.]+ ms\)$/m);
    expect(stdout).toMatch(/ms {2}script +backend: .*hotplug-status = connected/m);
    const failed = await xdevd("trace", "vbd/7/1", ...run());
    expect(failed.stdout).toMatch(/^attach of vbd\/7\/1, \S+Z: failed in .*the volume is locked$/m);
    expect(failed.stdout).toMatch(/script +\S+block-says: the volume is locked$/m);
  });

  test("--json has what its schema describes, and --svg draws it", async () => {
    const { stdout } = await xdevd("trace", "xvda", "--json", ...run());
    const value = JSON.parse(stdout);
    expect(faultsOf(value, "trace")).toEqual([]);
    expect(value).toMatchObject({ device: "vbd/7/51712", history: [{ operation: "attach" }] });
    const file = join(directory, "attach.svg");
    expect(await xdevd("trace", "xvda", "--svg", file, ...run())).toMatchObject({ code: 0 });
    const svg = await fs.readFile(file, "utf8");
    expect(svg).toStartWith("<svg ");
    expect(svg.match(/<rect /g)).toHaveLength(value.history[0].events.length + 1);
    expect(svg).toContain("/block-good add");
  });

  test("its durations are what the counters add up to", async () => {
    const { stdout } = await xdevd("trace", "xvda", "--json", ...run());
    const traced: number[] = JSON.parse(stdout).history
      .filter((one: { operation: string; outcome: string }) =>
        one.operation === "attach" && one.outcome === "done"
      )
      .map(({ durationMs }: { durationMs: number }) => durationMs);
    const other = await xdevd("trace", "vbd/7/51728", "--json", ...run());
    const more = JSON.parse(other.stdout).history;
    const sum = (name: string, from: { operation: string; durationMs: number }[]) =>
      from.filter(({ operation }) => operation === name)
        .reduce((total, { durationMs }) => total + durationMs, 0);
    const { askDaemon } = await import("../../commands/devd/control_client.ts");
    const report = await askDaemon<{
      operations: { operation: string; duration: { sumMs: number; count: number } }[];
    }>(run()[1]!, "Report");
    const counted = (name: string) =>
      report.operations.find(({ operation }) => operation === name)!.duration;
    expect(counted("attach").count).toBe(2);
    const attaches = traced.reduce((a, b) => a + b, 0) + sum("attach", more);
    expect(counted("attach").sumMs).toBeCloseTo(attaches, 0);
    expect(counted("detach").sumMs).toBeCloseTo(sum("detach", more), 0);
  });

  test("--follow tells what happens, of a device that is not there yet, too", async () => {
    const [program, ...args] = programCommand();
    const child = spawn(program, [...args, "trace", "vbd/7/51744", "--follow", ...run()], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    child.stdout.on("data", (chunk) => text += chunk);
    const exited = new Promise<number | null>((resolve) => child.once("exit", resolve));
    const other = new HandMadeDevice(dom0, { ...disk(51744), kind: "vbd" });
    await prints(["status", ...run()], /./);
    await other.create({ script: join(scripts, "block-good"), params: "/c", state: "2" });
    await until(() => /daemon +set up$/m.test(text), () => text, 30_000);
    expect(text).toMatch(/^attach of vbd\/7\/51744, /m);
    await other.detach();
    await until(() => /^detach of vbd\/7\/51744, /m.test(text), () => text, 30_000);
    child.kill("SIGINT");
    expect(await exited).toBe(0);
  });

  test("of what nothing is known is one clear line", async () => {
    const { code, stderr } = await xdevd("trace", "vbd/9/9", ...run());
    expect(code).toBe(10);
    expect(stderr).toContain('nothing is remembered of "vbd/9/9"');
  });
});

test("the configuration is read again when somebody asks for it, and a mistake changes nothing", async () => {
  const { askDaemon } = await import("../../commands/devd/control_client.ts");
  const config = join(directory, "config.toml");
  expect(await askDaemon(run()[1]!, "Reload")).toEqual({
    ...{ source: config, applied: [], pending: [] },
  });
  await fs.writeFile(config, '[plugins.vbd.settings]\nnative = "never"\n', { mode: 0o644 });
  expect(await askDaemon(run()[1]!, "Reload")).toMatchObject({ source: config, pending: [] });
  await fs.writeFile(config, "[plugins.vbd.settings]\nfrob = 1\n[", { mode: 0o644 });
  await expect(askDaemon(run()[1]!, "Reload")).rejects.toMatchObject({
    error: "ConfigurationRefused",
    parameters: { code: "bad-configuration" },
  });
  await fs.writeFile(config, "", { mode: 0o644 });
});

describe("a picture", () => {
  test("is put in the place of a file, and of nothing else", async () => {
    const draw = (file: string) => xdevd("trace", "xvda", "--svg", file, ...run());
    const [link, target] = [join(directory, "link.svg"), join(directory, "target.svg")];
    await fs.symlink(target, link);
    const refused = await draw(link);
    expect(refused.stderr).toBe(
      `xdevd: cannot write ${link}: a symbolic link is there; expected a regular file, or nothing yet\n`,
    );
    expect(refused.code).toBe(1);
    expect(await fs.readlink(link)).toBe(target);
    expect((await draw(directory)).stderr).toContain(
      `cannot write ${directory}: a directory is there`,
    );
    expect((await draw(join(directory, "no/x.svg"))).stderr).toBe(
      `xdevd: cannot write ${directory}/no/x.svg: there is no directory ${directory}/no\n`,
    );
    expect((await draw(join(directory, "run/xdevd.sock"))).stderr).toContain("a socket is there");
    const empty = await draw("");
    expect(empty).toMatchObject({ code: 2, stdout: "" });
    expect(empty.stderr).toContain("Expected a path.");
    await fs.writeFile(target, "old");
    expect((await draw(target)).code).toBe(0);
    expect(await fs.readFile(target, "utf8")).toStartWith("<svg ");
  });
});

describe("who has no manners", () => {
  test("takes nothing from anybody: the daemon answers others, and takes no more memory", async () => {
    const path = join(directory, "run/xdevd.sock");
    const memory = async () => {
      const text = await fs.readFile(`/proc/${daemon.pid}/status`, "utf8");
      return Number(/RssAnon:\s+(\d+)/.exec(text)![1]) * 1024;
    };
    const list = '{"method":"io.xdevd.Devices.List"}\0';
    const ways = [
      // Half a message, one that is too long, none at all, nonsense, and many that nobody reads the answer of.
      ...[list.slice(0, 10), "x".repeat(1_000_000), "", "nonsense\0", list.repeat(60)],
    ].map((text) => new TextEncoder().encode(text));
    const flood = async () => {
      const streams: ByteStream[] = [];
      for (let at = 0; at < 1_000; at++) {
        await until(
          () => connectStream(path).then((one) => (streams.push(one), true), () => false),
          () => `${at} connections`,
          60_000,
        );
        streams.at(-1)!.write(ways[at % ways.length]!);
      }
      const { stdout, code } = await xdevd("status", ...run());
      expect(code).toBe(0);
      expect(stdout).toContain("/images/good");
      for (const stream of streams) stream.close();
    };
    await flood();
    const before = await memory();
    for (let more = 0; more < 3; more++) await flood();
    // All that was sent meanwhile is 600 MB. The full runtime keeps free memory for ten minutes.
    // So do the compiler's sanitizers, for a while.
    const program = await fs.readFile(programCommand()[0]);
    const gives = program.length < 10_000_000 && !program.includes("libasan.so");
    const most = gives ? 64 : 450;
    expect((await memory() - before) / 1024 / 1024).toBeLessThan(most);
  });
});

describe("domain 0", () => {
  const status = (...more: string[]) =>
    xdevd("status", "--domain", "storage", "--store", store.socketPath(0), ...more);

  test("is told version, counts and the last failure, by the driver domain's own word", async () => {
    const args = ["status", "--domain", "storage", "--store", store.socketPath(0)];
    const text = await prints(args, /10 failed/);
    expect(text).toMatch(/^domain storage \(1\), by its own word of \S+:$/m);
    expect(text).toMatch(/xdevd \S+, serving since /);
    expect(text).toMatch(/last failure, \S+: vbd\/7\/\d+: /);
    const { stdout } = await status("--json");
    expect(faultsOf(JSON.parse(stdout), "domain-status")).toEqual([]);
  });

  test("believes nothing that makes no sense, and prints nothing that moves a cursor", async () => {
    const path = domainStatusPath(DRIVER);
    const sound = await dom0.readText(path);
    const said = async (text: string) => {
      await dom0.write(path, text);
      return await status();
    };
    try {
      const fields = JSON.parse(sound);
      const refused = ["", "{", "[]", "null", "{}", '"x"', "x".repeat(4000), '{"version":1}'];
      refused.push(JSON.stringify({ ...fields, version: "1".repeat(65) }));
      refused.push(JSON.stringify({ ...fields, ready: "yes" }));
      refused.push(
        JSON.stringify({ ...fields, at: "2026" }),
        JSON.stringify({ ...fields, startedAt: "x" }),
      );
      for (const text of refused) {
        const { code, stdout, stderr } = await said(text);
        expect([text.slice(0, 40), code, stdout]).toEqual([text.slice(0, 40), 12, ""]);
        expect(stderr).toContain("domain storage (1) says");
      }
      const evil = "\x1b]0;gotcha\x07\u202e\r\n";
      const { stdout, code } = await said(JSON.stringify({
        ...fields,
        ...{ version: evil },
        states: { failed: 1e9, connected: -1, ready: 2.5, constructor: 7, busy: "3", stuck: 4 },
        failure: { at: fields.at, device: evil, code: "x", message: evil.repeat(5) },
      }));
      expect(code).toBe(0);
      // deno-lint-ignore no-control-regex
      expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
      expect(stdout.split("\n")).toHaveLength(5);
      expect(stdout).toContain("4 devices: 4 stuck");
    } finally {
      await dom0.write(path, sound);
    }
  });
});

describe("a daemon that has stopped answering", () => {
  test("is told from journal and store; who cannot do without it is told so in time", async () => {
    process.kill(daemon.pid, "SIGSTOP");
    try {
      const own = ["--store", store.socketPath(DRIVER), ...run()];
      const lines = [["status", "--watch"], ["trace", "xvda", "--follow"], ["retry", "xvda"]];
      const [status, doctor, ...others] = await Promise.all([
        xdevd("status", ...own),
        xdevd("doctor", "--scripts", scripts, ...own),
        ...lines.map((line) => xdevd(...line, ...run())),
      ]);
      expect(status!.code).toBe(0);
      expect(status!.stdout).toMatch(
        /^no daemon answers at .*: nothing came within 8 s; what follows is from journal and store$/m,
      );
      expect(status!.stdout).toMatch(/ xvda +vbd +\/images\/good +script block-good v1 +ready +/);
      for (const other of others) {
        const stderr = expect.stringContaining("nothing came within 8 s");
        expect(other).toMatchObject({ code: 12, stderr });
      }
      expect(doctor!.stdout).toMatch(
        /^failure +daemon +process \d+ serves this domain, and cannot be asked: /m,
      );
      expect(doctor!.stdout).toMatch(/^failure +devices +.*the volume is locked/m);
      expect(doctor!.stdout).not.toContain("nothing has answered");
    } finally {
      process.kill(daemon.pid, "SIGCONT");
    }
  });
});

describe("without a daemon", () => {
  test("status tells it, and what journal and store know; --watch and trace need one", async () => {
    await daemon.stop("SIGKILL");
    const own = ["--store", store.socketPath(DRIVER), ...run()];
    const { stdout, code } = await xdevd("status", ...own);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^no daemon answers at .*; what follows is from journal and store$/m);
    expect(stdout).toMatch(/ xvda +vbd +\/images\/good +script block-good v1 +ready +/);
    for (const { cause } of faults) expect(stdout).toMatch(cause);
    const json = await xdevd("status", "--json", ...own);
    const value = JSON.parse(json.stdout);
    expect(faultsOf(value, "status")).toEqual([]);
    expect(value.daemon).toBeNull();
    const blind = await xdevd("status", "--store", "/nowhere/at/all", ...run());
    expect(blind.stdout).toContain("from the journal alone");
    const nothing = await xdevd("status", "--store", "/nowhere/at/all", "--run-dir", "/nowhere");
    expect(nothing.code).toBe(12);
    // A directory without a journal is no word of there being no devices.
    const empty = await xdevd("status", "--store", "/nowhere/at/all", "--run-dir", scripts);
    expect(empty).toMatchObject({ code: 12, stdout: "" });
    expect(empty.stderr).toContain(`the journal cannot be read: there is none in ${scripts}`);
    const domain0 = await xdevd("status", "--store", store.socketPath(0), "--run-dir", scripts);
    expect(domain0.stdout).toMatch(
      /the store alone \(.*\); of a driver domain tells xdevd status --domain NAME$/m,
    );
    for (const args of [["status", "--watch"], ["trace", "xvda"]]) {
      expect(await xdevd(...args, ...run())).toMatchObject({ code: 12 });
    }
    const sinceOf = (text: string) =>
      JSON.parse(text).devices.find(({ name }: { name: string }) => name === "xvda").since;
    const since = sinceOf(json.stdout);
    expect(Date.parse(since)).toBeLessThan(Date.now());
    daemon = await start();
    await prints(["status", ...run()], /1 ready.* serves domain/);
    // It is the same device, though the daemon is another one.
    expect(sinceOf((await xdevd("status", "--json", ...run())).stdout)).toBe(since);
    // What had failed before did not fail again, and is told with its reason all the same.
    const failedBefore = await xdevd("trace", "vbd/7/1", ...run());
    expect(failedBefore.stdout).toContain("vbd/7/1: no attach and no detach since the daemon was");
    expect((await xdevd("status", "vbd/7/1", ...run())).stdout).toContain("the volume is locked");
    const metrics = await xdevd("metrics", "--store", store.socketPath(DRIVER), ...run());
    // One was refused before it was ever recorded, and is refused anew.
    expect(metrics.stdout).toMatch(/^xdevd_operations_total\{.*attach",result="failed"\} 1$/m);
    expect(metrics.stdout).toMatch(/^xdevd_failures_total\{.*\} 1$/m);
    // Of its attach nobody knows any more: that is said, and it is a device all the same.
    const untraced = "vbd/7/51712: no attach and no detach since the daemon was started";
    const traced = await xdevd("trace", "xvda", ...run());
    expect(traced).toMatchObject({ code: 0, stdout: expect.stringContaining(untraced) });
    const drawn = await xdevd("trace", "xvda", "--svg", join(directory, "none.svg"), ...run());
    expect(drawn).toMatchObject({ code: 10, stderr: expect.stringContaining(untraced) });
  });

  test("a daemon that ends says so to domain 0", async () => {
    await daemon.stop();
    const text = await dom0.readText(domainStatusPath(DRIVER));
    expect(JSON.parse(text)).toMatchObject({ ready: false });
  });
});
