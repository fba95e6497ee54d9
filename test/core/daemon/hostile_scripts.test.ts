/** Scripts without manners, as real processes: each costs its own device, and nothing else. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { backendPath } from "../../../core/xen/device_id.ts";
import { systemProcessTable } from "../../../platform/linux/process_table.ts";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, diskNumber, nic, World } from "../../support/simulated_domain.ts";

const BACKEND = backendPath(DISK);

let world: World;
let directory: string;

beforeEach(() => {
  world = new World();
  directory = mkdtempSync(join(tmpdir(), "xdevd-hostile-script-"));
});

afterEach(async () => {
  await world.stop();
  rmSync(directory, { recursive: true });
});

const descriptors = () => readdirSync("/proc/self/fd").length;
/** Processes of this test's scripts: others may be tested beside us. */
const running = async () =>
  [...await systemProcessTable.withVariable("DIARY")]
    .filter(([, diary]) => diary === join(directory, "diary")).map(([pid]) => pid);

/** A daemon whose disks are set up by this script; interfaces are by a sound plugin. */
async function start(body: string, timeoutMs = 30_000): Promise<void> {
  const script = join(directory, "block");
  writeFileSync(script, `#!/bin/sh\n${body}\n`, { mode: 0o755 });
  world.parts = {
    scripts: {
      policy: { directories: [directory], trustedUids: [0, process.getuid!()] },
      limits: { timeoutMs, killGraceMs: 200 },
      path: "/usr/bin:/bin",
      environment: { DIARY: join(directory, "diary") },
    },
  };
  world.recorder.within = async (call, device, signal) => {
    if (device.id.kind === "vbd") await device.scripts.run("block", script, call, signal);
  };
  await world.start();
}

async function othersAreServed(): Promise<void> {
  await world.toolstack().create(nic);
  await (await world.guest(nic.id)).connected(10_000);
}

describe("a script", () => {
  test("fault 27: that takes too long ends with all that it has started, before it is undone", async () => {
    await start(
      `echo "begin $1" >> $DIARY
      [ $1 = add ] || exit 0
      setsid sh -c 'trap "" TERM; sleep 1000; sleep 1000' &
      setsid sh -c 'setsid sleep 1000 & exec sleep 1000' &
      (sleep 1000; echo late >> $DIARY) &
      sleep 1000`,
      1_000,
    );
    let leftAtRemove: number[] | null = null;
    const { within } = world.recorder;
    world.recorder.within = async (call, device, signal) => {
      if (call === "remove" && device.id.kind === "vbd") {
        leftAtRemove ??= await running();
      }
      await within(call, device, signal);
    };
    await world.toolstack().create(disk);
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    expect(await world.dom0.readText(`${BACKEND}/hotplug-error`))
      .toMatch(/add: did not end within 1 s and was killed/);
    await until(() => leftAtRemove !== null, () => world.log.join(""));
    expect(leftAtRemove as unknown).toEqual([]);
    expect(readFileSync(join(directory, "diary"), "utf8")).toStartWith("begin add\n");
    await othersAreServed();
  });

  test("that leaves somebody who prints for ever: its pipes are closed, it costs nothing", async () => {
    await start("[ $1 = add ] || exit 0\nyes hello &\nsleep 0.05");
    const before = descriptors();
    for (let at = 0; at < 10; at++) {
      const spec = diskNumber(51712 + 16 * at);
      await world.toolstack().create(spec);
      await world.reaches(`${backendPath(spec.id)}/hotplug-status`, "connected");
    }
    await until(() => descriptors() <= before + 2, () => `${descriptors()}, ${before} before`);
    await until(async () => (await running()).length === 0, async () => `${await running()} go on`);
    const { user, system } = process.cpuUsage();
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    const after = process.cpuUsage({ user, system });
    expect((after.user + after.system) / 1000).toBeLessThan(250);
    await othersAreServed();
  });

  test("that prints without end is told of no more than it may, and others are served", async () => {
    await start("[ $1 = add ] || exit 0\nexec yes '\u001b[2J look at me'", 1_000);
    const cpu = process.cpuUsage();
    await world.toolstack().create(disk);
    await othersAreServed();
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    const { user, system } = process.cpuUsage(cpu);
    expect((user + system) / 1000).toBeLessThan(950);
    const lines = world.log.filter((line) => line.includes("look at me"));
    expect(lines.length).toBeLessThanOrEqual(10_001);
    for (const line of world.log) expect(line.slice(0, -1)).not.toMatch(/\p{Cc}/u);
  });

  test("that prints one line without end", async () => {
    await start("[ $1 = add ] || exit 0\nexec tr '\\0' x < /dev/zero", 1_000);
    const before = process.memoryUsage().rss;
    await world.toolstack().create(disk);
    await othersAreServed();
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    expect(process.memoryUsage().rss - before).toBeLessThan(80e6);
    expect(Math.max(...world.log.map((line) => line.length))).toBeLessThan(3_000);
  });
});
