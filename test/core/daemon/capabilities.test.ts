/** What a plugin can do with its device beyond nodes and scripts. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Activity } from "../../../core/daemon/activity.ts";
import { CHILD_VARIABLE, ChildKeeper } from "../../../core/daemon/capabilities/children.ts";
import { DirectoryKeeper } from "../../../core/daemon/capabilities/directories.ts";
import { Exclusive } from "../../../core/daemon/capabilities/exclusive.ts";
import { deviceSystem } from "../../../core/daemon/capabilities/system.ts";
import { backendPath } from "../../../core/xen/device_id.ts";
import { DEFAULT_LIMITS } from "../../../core/hotplug/run_script.ts";
import { systemClock } from "../../../platform/clock.ts";
import { systemFiles } from "../../../platform/io/files.ts";
import { systemProcesses } from "../../../platform/io/child.ts";
import { systemProcessTable } from "../../../platform/linux/process_table.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import type { Device } from "../../../contract/v1/plugin.ts";
import { until } from "../../support/daemon_process.ts";
import { DISK, disk, diskNumber, World } from "../../support/simulated_domain.ts";

const BACKEND = backendPath(DISK);
const HOTPLUG = "/local/domain/1/libxl/hotplug/vbd/7/51712";

let world: World;
let directory: string;

beforeEach(() => {
  world = new World();
  directory = mkdtempSync(join(tmpdir(), "xdevd-capabilities-"));
  world.parts = { directories: new DirectoryKeeper(systemFiles, directory) };
});

afterEach(async () => {
  await world.stop();
  rmSync(directory, { recursive: true });
});

/** Attaches a disk, with something done during its add. */
async function attach(
  within: (device: Device, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  world.recorder.within = async (call, device, signal) => {
    if (call === "add") await within(device, signal);
  };
  await world.start();
  await world.toolstack().create(disk);
  const guest = await world.guest(DISK);
  await guest.connected(2_000);
}

describe("scripts", () => {
  test("what was wrong with the nodes is looked at again, what was right is not", async () => {
    const script = join(directory, "vif");
    writeFileSync(script, "#!/bin/sh\n", { mode: 0o755 });
    const policy = { directories: [directory], trustedUids: [0, process.getuid!()] };
    const limits = DEFAULT_LIMITS;
    world.parts = { ...world.parts, scripts: { policy, limits, path: "/bin", environment: {} } };
    const seen: unknown[] = [];
    const check = (device: Device) =>
      device.scripts.check("network", script)
        .then(() => "right", (error: Error) => error.message);
    await attach(async (device) => {
      for (const type of ["", "vif", "other"]) {
        await device.nodes.write({ type });
        seen.push(await check(device));
      }
    });
    expect(seen).toEqual(['node type is ""; expected vif or vif_ioemu', "right", "right"]);
  });
});

describe("the frontend", () => {
  test("its nodes are read by name, and nothing else is; a server is for whom the manifest has one", async () => {
    const seen: Record<string, unknown> = {};
    const names = ["virtual-device", "none", "../51713/state", "/local", "", "@x", "a//b"];
    await attach(async (device, signal) => {
      for (const name of names) {
        seen[name] = await device.frontend.read(name).catch((error: Error) => error.message);
      }
      seen["server"] = await device.server.start({}, signal).catch((error: Error) => error.message);
    });
    expect(seen["virtual-device"]).toBe("51712");
    expect(seen["none"]).toBeUndefined();
    for (const name of names.slice(2)) expect(seen[name]).toMatch(/^invalid node name /);
    expect(seen["server"]).toBe("plugin recorder has no server in its manifest");
  });
});

describe("what becomes an argument of a network script's programs", () => {
  let script: string;

  beforeEach(() => {
    script = join(directory, "vif");
    writeFileSync(script, `#!/bin/sh\necho ran $1 >> ${directory}/ran\n`, { mode: 0o755 });
    const policy = { directories: [directory], trustedUids: [0, process.getuid!()] };
    world.parts = {
      ...world.parts,
      scripts: { policy, limits: DEFAULT_LIMITS, path: "/bin", environment: {} },
    };
  });

  test("is checked before it adds, and nothing is run", async () => {
    const seen: Record<string, string> = {};
    await attach(async (device) => {
      const { signal } = new AbortController();
      const add = () =>
        device.scripts.run("network", script, "add", signal)
          .then(() => "ran", (error: Error) => error.message);
      await device.nodes.write({ type: "vif" });
      for (
        const [node, value] of [
          ...["eth+", "+", "-x", "!eth0", "@a", "a b", "x".repeat(16), "a\u0001b"]
            .map((value) => ["vifname", value] as const),
          ...["br+", "-br", "a b", "a\nb", "!br"].map((value) => ["bridge", value] as const),
          ...["-eth0", "eth+", "eth0:a b"].map((value) => ["gatewaydev", value] as const),
        ]
      ) {
        await device.nodes.write({ [node]: value });
        seen[`${node} ${value}`] = await device.scripts.check("network", script)
          .then(() => "right", (error: Error) => error.message);
        expect(await add()).toBe(seen[`${node} ${value}`]!);
        await device.nodes.write({ [node]: "" });
      }
    });
    for (const [given, said] of Object.entries(seen)) {
      const [node] = given.split(" ");
      expect([given, said]).toEqual([
        given,
        expect.stringMatching(new RegExp(`^node ${node} is .*; expected `)),
      ]);
    }
    expect(Object.keys(seen)).toHaveLength(16);
    expect(existsSync(join(directory, "ran"))).toBeFalse();
  });

  test("is no reason not to undo: what somebody else has set up, say", async () => {
    const { signal } = new AbortController();
    const names = { vifname: "lan0", bridge: "ovsbr0.10:20", gatewaydev: "eth0:1" };
    await attach(async (device) => {
      await device.nodes.write({ type: "vif", ...names });
      await device.scripts.run("network", script, "add", signal);
      await device.nodes.write({ vifname: "eth+" });
    });
    world.recorder.within = async (_, device) => {
      await device.scripts.run("network", script, "remove", signal);
    };
    await world.toolstack().remove(disk);
    await world.gone(DISK);
    expect(readFileSync(join(directory, "ran"), "utf8")).toBe("ran online\nran offline\n");
  });
});

describe("what a plugin asks for has bounds", () => {
  const told = (work: Promise<unknown>) => work.then(String, (error: Error) => error.message);

  test("texts are those of regular files that are not large, and nothing is waited for", async () => {
    const place = (name: string) => join(directory, name);
    execFileSync("mkfifo", [place("fifo")]);
    writeFileSync(place("long"), "x".repeat(64 * 1024 + 1));
    writeFileSync(place("fits"), "x".repeat(64 * 1024));
    symlinkSync("/dev/zero", place("link"));
    const before = process.memoryUsage().rss;
    const seen: Record<string, string> = {};
    const taken: unknown[] = [];
    await attach(async ({ system }) => {
      const paths = ["/dev/zero", "/dev/tty", directory];
      const names = ["fifo", "long", "link"];
      for (const path of [...paths, ...names.map(place)]) {
        seen[path] = await told(system.readText(path));
      }
      taken.push((await system.readText(place("fits")))?.length);
      taken.push(await system.readText(place("none")));
      taken.push((await system.readText("/proc/self/status"))?.slice(0, 5));
    });
    expect(taken).toEqual([64 * 1024, undefined, "Name:"]);
    expect(seen).toEqual({
      "/dev/zero": "EINVAL: /dev/zero is a character; expected a regular file",
      "/dev/tty": "EINVAL: /dev/tty is a character; expected a regular file",
      [directory]: `EINVAL: ${directory} is a directory; expected a regular file`,
      [place("fifo")]: `EINVAL: ${place("fifo")} is something else; expected a regular file`,
      [place("link")]: `EINVAL: ${place("link")} is a character; expected a regular file`,
      [place("long")]: `EFBIG: more than 65536 bytes (${place("long")})`,
    });
    expect(process.memoryUsage().rss - before).toBeLessThan(100e6);
  });

  test("a directory with too many names is an error", async () => {
    const many = join(directory, "many");
    mkdirSync(many);
    for (let at = 0; at <= 16 * 1024; at++) writeFileSync(join(many, `${at}`), "");
    let error = "";
    await attach(async ({ system }) => {
      error = await told(system.list(many));
      unlinkSync(join(many, "0"));
      expect(await system.list(many)).toHaveLength(16 * 1024);
    });
    expect(error).toBe(`EFBIG: more than 16384 names in ${many}`);
  });

  test.each(["ENOENT", "ENOTDIR", "ENODEV", "ENXIO", "ESRCH"])(
    "a device that goes while its file in /sys is read (%s) is one that is not there",
    async (code) => {
      const gone = () => Promise.reject(Object.assign(new Error(code), { code }));
      const files = { ...systemFiles, readText: gone, list: gone };
      const call = { environment: {}, activity: new Activity(systemClock), lockOwner: "" };
      const system = deviceSystem({ ...world.parts, files } as never, call);
      expect(await system.readText("/sys/block/loop0/loop/backing_file")).toBeUndefined();
      expect(await system.list("/sys/block/loop0")).toEqual([]);
      // Of others these three mean something else.
      const isGone = code === "ENOENT" || code === "ENOTDIR";
      expect(await told(system.readText("/dev/x"))).toBe(isGone ? "undefined" : code);
    },
  );

  test("a plugin's locks are its own", async () => {
    const parts = { clock: systemClock, exclusive: new Exclusive(), files: systemFiles };
    const call = { environment: {}, activity: new Activity(systemClock) };
    const of = (lockOwner: string) =>
      deviceSystem({ ...world.parts, ...parts } as never, { ...call, lockOwner });
    const { signal } = new AbortController();
    const release = Promise.withResolvers<void>();
    const order: string[] = [];
    const held = of("hostile").exclusively("vbd claims", signal, () => release.promise);
    await of("").exclusively("vbd claims", signal, async () => void order.push("built-in"));
    const second = of("hostile").exclusively(
      "vbd claims",
      signal,
      async () => void order.push("its own"),
    );
    await Promise.resolve();
    expect(order).toEqual(["built-in"]);
    release.resolve();
    await Promise.all([held, second]);
    expect(order).toEqual(["built-in", "its own"]);
  });

  test("an undo record has room for what is needed, and no more", async () => {
    let error = "";
    await attach(async (device) => {
      const half = "x".repeat(12 * 1024);
      await device.recordUndo({ half });
      error = await told(device.recordUndo({ other: half }));
      await device.recordUndo({ ...device.undo, small: 1 });
    });
    expect(error).toMatch(/^an undo record of \d+ bytes; expected at most 24576$/);
    expect(Object.keys(world.journal.get("vbd/7/51712")?.undo ?? {})).toEqual(["half", "small"]);
  });

  test("a line of log is cut", async () => {
    await attach(async ({ log }) => log.info(`begin ${"x".repeat(1e6)}`));
    const line = world.log.find((text) => text.includes("begin xxx"))!;
    expect(line.length).toBeLessThan(2_200);
  });

  test("a program that a plugin does not wait for ends with the call", async () => {
    const mark = `left-${crypto.randomUUID()}`;
    await attach(async ({ system }, signal) => {
      void system.run(
        ["/bin/sh", "-c", `export LEFT=${mark}; setsid sleep 1000 & sleep 1000`],
        signal,
      );
      await until(() => sleepers(mark).length === 3, () => `${sleepers(mark)}`);
    });
    await until(() => sleepers(mark).length === 0, () => `${sleepers(mark)}`);
  });

  test("a program that is stopped leaves nothing, in whatever session it is by now", async () => {
    const abort = new AbortController();
    const mark = `left-${crypto.randomUUID()}`;
    let error = "";
    await attach(async ({ system }) => {
      const script = `export LEFT=${mark}; ` +
        "setsid sh -c 'setsid sleep 1000 & exec sleep 1000' & sleep 1000";
      const running = told(system.run(["/bin/sh", "-c", script], abort.signal));
      await until(() => sleepers(mark).length === 4, () => `${sleepers(mark)}`);
      abort.abort(new Error("no longer wanted"));
      error = await running;
      expect(sleepers(mark)).toEqual([]);
    });
    expect(error).toMatch(/was stopped: no longer wanted$/);
  });

  test("a program that is stopped while it is being started is stopped, too", async () => {
    const errors: string[] = [];
    await attach(async ({ system }) => {
      // Whichever step it is at.
      for (let steps = 0; steps < 12; steps++) {
        const abort = new AbortController();
        const running = told(system.run(["/bin/sleep", "1000"], abort.signal));
        for (let step = 0; step < steps; step++) await null;
        abort.abort(new Error("no longer wanted"));
        errors.push(await running);
      }
    });
    expect(errors).toHaveLength(12);
    for (const error of errors) expect(error).toMatch(/no longer wanted$/);
  });
});

/** Processes of a test: those that bear its mark in the environment of who started them. */
function sleepers(mark: string): number[] {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      return words.includes(mark) || environment.includes(mark);
    } catch {
      return false;
    }
  });
}

describe("config", () => {
  test("has all nodes, and says what is wrong with them", async () => {
    const seen: unknown[] = [];
    await attach(async (device) => {
      const config = await device.config();
      seen.push(config.text("params"), config.oneOf("mode", ["r", "w"]));
      seen.push(config.integer("removable", { min: 0, max: 1 }));
      seen.push(config.integer("none", { min: 0, max: 1, otherwise: 7 }), config.text("no", "x"));
      for (
        const attempt of [
          () => config.text("none"),
          () => config.integer("params", { min: 0, max: 9 }),
          () => config.oneOf("mode", ["x", "y"]),
        ]
      ) {
        try {
          attempt();
        } catch (error) {
          seen.push((error as Error).message);
        }
      }
      expect(Object.keys(config.nodes)).not.toContain("xdevd-attach");
    });
    expect(seen).toEqual([
      "/image",
      "w",
      0,
      7,
      "x",
      "node none is missing or empty; expected a text without control characters",
      'node params is "/image"; expected a whole number, 0 to 9',
      'node mode is "w"; expected x or y',
    ]);
  });

  test("is as it was, when the directory is gone", async () => {
    let params: unknown;
    await attach(async () => {});
    world.recorder.within = async (_, device) => {
      params = (await device.config()).nodes["params"];
    };
    await world.dom0.remove(BACKEND);
    await until(() => params !== undefined, () => world.log.join(""));
    expect(params).toBe("/image");
  });
});

describe("nodes", () => {
  test("that something has changed since the device was ready are read as they are", async () => {
    const seen: unknown[] = [];
    world.recorder.within = async (call, device) => {
      if (call !== "add") return;
      seen.push(await device.nodes.read("node"));
      await world.dom0.write(`${BACKEND}/node`, "written by a script");
      // Whatever it is that ran the script.
      await device.system.exists("/");
      seen.push(await device.nodes.read("node"));
    };
    await world.start();
    for (let round = 0; round < 3; round++) {
      await world.toolstack().create(disk);
      await (await world.guest(DISK)).connected(2_000);
      await world.toolstack().remove(disk);
      await until(async () => !await world.dom0.exists(BACKEND), () => world.log.join(""));
    }
    const once = [undefined, "written by a script"];
    expect(seen).toEqual([...once, ...once, ...once]);
  });

  test("that an add has read are what is known when the directory is deleted under it", async () => {
    let params: unknown = null;
    world.recorder.within = async (call, device, signal) => {
      if (call === "remove") params = device.copy["params"];
      if (call !== "add") return;
      await device.nodes.read("params");
      await device.recordUndo({ begun: true });
      await world.dom0.remove(BACKEND);
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
      throw new Error("stopped");
    };
    await world.start();
    await world.toolstack().create(disk);
    await until(() => params !== null, () => world.log.join(""));
    expect(params).toBe("/image");
  });
});

describe("the hotplug directory", () => {
  test("is the plugin's own, and gone with the device", async () => {
    await attach((device) => device.hotplug.write({ "deep/er": "1", version: "2" }));
    expect(await world.dom0.readText(`${HOTPLUG}/deep/er`)).toBe("1");
    await world.toolstack().remove(disk);
    await until(
      async () => !await world.dom0.exists("/local/domain/1/libxl/hotplug"),
      () => "it is still there",
    );
  });

  test("is elsewhere where libxl is not the domain's own", async () => {
    const start = world.startDaemon.bind(world);
    world.startDaemon = async () => {
      await world.dom0.remove("/local/domain/1/libxl");
      await start();
    };
    await attach((device) => device.hotplug.write({ version: "2" }));
    expect(await world.dom0.readText("/local/domain/1/data/xdevd/hotplug/vbd/7/51712/version"))
      .toBe("2");
  });
});

describe("holders", () => {
  test("are the other devices of which the record has a value, and how far they are", async () => {
    const other = { ...DISK, devid: 51728 };
    const seen: unknown[] = [];
    let removing = false;
    let removal: Promise<unknown> = Promise.resolve();
    world.recorder.within = async (call, device) => {
      if (device.id.devid === DISK.devid) {
        if (call === "add") await device.recordUndo({ "storage 8:1": "all", mine: 1 });
        else removing = true;
        while (call === "remove" && seen.length < 4) await Bun.sleep(1);
        return;
      }
      if (call === "remove") return;
      const ask = () => device.holders("storage 8:1", "all");
      seen.push(ask(), device.heldValues("storage 8:1"));
      seen.push([device.holders("storage 8:1", "all", "other guests"), device.heldValues("other")]);
      removal = world.toolstack().remove(disk);
      await until(() => removing, () => world.log.join(""));
      seen.push(ask().map(({ stage }) => stage));
    };
    await world.start();
    await world.toolstack().create(disk);
    await (await world.guest(DISK)).connected(2_000);
    await until(() => world.log.join("").includes("→ connected"), () => world.log.join(""));
    await world.toolstack().create(diskNumber(other.devid));
    await until(() => seen.length === 4, () => world.log.join(""));
    await removal;
    const undo = { "storage 8:1": "all", mine: 1 };
    expect(seen).toEqual([
      [{ kind: "vbd", frontendDomid: 7, devid: 51712, ending: false, stage: "connected", undo }],
      ["all"],
      [[], []],
      ["removing"],
    ]);
  });
});

describe("directories", () => {
  test("one for the call, one for the device's life", async () => {
    const paths: string[] = [];
    await attach(async ({ directories }) => {
      paths.push(await directories.state(), await directories.temporary());
      expect(await directories.temporary()).toBe(paths[1]!);
      for (const path of paths) writeFileSync(join(path, "file"), "");
      expect(statSync(paths[0]!).mode & 0o777).toBe(0o700);
    });
    await until(() => !existsSync(paths[1]!), () => "the temporary one is still there");
    expect(existsSync(paths[0]!)).toBeTrue();
    await world.toolstack().remove(disk);
    expect(existsSync(paths[0]!)).toBeFalse();
  });
});

describe("children", () => {
  // Others may run the same tests beside us.
  const seconds = `1000.${process.pid}`;
  const marked = async () => {
    const found: number[] = [];
    for (const [pid, value] of await systemProcessTable.withVariable(CHILD_VARIABLE)) {
      const [, argument] = await systemProcessTable.commandLineOf(pid);
      if (value.startsWith("vbd/7/51712/") && argument === seconds) found.push(pid);
    }
    return found;
  };

  /** In the middle of its exec a process shows neither environment nor arguments. */
  const started = async () => {
    await until(async () => (await marked()).length > 0, () => "no process");
    return await marked();
  };

  beforeEach(() => {
    world.parts = {
      ...world.parts,
      times: { ...DEFAULT_TIMES, initWait: 200, hold: 30, check: 60_000 },
    };
  });

  const sleeper = async ({ children }: Device) => {
    await children.start("sleeper", ["/bin/sleep", seconds]);
    // A second start is none.
    await children.start("sleeper", ["/bin/sleep", seconds]);
  };

  test("run as long as the device is set up", async () => {
    await attach(sleeper);
    expect(await started()).toHaveLength(1);
    await world.toolstack().remove(disk);
    expect(await marked()).toEqual([]);
  });

  test("one that ends makes the device fail, at once", async () => {
    await attach(sleeper);
    await until(() => world.log.join("").includes("→ connected"), () => world.log.join(""));
    process.kill((await started())[0]!, "SIGKILL");
    await world.reaches(`${BACKEND}/state`, "6");
    expect(await world.dom0.readText(`${BACKEND}/hotplug-error`))
      .toBe("its process sleeper has ended: it was killed by SIGKILL");
    expect(world.log.join("")).toContain("its process sleeper ended: it was killed by SIGKILL");
  });

  test("outlive the daemon; the next one knows them, and ends them with the device", async () => {
    await attach(sleeper);
    const before = await started();
    world.killDaemon();
    world.parts = {
      ...world.parts,
      children: new ChildKeeper(systemProcesses, systemProcessTable, systemClock),
    };
    await world.startDaemon();
    await until(
      () => world.daemon.devices.stateOf(DISK)?.phase === "connected",
      () => world.log.join(""),
    );
    expect(await marked()).toEqual(before);
    const running: boolean[] = [];
    world.recorder.within = async (_, { children }) => {
      running.push(await children.running("sleeper"));
    };
    await world.toolstack().remove(disk);
    expect(running).toEqual([true]);
    expect(await marked()).toEqual([]);
  });

  test("started by an add that then fails are ended", async () => {
    world.recorder.fails = true;
    world.recorder.within = async (call, device) => {
      if (call === "add") await sleeper(device);
    };
    await world.start();
    await world.toolstack().create(disk);
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    // That is told before it is undone.
    await until(async () => (await marked()).length === 0, () => world.log.join(""));
  });

  test.each([
    [
      "no path",
      ["sleep", "1"],
      /expected a program .* an absolute path, .*; this is \["sleep", …\]/,
    ],
    ["no program", ["/bin/none"], /process x: \/bin\/none cannot be started/],
  ])("%s", async (_, argv, reason) => {
    world.recorder.within = async (call, { children }) => {
      if (call === "add") await children.start("x", argv as [string]);
    };
    await world.start();
    await world.toolstack().create(disk);
    await world.reaches(`${BACKEND}/hotplug-status`, "error");
    expect(await world.dom0.readText(`${BACKEND}/hotplug-error`)).toMatch(reason);
  });
});
