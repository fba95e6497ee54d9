/** A program is ended when it does not answer, and when nobody calls it; also when nobody could look which processes there are. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { sha256OfFile } from "../../platform/checksum.ts";
import { systemPipedChildren } from "../../platform/io/child.ts";
import { systemFiles } from "../../platform/io/files.ts";
import type { ControlGroup } from "../../platform/linux/control_group.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import {
  PLUGIN_VARIABLE,
  ProcessHost,
  type ProcessHostParts,
} from "../../plugins/host/process_host.ts";
import { until } from "../support/daemon_process.ts";
import { failure } from "../support/fake_blocks.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";
import { writeProcessPlugin } from "../support/plugin_files.ts";

/** Leaves one behind in a session of its own, and says nothing. */
const MUTE = `const { spawn } = require("node:child_process");
spawn("/usr/bin/setsid", ["/bin/sleep", "600"], { stdio: "ignore" });
on.hello = () => {};`;

describe("a program", () => {
  let directory: string;
  let made: ProcessHost;

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), "xdevd-host-"));
  });

  afterEach(async () => {
    await made.close();
    rmSync(directory, { recursive: true });
  });

  const processes = async () =>
    [...await systemProcessTable.withVariable(PLUGIN_VARIABLE)]
      .filter(([, value]) => value.startsWith(`${directory}:`)).map(([pid]) => pid);

  function host(more: Partial<ProcessHostParts>, body = MUTE): ProcessHost {
    const file = join(directory, "mute");
    const manifest = writeProcessPlugin(file, body, { name: "mute", kinds: ["mute"] });
    return made = new ProcessHost(file, manifest, {
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
      makeGroup: () => {
        throw new Error("none here");
      },
      times: { backoff: 20, hello: 1_000 },
      ...more,
    });
  }

  const ended = () =>
    until(async () => (await processes()).length === 0, async () => `${await processes()} run`);

  test("that says nothing is ended as soon as somebody can look, and may be started again", async () => {
    let looks = 0;
    const table: ProcessHostParts["table"] = {
      ...systemProcessTable,
      // The first look, before the start, is well.
      withVariable: (name) =>
        ++looks === 1 || looks > 4
          ? systemProcessTable.withVariable(name)
          : Promise.reject(failure("EMFILE")),
    };
    const mute = host({ table });
    await expect(mute.probe()).rejects.toThrow(/mute/);
    await ended();
    expect(looks).toBeGreaterThan(4);
    await expect(mute.probe()).rejects.not.toThrow("EMFILE");
    await ended();
  });

  test("that says nothing is ended by its mark where nobody can list its control group", async () => {
    let killed = 0;
    const group: ControlGroup = {
      around: (make) => make(),
      killAll() {
        killed++;
        throw failure("EMFILE");
      },
      remove: () => true,
    };
    const mute = host({ makeGroup: () => group });
    await expect(mute.probe()).rejects.toThrow(/mute/);
    expect(killed).toBe(1);
    await ended();
  });

  test("is not started without its group for want of a descriptor", async () => {
    const codes = ["EMFILE", "ENFILE", "ENOMEM"];
    let tries = 0;
    const mute = host({
      makeGroup: () => {
        throw failure(codes[tries++] ?? "EROFS");
      },
    });
    for (const code of codes) await expect(mute.probe()).rejects.toThrow(code);
    expect(await processes()).toEqual([]);
    // What is so for good is told, and it is started.
    await expect(mute.probe()).rejects.toThrow(/mute/);
    expect(tries).toBe(4);
    await ended();
  });

  test("and is called now and then ends in between, and is started again", async () => {
    const id = { backendDomid: 1, kind: "mute", frontendDomid: 7, devid: 0 };
    const times = { backoff: 20, hello: 30_000, idle: 100 };
    const idle = host({ times }, "on.call = done;");
    const { add } = await idle.operations();
    for (let round = 0; round < 2; round++) {
      await add(new FakeDevice(new FakeMachine(), id, {}), new AbortController().signal);
      expect(await processes()).toHaveLength(1);
      await ended();
    }
  });

  test("and ends a call that it is told to end is not ended for it afterwards", async () => {
    const id = { backendDomid: 1, kind: "mute", frontendDomid: 7, devid: 0 };
    const called = join(directory, "called");
    const body = `let begun = 0;
      on.call = (call) => {
        if (++begun > 1) return done(call);
        require("node:fs").writeFileSync(${JSON.stringify(called)}, "");
      };
      on.abort = ({ call }) => send({ type: "failed", call, error: "given up" });`;
    const obedient = host({ times: { backoff: 20, hello: 30_000 } }, body);
    const { add } = await obedient.operations();
    const device = new FakeDevice(new FakeMachine(), id, {});
    const abort = new AbortController();
    const adding = add(device, abort.signal).catch(({ message }) => message);
    await until(() => existsSync(called), () => "it was not called", 30_000);
    const [pid] = await processes();
    abort.abort(new Error("enough"));
    expect(await adding).toContain("given up");
    // Longer than it had for that.
    await new Promise((resolve) => setTimeout(resolve, 500));
    await add(device, new AbortController().signal);
    expect(await processes()).toEqual([pid!]);
  });

  test("has its group removed with its end, as soon as nobody is in it", async () => {
    let tries = 0;
    const group: ControlGroup = {
      around: (make) => make(),
      killAll: () => {
        throw failure("EMFILE");
      },
      remove: () => ++tries === 3,
    };
    const mute = host({ makeGroup: () => group });
    await expect(mute.probe()).rejects.toThrow(/mute/);
    await mute.close();
    expect(tries).toBe(3);
    tries = 2;
    await ended();
  });
});
