/** What the daemon's log tells at `info`, on the embedded store: the daemon is a process of its own. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { fstatSync, openSync, readFileSync } from "node:fs";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programCommand, runProgram, until } from "../support/daemon_process.ts";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

const TIME = String.raw`\d{4}-\d\d-\d\dT[\d:.]+Z`;
const LASTS = String.raw`(\d+ ms|\d+\.\d s)`;

let store: Awaited<ReturnType<typeof startEmbeddedStore>>;
let dom0: StoreClient;
let directory: string;
let scripts: string;

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "xdevd-log-"));
  scripts = join(directory, "scripts");
  await mkdir(scripts, { mode: 0o755 });
  store = await startEmbeddedStore([1, 7], {}, join(directory, "store"));
  dom0 = await connectTo(store.socketPath(0));
  await dom0.write("/local/domain/0/domid", "0");
  await makeDomain(dom0, 1);
  await makeDomain(dom0, 7);
});

afterAll(async () => {
  dom0.close();
  await store.stop();
  await rm(directory, { recursive: true });
});

function options(domid: number, ...more: string[]): string[] {
  return [
    ...["--store", store.socketPath(domid), "--run-dir", join(directory, `run-${domid}`)],
    ...["--scripts", scripts, ...more],
  ];
}

/** A script that names a device (of a major number that no driver has), after some work. */
async function script(name: string, work = ""): Promise<string> {
  const path = join(scripts, name);
  const write = `${programCommand().join(" ")} store write`;
  const body = `${work}
[ "$1" = remove ] || exec ${write} "$XENBUS_PATH/physical-device" 3f:0 \\
  "$XENBUS_PATH/physical-device-path" /dev/loop99 "$XENBUS_PATH/hotplug-status" connected
`;
  await writeFile(path, `#!/bin/sh\n${body}`, { mode: 0o755 });
  return path;
}

async function create(
  nodes: Record<string, string>,
  devid: number,
  backendDomid = 1,
): Promise<HandMadeDevice> {
  const id = { backendDomid, kind: "vbd", frontendDomid: 7, devid };
  const device = new HandMadeDevice(dom0, id);
  await device.create(nodes);
  return device;
}

describe("the log", () => {
  test(
    "tells the story of a disk: what is wanted, by whom, on what, how long; by its name",
    async () => {
      const block = await script("block-own", 'printf "two\\nlines\\n\\n"');
      const daemon = await DaemonProcess.start(options(1));
      const device = await create({ script: block, params: "/images/a b" }, 51728);
      await device.write("state", "2");
      await daemon.says(/connected after/);
      await device.detach();
      await device.gone();
      await daemon.says(/removed after/);
      expect(await daemon.stop()).toBe(0);
      const label = String.raw`xvdb \(vbd/7/51728\): `;
      const expected = [
        `${TIME} info    built in: plugin vbd serves vbd, vbd3; plugin vif serves vif; .*`,
        `${TIME} info    serving domain 1 .*`,
        `${TIME} info    ${label}attach: for /local/domain/7/device/vbd/51728, by plugin vbd`,
        `${TIME} info    ${label}wanted: target "/images/a b", mode "w", script ${block}, version 1`,
        `${TIME} info    ${label}${block}: two`,
        `${TIME} info    ${label}${block}: lines`,
        `${TIME} info    ${label}connected after ${LASTS}: on /dev/loop99`,
        `${TIME} info    ${label}detach: the toolstack asks for it \\(backend state \\d \\(\\w+\\)\\)`,
        `${TIME} info    ${label}${block}: two`,
        `${TIME} info    ${label}${block}: lines`,
        `${TIME} info    ${label}removed after ${LASTS}`,
        `${TIME} info    SIGTERM: stopping`,
        `${TIME} info    stopped; no devices are left`,
      ];
      const lines = daemon.log.trimEnd().split("\n");
      expect(lines).toHaveLength(expected.length);
      for (const [at, line] of lines.entries()) {
        expect(line).toMatch(new RegExp(`^${expected[at]}$`));
      }
    },
    30_000,
  );

  test(
    "tells once what takes more than 5 s: the kernel, a script, another device's turn",
    async () => {
      const slow = await script("block-slow", `[ "$1" = remove ] || sleep 6`);
      const daemon = await DaemonProcess.start(options(1));
      const early = await create({ script: slow, params: "/one" }, 51744);
      const first = await create({ script: slow, params: "/one" }, 51760);
      await first.write("state", "2");
      await daemon.says(/51760\): wanted/);
      const second = await create({ script: slow, params: "/one" }, 51776);
      await second.write("state", "2");
      const more = "attach takes more than 5 s: ";
      await until(() => daemon.lines(more).length === 3, () => daemon.log, 30_000);
      await until(() => daemon.lines("connected after").length === 2, () => daemon.log, 30_000);
      const about = (devid: number) => daemon.lines(`/${devid}): ${more}`);
      expect(about(51744)).toEqual([
        expect.stringContaining(
          "waiting, still waiting for the kernel backend to be ready, state 2 (InitWait) " +
            "(backend state 1 (Initialising))",
        ),
      ]);
      expect(about(51760)).toEqual([
        expect.stringMatching(
          /adding, still waiting for script \S+block-slow add \(for [45]\.\d s\)$/,
        ),
      ]);
      expect(about(51776)).toEqual([
        expect.stringMatching(/its turn: another device is busy with the same, vbd \/one \(for /),
      ]);
      for (const device of [early, first, second]) {
        await device.detach();
        await device.gone();
      }
      expect(await daemon.stop()).toBe(0);
    },
    60_000,
  );

  test("names guests by their names where it may read them, whatever they are", async () => {
    const block = await script("block-named");
    const daemon = await DaemonProcess.start(options(0, "--allow-dom0"));
    const odd = 'a": xvda (vbd/1/51712): removed\n\u001b[2Jx';
    for (const [name, shown] of [["web", "web"], [odd, String.raw`"a\": xvda (vbd/1/51712)`]]) {
      await dom0.write("/local/domain/7/name", name!);
      const device = await create({ script: block, params: "/x" }, 51728, 0);
      await device.write("state", "2");
      await until(
        () => daemon.lines(shown!).some((line) => line.includes("connected after")),
        () => daemon.log,
      );
      await device.detach();
      await device.gone();
    }
    expect(daemon.lines("web: xvdb (vbd/7/51728): connected after")).toHaveLength(1);
    expect(daemon.log).not.toContain("\u001b");
    expect(daemon.log).not.toMatch(/^(?!\d{4}-)./m);
    expect(await daemon.stop()).toBe(0);
    await dom0.remove("/local/domain/7/name");
  }, 30_000);

  test("as objects: time, level, the device in fields, and the message", async () => {
    const block = await script("block-json", "printf '{\\033[31m}\"\\n'");
    const daemon = await DaemonProcess.start(options(1, "--log-format", "json"));
    const device = await create({ script: block, params: "/x" }, 51728);
    await device.write("state", "2");
    await daemon.says(/connected after/);
    await device.detach();
    await device.gone();
    expect(await daemon.stop()).toBe(0);
    const objects = daemon.log.trimEnd().split("\n").map((line) => JSON.parse(line));
    for (const { time, level, message } of objects) {
      expect(time).toMatch(new RegExp(`^${TIME}$`));
      expect(level).toBe("info");
      expect(message).toMatch(/./);
    }
    const about = objects.filter(({ kind }) => kind === "vbd");
    expect(about.length).toBeGreaterThan(4);
    for (const object of about) {
      expect(object).toEqual({
        ...{ time: object.time, level: "info", message: object.message },
        ...{ guest: 7, kind: "vbd", devid: 51728, vdev: "xvdb" },
      });
    }
    expect(about.map(({ message }) => message)).toContain(`${block}: {\\x1b[31m}"`);
  }, 30_000);

  test("for the journal: priorities in place of times", async () => {
    const path = join(directory, "journal");
    const descriptor = openSync(path, "w");
    const { dev, ino } = fstatSync(descriptor, { bigint: true });
    const [file, ...before] = programCommand();
    const run = (args: string[], stream: string) =>
      spawn(file, [...before, "devd", "-F", ...args], {
        env: { PATH: process.env["PATH"] ?? "", JOURNAL_STREAM: stream },
        stdio: ["ignore", "ignore", descriptor],
      });
    const child = run(options(1), `${dev}:${ino}`);
    const log = () => readFileSync(path, "utf8");
    await until(() => log().includes("serving domain"), log);
    const device = await create({ script: join(scripts, "none"), params: "/x" }, 51728);
    await device.write("state", "2");
    await until(() => log().includes("does not exist"), log);
    await device.reaches("state", "6");
    await device.detach();
    await device.gone();
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("exit", resolve));
    expect(log()).toMatch(/^<6>serving domain 1 /m);
    expect(log()).toMatch(/^<3>xvdb \(vbd\/7\/51728\): script ".*none" does not exist/m);
    for (const line of log().trimEnd().split("\n")) expect(line).toMatch(/^<[346]>[^<]/);

    // Its last words, too; and none of that where the log goes elsewhere.
    const failed = run(["--store", "/nowhere/socket"], `${dev}:${ino}`);
    expect(await new Promise((resolve) => failed.once("exit", resolve))).toBe(3);
    expect(log()).toMatch(/^<3>xdevd: .*\/nowhere\/socket/m);
    const { stderr } = await runProgram(["devd", "-F", "--store", "/nowhere/socket"], {
      JOURNAL_STREAM: `${dev}:${ino}`,
    });
    expect(stderr).toMatch(/^xdevd: /);
  }, 30_000);
});
