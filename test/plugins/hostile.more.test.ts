/** Programs that are plugins and mean no good: each costs its own operations, and one line of log. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CHILD_VARIABLE } from "../../core/daemon/capabilities/children.ts";
import { backendPath } from "../../core/xen/device_id.ts";
import { systemClock } from "../../platform/clock.ts";
import { makeControlGroup, removeControlGroups } from "../../platform/linux/control_group.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { sha256OfFile } from "../../platform/checksum.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import { systemPipedChildren } from "../../platform/io/child.ts";
import { PluginRegistry, readyHost } from "../../core/daemon/plugin/host.ts";
import {
  PLUGIN_VARIABLE,
  ProcessHost,
  type ProcessHostParts,
} from "../../plugins/host/process_host.ts";
import { until } from "../support/daemon_process.ts";
import { writeProcessPlugin } from "../support/plugin_files.ts";
import { DISK, disk, nic, World } from "../support/simulated_domain.ts";

/** The program's control group, which nobody else takes over. */
const GROUP = `xdevd-test-hostile-${process.pid}`;

const CALLS = { operationMs: 1_500, graceMs: 2_000 };

describe("a hostile process plugin", () => {
  let directory: string;
  let world: World;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "xdevd-hostile-"));
    world = new World();
  });

  afterEach(async () => {
    await world.stop();
    rmSync(directory, { recursive: true });
    // One that was killed takes its time to be gone.
    await until(
      async () => (await processes()).length === 0,
      async () => `processes are left: ${await processes()}`,
    );
    await until(() => removeControlGroups(GROUP), () => `${GROUP} is left`);
  });

  /** Its processes that run. */
  async function processes(): Promise<number[]> {
    return [...await systemProcessTable.withVariable(PLUGIN_VARIABLE)]
      .filter(([, value]) => value.startsWith(`${directory}:`)).map(([pid]) => pid);
  }

  function host(body: string, more: Partial<ProcessHostParts> = {}): ProcessHost {
    const file = join(directory, "disks");
    const manifest = writeProcessPlugin(file, body, { name: "disks", kinds: ["vbd"] });
    return new ProcessHost(file, manifest, {
      files: systemFiles,
      trustedUids: [0, process.getuid!()],
      sha256Of: sha256OfFile,
      children: systemPipedChildren,
      table: systemProcessTable,
      clock: systemClock,
      owner: directory,
      path: "/usr/bin:/bin",
      answerMs: 200,
      host: "test/1",
      group: GROUP,
      makeGroup: makeControlGroup,
      times: { backoff: 20 },
      ...more,
    });
  }

  /** A daemon that serves disks with the program, and interfaces with a sound plugin. */
  async function start(body: string, more: Partial<ProcessHostParts> = {}): Promise<void> {
    const sound = readyHost(world.recorder.plugin({ kinds: ["vif"] }));
    world.parts = { plugins: PluginRegistry.of(host(body, more), sound), calls: CALLS };
    await world.start();
  }

  /** A disk is attached, which fails for this reason; all else goes on. */
  async function fails(reason: RegExp, line: RegExp = reason): Promise<void> {
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await world.reaches(`${backendPath(DISK)}/hotplug-status`, "error");
    expect(await world.dom0.readText(`${backendPath(DISK)}/hotplug-error`)).toMatch(reason);
    expect(world.log.join("")).toMatch(line);
    await toolstack.create(nic);
    await (await world.guest(nic.id)).connected(2_000);
  }

  const request = (capability: string, ...args: unknown[]) => `
    let asking;
    on.call = (call) => {
      if (call.operation !== "add") return done(call);
      asking = call.call;
      send({ type: "request", request: 1, call: call.call, capability: "${capability}",
        arguments: ${JSON.stringify(args)} });
    };
    on.reply = ({ error }) => send(error
      ? { type: "failed", call: asking, error }
      : { type: "done", call: asking });`;

  test.each([
    ["nodes.write", { "../../../../note": "x" }],
    ["nodes.write", { "/local/domain/7/note": "x" }],
    ["nodes.write", { "@releaseDomain": "x" }],
    ["hotplug.write", { "../../../note": "x" }],
  ])("writes outside its view: %s %j", async (capability, nodes) => {
    await start(request(capability, nodes));
    await fails(/invalid node name/);
    expect(await world.dom0.exists("/local/domain/7/note")).toBeFalse();
    expect(await world.dom0.exists("/local/domain/1/note")).toBeFalse();
  });

  test("takes off the daemon's own mark", async () => {
    await start(request("nodes.write", { "xdevd-attach": "x" }));
    await fails(/it is the daemon's own/);
  });

  test("reads outside its view", async () => {
    await start(request("nodes.read", "../../../name"));
    await fails(/invalid node name/);
  });

  test.each([
    [["frobnicate"], /there is no capability "frobnicate"/],
    [["toString"], /there is no capability "toString"/],
    [["nodes.read", 7], /expected the node's name, a text/],
    [["nodes.write", [1]], /expected nodes, a map of texts/],
    [["recordUndo", { a: null }], /expected an undo record/],
    [["system.run", "rm -rf /"], /expected a program and its arguments/],
    [["children.start", "x/y", ["/bin/true"]], /the process's name, letters/],
    [["scripts.run", "block", "/bin/sh", "frob"], /expected add or remove/],
    [["scripts.run", "block", "/bin/sh", "add"], /is outside the allowed directory/],
  ])("asks for nonsense: %j", async ([capability, ...args], reason) => {
    await start(request(capability as string, ...args));
    await fails(reason);
  });

  test("never answers", async () => {
    await start("");
    await fails(/disks failed during add: it did not end its add within 0.2 s/, /killed/);
  });

  test("answers twice", async () => {
    await start("on.call = (call) => { done(call); done(call); };");
    await world.toolstack().create(disk);
    await until(
      () => /done for call 1, which it has answered already: killed/.test(world.log.join("")),
      () => world.log.join(""),
    );
    await world.toolstack().create(nic);
    await (await world.guest(nic.id)).connected(2_000);
  });

  test("answers what it was not asked", async () => {
    await start("on.call = ({ call }) => done({ call: call + 1 });");
    await fails(/done for call 2, which was never made/);
  });

  test("sends a frame of 100 MB", async () => {
    const before = process.memoryUsage().rss;
    await start(`on.call = () => {
      write(new Uint8Array([0x06, 0x40, 0, 0]));
      for (let sent = 0; sent < 100; sent++) write(new Uint8Array(1024 * 1024));
    };`);
    await fails(/a frame of 104857600 bytes; expected 1 to 1048576/);
    expect(process.memoryUsage().rss - before).toBeLessThan(80e6);
  });

  test.each([
    ["text", "on.call = () => console.log('hello, this is a log line');", /text in place of a fra/],
    ["no map", "on.call = () => write(new Uint8Array([0, 0, 0, 1, 0xc0]));", /a frame that is no/],
    [
      "an array of four thousand millions",
      "on.call = () => write(new Uint8Array([0, 0, 0, 5, 0xdd, 255, 255, 255, 255]));",
      /not MessagePack: it ends too early/,
    ],
    ["a strange type", "on.call = () => send({ type: 'frob' });", /"frob"; expected hello, done/],
    ["no error", "on.call = ({ call }) => send({ type: 'failed', call });", /with error nothing/],
    ["a second hello", "on.call = () => hello();", /a second hello/],
    ["a false name", "on.hello = () => hello({ name: 'vbd' });", /it says that it is "vbd"/],
    ["another contract", "on.hello = () => hello({ contract: 9 });", /it takes contract 9/],
    ["no remove", "on.hello = () => hello({ operations: ['add'] });", /it has no remove/],
    ["a call before hello", "on.hello = () => done({ call: 0 });", /done before its hello/],
  ])("speaks nonsense: %s", async (_, body, reason) => {
    await start(body);
    await fails(reason, /disks: .*: killed/);
  });

  test("does not introduce itself", async () => {
    await start("on.hello = () => {};", { times: { hello: 150, backoff: 20 } });
    await fails(/it did not introduce itself within 0.15 s/);
  });

  test("exits in the middle of an operation, and is started again for the next", async () => {
    await start(`let first = true;
      on.call = (call) => call.operation === "add" && call.device.devid === ${DISK.devid}
        ? process.exit(3)
        : done(call);`);
    await fails(/disks failed during add: it ended \(exit status 3\)/);
    const toolstack = world.toolstack();
    await toolstack.remove(disk);
    await world.gone(DISK);
  });

  test("dies with words on its standard error: the last line is the cause", async () => {
    await start(`on.call = () => {
      writeSync(2, "Traceback:\\n  somewhere\\nIOError: no such \\u001b[2Jpool\\n\\n");
      process.exit(1);
    };`);
    await fails(
      /disks failed during add: it ended \(exit status 1\): IOError: no such \\x1b\[2Jpool\n?/,
    );
  });

  test("crashes again and again: it is started less and less often", async () => {
    await start("process.exit(1);", { times: { backoff: 100 } });
    await fails(/it ended \(exit status 1\)/);
    const starts = () => world.log.filter((line) => line.includes("it ended (exit")).length;
    const before = starts();
    for (let round = 0; round < 5; round++) world.daemon.devices.touchAll();
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(starts() - before).toBeLessThanOrEqual(2);
  });

  test("is no program", async () => {
    await start("");
    const file = join(directory, "disks");
    const text = readFileSync(file, "utf8");
    await systemFiles.writeText(file, text.replace(/^#!.*/, "#!/nowhere/interpreter"));
    await fails(/cannot be started: the interpreter of its #! line does not exist/);
  });

  test("floods the log", async () => {
    await start(`on.call = () => {
      for (;;) send({ type: "log", level: "info", text: "look at me" });
    };`);
    await fails(/it floods the log/);
    expect(world.log.filter((line) => line.includes("look at me")).length).toBeLessThan(500);
  });

  test("floods its standard error", async () => {
    await start("on.call = () => { for (;;) writeSync(2, 'look at me\\n'.repeat(1000)); };");
    await fails(/it floods the log/);
    expect(world.log.filter((line) => line.includes("look at me")).length).toBeLessThan(500);
  });

  test("floods with requests", async () => {
    await start(`let number = 0;
      on.call = ({ call }) => {
        for (;;) send({ type: "request", request: ++number, call, capability: "nodes.read",
          arguments: ["params"] });
      };`);
    await fails(/did not end its add|does not read what it is told/);
  });

  test("does not read what it is told", async () => {
    await start(`on.call = ({ call }) => {
      let number = 0;
      const bytes = [];
      process.stdin.pause();
      for (;;) send({ type: "request", request: ++number, call, capability: "frob",
        arguments: [] });
    };`);
    await fails(/does not read what it is told|did not end its add/);
  });

  test("sends what is ignored, a megabyte at a time: others go on, and it costs little", async () => {
    await start(`const ignored = {};
      for (let at = 0; at < 16_000; at++) ignored["k".repeat(50) + at] = at;
      let number = 0;
      on.call = ({ call }) => {
        for (;;) send({ type: "log", level: "info", text: "look at me", ...ignored });
      };`);
    const before = process.cpuUsage();
    const began = performance.now();
    await fails(/did not end its add/);
    const { user, system } = process.cpuUsage(before);
    const share = (user + system) / 1000 / (performance.now() - began);
    expect(share).toBeLessThan(0.9);
  });

  test("sends a frame of hundreds of thousands of keys", async () => {
    await start(`on.call = ({ call }) => {
      const ignored = {};
      for (let at = 0; at < 60_000; at++) ignored["k" + at] = null;
      send({ type: "done", call, ...ignored });
    };`);
    await fails(/more values than there may be/);
  });

  test("logs a line of a megabyte", async () => {
    await start(`on.call = ({ call, operation }) => {
      if (operation !== "add") return done({ call });
      send({ type: "log", level: "info", text: "look at me" + "x".repeat(1e6) });
      send({ type: "log", call, level: "info", text: "look at me" + "x".repeat(1e6) });
      send({ type: "failed", call, error: "enough" });
    };`);
    await fails(/enough/);
    const lines = world.log.filter((line) => line.includes("look at me"));
    expect(lines).toHaveLength(2);
    for (const line of lines) expect(line.length).toBeLessThan(2_200);
  });

  test.each([
    ["/dev/zero", /is a character; expected a regular file/],
    ["FIFO", /expected a regular file/],
    ["/proc/self/mem", /./],
  ])("reads %s", async (path, reason) => {
    const fifo = join(directory, "fifo");
    execFileSync("mkfifo", [fifo]);
    const before = process.memoryUsage().rss;
    await start(request("system.readText", path === "FIFO" ? fifo : path));
    await fails(reason);
    expect(process.memoryUsage().rss - before).toBeLessThan(80e6);
  });

  test("takes the locks of others' disks: nobody waits for them", async () => {
    await start(`${request("system.lock", "vbd claims")}
      on.reply = () => {};`);
    const { signal } = new AbortController();
    await world.toolstack().create(disk);
    await until(() => world.log.join("").includes("attach: for"), () => world.log.join(""));
    let done = false;
    world.recorder.within = async (_, device) => {
      await device.system.exclusively("vbd claims", signal, async () => void (done = true));
    };
    await world.toolstack().create(nic);
    await (await world.guest(nic.id)).connected(5_000);
    expect(done).toBeTrue();
  });

  test("asks for more locks than it may have", async () => {
    await start(`on.call = ({ call, operation }) => {
        if (operation !== "add") return done({ call });
        for (let at = 0; at < 65; at++) {
          send({ type: "request", request: at, call, capability: "system.lock",
            arguments: ["lock " + at] });
        }
        on.reply = ({ error }) => error && send({ type: "failed", call, error });
      };`);
    await fails(/expected at most 64 locks/);
  });

  test("records without end", async () => {
    await start(request("recordUndo", { a: "x".repeat(20_000), b: "x".repeat(20_000) }));
    await fails(/an undo record of \d+ bytes; expected at most 24576/);
  });

  test("starts processes without end, which no control group of it bounds", async () => {
    await start(`on.call = ({ call, operation }) => {
        if (operation !== "add") return done({ call });
        for (let at = 0; at < 80; at++) {
          send({ type: "request", request: at, call, capability: "children.start",
            arguments: ["p" + at, ["/bin/sleep", "1000"]] });
        }
        on.reply = ({ error }) => error && send({ type: "failed", call, error });
      };`);
    await fails(/the device has 64 already/);
    await world.toolstack().remove(disk, "force");
    await world.gone(DISK);
    await until(
      async () =>
        [...(await systemProcessTable.withVariable(CHILD_VARIABLE)).values()]
          .filter((value) => value.startsWith("vbd/7/51712/")).length === 0,
      () => "they go on",
    );
  });

  test("forges lines and escapes in what it says", async () => {
    await start(`on.call = ({ call }) => send({ type: "failed", call,
      error: "oh\\u001b[2J\\n2026-01-01 forged" });`);
    // Its undoing fails, too, and may have been told of by then.
    await fails(
      /^oh\\x1b\[2J 2026-01-01 forged(; and then: |$)/,
      /oh\\x1b\[2J 2026-01-01 forged\n/,
    );
    expect(world.log.some((line) => line.startsWith("2026-01-01 forged"))).toBeFalse();
  });

  test("multiplies: no more processes than it may have, and none when it has ended", async () => {
    const child = `process.stdin.resume(); setTimeout(() => {}, 1e6);`;
    await start(
      `import { spawn } from "node:child_process";
      on.call = () => {
        for (let i = 0; i < 300; i++) {
          try {
            spawn("/bin/sleep", ["1000"], { detached: true, stdio: "ignore" }).on("error", () => {});
          } catch {}
        }
      }; ${child}`,
    );
    let most = 0;
    const count = setInterval(async () => most = Math.max(most, (await processes()).length), 20);
    // Its runtime may give up when it can have no thread any more.
    await fails(/did not end its add|it ended \(SIGABRT\)/);
    clearInterval(count);
    expect(most).toBeGreaterThan(1);
    const bounded = !world.log.join("").includes("is not bounded here");
    if (process.env["CI"] === "true" && process.getuid?.() === 0) expect(bounded).toBeTrue();
    if (bounded) expect(most).toBeLessThanOrEqual(64);
    await until(async () => (await processes()).length === 0, () => "they go on");
  });

  test("was started by a daemon that has been killed: it is ended before there is another", async () => {
    const stale = spawn("/bin/sleep", ["1000"], {
      env: { [PLUGIN_VARIABLE]: `${directory}:disks` },
      stdio: "ignore",
    });
    const ended = new Promise((resolve) => stale.once("exit", (_, signal) => resolve(signal)));
    await until(async () => (await processes()).length === 1, () => "it was not started");
    await start("on.call = done;");
    await world.toolstack().create(disk);
    expect(await ended).toBe("SIGKILL");
  });

  test("that nobody calls is ended, and started when it is called", async () => {
    await start("on.call = done;", { times: { idle: 50 } });
    const toolstack = world.toolstack();
    await toolstack.create(disk);
    await until(() => world.log.join("").includes("→ connected"), () => world.log.join(""));
    await until(async () => (await processes()).length === 0, () => "it goes on");
    await toolstack.remove(disk, "force");
    await world.gone(DISK);
    expect(world.log.filter((line) => /plugin disks: (?!process)/.test(line))).toEqual([]);
  });
});
