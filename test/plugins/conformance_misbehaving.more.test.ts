/**
 * `xdevd plugin check` of plugins that do harm to the process in which they run, or to the machine:
 * there is a summary each time, with the place of the mistake, and nothing is left.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { manifestLine } from "../../core/daemon/plugin/manifest.ts";
import { testManifest, writeProcessPlugin } from "../support/plugin_files.ts";
import { checkBroken } from "./check_report.ts";

/** A plugin that hangs is waited for, twice; more on a busy machine. */
setDefaultTimeout(240_000);

const own = join(dirname(fileURLToPath(import.meta.url)), "misbehaving");
const root = process.getuid?.() === 0;
let directory: string;

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-misbehaving-"));
});

afterAll(() => rmSync(directory, { recursive: true }));

describe("a plugin that", () => {
  test.each([
    ["exits", /it ends its process with exit status 0 \(exits\.ts:9\), during add/],
    ["aborts", /its process ends \(SIG(ABRT|TRAP|ILL)\), during add/],
    ["throws_later", /that nothing catches .*: nobody catches this \(throws_later\.ts:11\)/],
    ["rejects_later", /the call has ended, (during|after) remove: nodes\.write \(rejects_later/],
    ["mistaken", /evaluating 'nothing\.name'\) \(mistaken\.ts:11\)/],
  ])("%s: each rule that it breaks says so, with the place", async (name, expected) => {
    const only = ["lifecycle", "again", "clean-remove"].flatMap((rule) => ["--only", rule]);
    const { text, failed } = await checkBroken(join(own, `${name}.ts`), ...only);
    expect(text).toMatch(expected);
    // What it does late may come when the rule has ended, on a busy machine.
    if (name.endsWith("_later")) expect(failed).toBeGreaterThan(0);
    else expect(failed).toBe(3);
  });

  test("blocks: the rest is not run, and that is said", async () => {
    const { text, notRun } = await checkBroken(join(own, "blocks.ts"));
    expect(text).toMatch(/a loop that never waits.*, during add: nodes\.write \(blocks\.ts:9\)/);
    expect(text).toMatch(/\nnot run, since it has hung 2 times: \S/);
    expect(notRun).toBeGreaterThan(10);
  });

  test("floods: most is dropped", async () => {
    const { text } = await checkBroken(join(own, "floods.ts"), "--only", "again");
    expect(text).toMatch(/log: a line that nobody wants to read\n/);
    expect(text.length).toBeLessThan(2_000);
  });

  test.each([
    ["throws_at_load", /evaluating 'nothing!?\.x'\) \(throws_at_load\.ts:\d\)/],
    ["never_loads", /it is not loaded within 12 s/],
  ])("%s: nothing else is run", async (name, expected) => {
    const { text, failed } = await checkBroken(join(own, `${name}.ts`));
    expect(text).toMatch(expected);
    expect(text).toMatch(/\nnot run, since it cannot be loaded: lifecycle, /);
    expect(failed).toBe(1);
  });

  test("is no TypeScript", async () => {
    const file = join(directory, "odd.ts");
    const manifest = testManifest();
    writeFileSync(file, `${manifestLine(manifest)}\nexport default {\n  name: ;\n};\n`);
    expect((await checkBroken(file)).text).toMatch(/cannot be (loaded|parsed): .*\(odd\.ts:3\)/);
  });

  test("is told to stop by whoever runs it, ends in order", async () => {
    const child = Bun.spawn(
      [process.execPath, join(own, "../../../main.ts"), "plugin", "check", join(own, "blocks.ts")],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    const reader = child.stdout.getReader();
    let text = "";
    const read = async (until: RegExp) => {
      while (!until.test(text)) {
        const { value, done } = await reader.read();
        if (done) break;
        text += new TextDecoder().decode(value);
      }
    };
    await read(/ok {6}loads/);
    child.kill("SIGINT");
    await read(/never/);
    expect(text).toMatch(/not run, since it was told to stop \(SIGINT\): /);
    expect(text).toMatch(/\n1 passed, 0 failed, 21 not run \(module\)\n$/);
    expect(await child.exited).toBe(1);
  });
});

describe("a program that", () => {
  const HELLO = "on.call = (call) => done(call);";

  test("fails at its start says its last words", async () => {
    const file = join(directory, "fails");
    writeProcessPlugin(
      file,
      `console.error("there is no store of mine"); process.exit(3); ${HELLO}`,
    );
    expect((await checkBroken(file)).text).toMatch(
      /plugin test: it ended \(exit status 3\): there is no store of mine\n/,
    );
  });

  test("is Python, and mistaken, is told with the place", async () => {
    const file = join(directory, "mistaken");
    const manifest = testManifest({ carrier: "process" });
    writeFileSync(
      file,
      `#!/usr/bin/env python3\n${
        manifestLine(manifest).replace("//", "#")
      }\ndef start():\n    nothing()\n\nstart()\n`,
    );
    chmodSync(file, 0o755);
    expect((await checkBroken(file)).text).toMatch(
      /it ended \(exit status 1\): NameError: name 'nothing' is not defined \(mistaken:4\)\n/,
    );
  });

  test("leaves a process that hides", async () => {
    const file = join(directory, "hides");
    writeProcessPlugin(
      file,
      `import { spawn } from "node:child_process";
       on.call = (call) => {
         if (call.operation === "add") {
           spawn("/bin/sh", ["-c", "/usr/bin/setsid /bin/sleep 987655 &"], { env: {} });
         }
         done(call);
       };`,
    );
    const { text } = await checkBroken(file, "--only", "clean-remove");
    expect(text).toMatch(/process \d+ is there/);
  });
});

test("a hidden process that a module leaves is found, and ended", async () => {
  const { text } = await checkBroken(join(own, "leaks_processes.ts"));
  expect(text).toMatch(/clean-remove .*\n +process \d+ is there/);
  expect(text).toMatch(/taken away after it: \d+ processes\n/);
});

if (root) {
  describe("as root, what a plugin leaves is counted and taken away:", () => {
    test("mounts, and loop devices of files in them", async () => {
      const { text } = await checkBroken(join(own, "leaks_mounts.ts"));
      expect(text).toMatch(/after the detach, mount \S+\/mounted is there/);
      expect(text).toMatch(/after the detach, mount \S+\/mounted\/aside is there/);
      expect(text).toMatch(/after the detach, loop device loop\d+ is there/);
      expect(text).toMatch(/taken away after it: \d+ mounts, \d+ loop devices\n/);
      expect(text).not.toContain("LEFT");
    });

    test("interfaces", async () => {
      const { text } = await checkBroken(join(own, "leaks_interfaces.ts"));
      expect(text).toMatch(/clean-remove .*\n +network interface leak\d+ is there/);
      expect(text).toMatch(/taken away after it: \d+ network interfaces\n/);
    });
  });

  test("who is not root is told what that means, and refused where it makes no sense", async () => {
    const file = join(directory, "needs.ts");
    const good = join(own, "../broken/good.ts");
    mkdirSync(join(directory, "tmp"), { recursive: true });
    chmodSync(directory, 0o755);
    copyFileSync(good, file);
    const asNobody = (...args: string[]) =>
      Bun.spawnSync(
        ["setpriv", "--reuid=65534", "--clear-groups", process.execPath, ...args],
        { env: { ...process.env, HOME: "/nonexistent" } },
      );
    const main = join(own, "../../../main.ts");
    const plain = asNobody(main, "plugin", "check", file, "--only", "loads");
    expect(plain.stdout.toString()).toMatch(/^not root: nothing can be mounted, /m);
    expect(plain.exitCode).toBe(0);
    const text = await Bun.file(good).text();
    writeFileSync(file, text.replace('"sample":{', '"sample":{"needsRoot":true,'));
    const refused = asNobody(main, "plugin", "check", file);
    expect(refused.stderr.toString()).toMatch(
      /^xdevd: plugin broken can be checked only as root: /,
    );
    expect(refused.exitCode).toBe(7);
  });
}
