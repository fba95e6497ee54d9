/**
 * `xdevd doctor` in a driver domain that is made for it: a root with what the kernel and an
 * administrator would have put there, a store, a daemon. The same cases run on the embedded store and
 * on Debian's.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { makeDeadSocket } from "../support/dead_socket.ts";
import { DaemonProcess, runProgram, until } from "../support/daemon_process.ts";
import { HandMadeDevice } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

const DRIVER = 1;
const GUEST = 7;
const LINUX = "6.1.0-xen";

/** A look takes at most 10 s, and this machine may be busy. */
const PATIENCE_MS = 60_000;

/** A store with the domains 1 and 7. */
export interface StoreUnderTest {
  socketPath(domid: number): string;
  stop(): Promise<void>;
}

interface Finding {
  readonly check: string;
  readonly state: string;
  readonly message: string;
  readonly repair?: string;
}

/** Undoes what was planted. */
type Undo = () => void | Promise<void>;

/** What is planted, and the one line that tells of it. */
type Fault = readonly [
  fault: string,
  check: string,
  state: string,
  line: RegExp,
  plant: () => Undo | Promise<Undo>,
];

/** As few as can be, none of which has two faults of one look; the configuration's are alone. */
function batchesOf(faults: readonly Fault[]): Fault[][] {
  const batches: Fault[][] = [];
  for (const fault of faults) {
    const isAlone = (one: Fault) => one[1] === "configuration";
    const fitting = batches.find((batch) =>
      !isAlone(fault) && !batch.some((other) => isAlone(other) || other[1] === fault[1])
    );
    if (fitting === undefined) batches.push([fault]);
    else fitting.push(fault);
  }
  return batches;
}

/**
 * Registers the cases.
 * @param options `devices`: beside how many faults are looked for; `together`: several at a time
 */
export function doctorFinds(
  name: string,
  startStore: () => Promise<StoreUnderTest>,
  { devices: total = 20, together = false } = {},
): void {
  describe(`xdevd doctor on ${name}`, () => {
    let store: StoreUnderTest;
    let dom0: StoreClient;
    let driver: StoreClient;
    let daemon: DaemonProcess;
    let root: string;
    const devices: HandMadeDevice[] = [];
    let taken = 0;
    const at = (path: string) => join(root, path);

    function put(path: string, text = "", mode = 0o644): void {
      mkdirSync(dirname(at(path)), { recursive: true });
      writeFileSync(at(path), text);
      chmodSync(at(path), mode);
    }

    function startDaemon(): Promise<DaemonProcess> {
      return DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--run-dir", at("run/xdevd")],
        ...["--scripts", at("etc/xen/scripts")],
      ]);
    }

    function makeRoot(): void {
      root = mkdtempSync(join(tmpdir(), "xdevd-doctor-"));
      put("sys/hypervisor/type", "xen\n");
      put("sys/bus/xen-backend/drivers/vbd/bind");
      put("sys/bus/xen-backend/drivers/vif/bind");
      put("sys/block/loop0/size");
      put("sys/block/loop1/loop/backing_file", "/images/a\n");
      put("sys/class/net/xenbr0/bridge/bridge_id");
      put("proc/sys/kernel/osrelease", `${LINUX}\n`);
      put("proc/1/status", "Name:\tinit\nState:\tS (sleeping)\nSigPnd:\t0000000000000000\n");
      put("proc/1/cmdline", "/sbin/init\0");
      put(
        `lib/modules/${LINUX}/modules.dep`,
        "kernel/a/xen-netback.ko:\nkernel/b/xen-blkback.ko:\n",
      );
      for (const device of ["dev/xen/evtchn", "dev/xen/gntdev", "dev/loop-control"]) {
        mkdirSync(dirname(at(device)), { recursive: true });
        // What is no device, either, but is no file.
        expect(spawnSync("mkfifo", [at(device)]).status).toBe(0);
      }
      put("etc/xen/scripts/block", "#!/bin/sh\nexit 0\n", 0o755);
      put("etc/xen/scripts/vif-own", "#!/usr/bin/env sh\nexit 0\n", 0o755);
      put("etc/xen/scripts/block-common.sh", "true\n");
      for (const program of ["sh", "env", "xenstore-read", "xenstore-write", "losetup"]) {
        put(`usr/bin/${program}`, "", 0o755);
      }
      symlinkSync("/usr/bin", at("bin"));
      put("sbin/ip", "", 0o755);
      put("etc/xdevd/config.toml", '[plugins.vbd.settings]\nnative = "auto"\n');
      put("etc/conf.d/xdevd", 'XDEVD_OPTIONS="--log-level debug"\n');
      put("usr/libexec/xen-qemu-system-i386", "", 0o755);
      put("lib/systemd/systemd");
      put("lib/systemd/system/xdevd.service");
      mkdirSync(at("etc/systemd/system/multi-user.target.wants"), { recursive: true });
      symlinkSync(
        "/lib/systemd/system/xdevd.service",
        at("etc/systemd/system/multi-user.target.wants/xdevd.service"),
      );
    }

    beforeAll(async () => {
      makeRoot();
      store = await startStore();
      dom0 = await connectTo(store.socketPath(0));
      driver = await connectTo(store.socketPath(DRIVER));
      await createDomain0(dom0);
      await createDomainHome(dom0, { domid: DRIVER, name: "storage", driverDomain: true });
      await createDomainHome(dom0, { domid: GUEST, name: "web" });
      for (let devid = 0; devid < total; devid++) {
        const id = { backendDomid: DRIVER, kind: "vif", frontendDomid: GUEST, devid };
        const device = new HandMadeDevice(dom0, id);
        await device.create({ script: "vif-own", bridge: "xenbr0", handle: String(devid) });
        await device.write("hotplug-status", "connected");
        await device.write("state", "4");
        await dom0.write(`${device.frontend}/state`, "4");
        devices.push(device);
      }
      daemon = await startDaemon();
    }, PATIENCE_MS);

    afterAll(async () => {
      expect(await daemon.stop()).toBe(0);
      driver.close();
      dom0.close();
      await store.stop();
      rmSync(root, { recursive: true });
    });

    async function look(...args: string[]): Promise<{ code: number | null; findings: Finding[] }> {
      const run = await runProgram(
        ["doctor", "--json", "--root", root, "--store", store.socketPath(DRIVER), ...args],
        {},
        PATIENCE_MS,
      );
      expect(run.stderr).toMatch(run.code === 0 ? /^$/ : /^xdevd: \d+ ok, .* unknown \[.*\]\n$/);
      return { code: run.code, findings: JSON.parse(run.stdout).findings };
    }

    const wrong = (findings: readonly Finding[]) => findings.filter(({ state }) => state !== "ok");

    test("says nothing in a sound domain, and exits with 0", async () => {
      const { code, findings } = await look();
      expect(wrong(findings)).toEqual([]);
      expect(code).toBe(0);
      expect(findings.find(({ check }) => check === "devices")?.message)
        .toBe(`${total} devices, ${total} of them connected`);
      const lines = await runProgram(
        ["doctor", "--root", root, "--store", store.socketPath(DRIVER)],
        {},
        PATIENCE_MS,
      );
      expect(lines.stdout).toMatch(/^ok +scripts +2 scripts in \/etc\/xen\/scripts$/m);
      expect(lines.stdout).toMatch(/^\d+ ok, 0 warning, 0 failure, 0 unknown\n$/m);
    }, PATIENCE_MS);

    /** Moves a file or directory out of the way. */
    const without = (path: string): Undo => {
      const away = at(`away${taken++}`);
      renameSync(at(path), away);
      return () => renameSync(away, at(path));
    };

    const mode = (path: string, to: number, back: number): Undo => {
      chmodSync(at(path), to);
      return () => chmodSync(at(path), back);
    };

    const added = (path: string, text: string, bits = 0o644): Undo => {
      put(path, text, bits);
      return () => rmSync(at(path));
    };

    const replaced = (path: string, text: string): Undo => {
      const before = readFileSync(at(path));
      writeFileSync(at(path), text);
      return () => writeFileSync(at(path), before);
    };

    const nodes = async (values: Record<string, string>, device = devices[3]!): Promise<Undo> => {
      const before = await device.nodes();
      for (const [name, value] of Object.entries(values)) await device.write(name, value);
      return async () => {
        for (const name of Object.keys(values)) {
          const value = before[name];
          if (value === undefined) await dom0.remove(`${device.backend}/${name}`);
          else await device.write(name, value);
        }
      };
    };

    /** Uses up the domain's quota of nodes, but for so many of 40 parts. */
    const fill = async (but: number): Promise<Undo> => {
      const base = `/local/domain/${DRIVER}/data/filler`;
      await driver.write(base, "");
      try {
        for (let index = 0; index < 10_000; index++) {
          await driver.write(`${base}/${index % 40}/${index}`, "");
        }
      } catch {
        // It is full now.
      }
      for (let part = 0; part < but; part++) await driver.remove(`${base}/${part}`);
      return () => driver.remove(base);
    };

    const FAULTS: Fault[] = [
      [
        "the disk backend's module is not loaded",
        "kernel-disks",
        "warning",
        /^xen-blkback is not loaded: no disks .*modprobe xen-blkback/s,
        () => without("sys/bus/xen-backend/drivers/vbd"),
      ],
      [
        "the kernel has no such module",
        "kernel-interfaces",
        "failure",
        /^xen-netback is not loaded.*Linux 6\.1\.0-xen has no such module/s,
        async () => {
          const undo = [
            without("sys/bus/xen-backend/drivers/vif"),
            replaced(`lib/modules/${LINUX}/modules.dep`, "kernel/b/xen-blkback.ko:\n"),
          ];
          return async () => {
            for (const one of undo) await one();
          };
        },
      ],
      [
        "a device of Xen is missing",
        "xen-devices",
        "warning",
        /^\/dev\/xen\/gntdev does not exist.*modprobe xen-gntdev/s,
        () => without("dev/xen/gntdev"),
      ],
      [
        "no loop device is free",
        "loop-devices",
        "failure",
        /^all 2 loop devices are in use.*max_loop=2/,
        () => {
          const undo = [
            added("sys/block/loop0/loop/backing_file", "/images/b\n"),
            added("sys/module/loop/parameters/max_loop", "2\n"),
            without("dev/loop-control"),
          ];
          return () => undo.forEach((one) => one());
        },
      ],
      [
        "a loop device is left of a file that is gone",
        "loop-devices",
        "warning",
        /^\/dev\/loop1 carries a file that is deleted: \/images\/a.*losetup -d \/dev\/loop1/s,
        () => replaced("sys/block/loop1/loop/backing_file", "/images/a (deleted)\n"),
      ],
      [
        "the toolstack has not made it a driver domain",
        "rights",
        "warning",
        /device-model is not its own.*driver_domain=1/s,
        async () => {
          const path = `/local/domain/${DRIVER}/device-model`;
          await dom0.setPermissions(path, [{ domid: 0, access: "none" }]);
          return () => dom0.setPermissions(path, [{ domid: DRIVER, access: "none" }]);
        },
      ],
      [
        "a backend directory is another domain's",
        "rights",
        "failure",
        /vif\/7\/3 belongs to domain 0, not to this one.*xenstore-chmod/s,
        async () => {
          const { backend } = devices[3]!;
          const before = await dom0.getPermissions(backend);
          await dom0.setPermissions(backend, [
            { domid: 0, access: "none" },
            { domid: DRIVER, access: "both" },
          ]);
          return () => dom0.setPermissions(backend, before);
        },
      ],
      [
        "the store's quota is nearly used up",
        "quota",
        "warning",
        /^this domain can make [1-9]\d? more nodes/,
        () => fill(2),
      ],
      [
        "the store's quota is used up",
        "quota",
        "failure",
        /^this domain's quota of nodes in the store is used up/,
        () => fill(0),
      ],
      [
        "a script is writable by others",
        "scripts",
        "failure",
        /^script "\/etc\/xen\/scripts\/block" is writable by others.*chmod go-w/,
        () => mode("etc/xen/scripts/block", 0o777, 0o755),
      ],
      [
        "what scripts are made of is writable by others",
        "scripts",
        "failure",
        /block-common\.sh, which scripts may be made of, is writable by others/,
        () => mode("etc/xen/scripts/block-common.sh", 0o666, 0o644),
      ],
      [
        "a script is not executable",
        "scripts",
        "failure",
        /^script "vif-own" is not executable \(mode 0644\).*which vif7\.\d+ .* names/,
        () => mode("etc/xen/scripts/vif-own", 0o644, 0o755),
      ],
      [
        "a script that a device names is missing",
        "scripts",
        "failure",
        /^script "vif-mine" does not exist: .*which vif7\.3 .* names/,
        () => nodes({ script: "vif-mine" }),
      ],
      [
        "a script's interpreter is missing",
        "scripts",
        "warning",
        /^script "\/etc\/xen\/scripts\/block-iscsi" needs \/bin\/bash, which is not there/,
        () => added("etc/xen/scripts/block-iscsi", "#!/bin/bash\n", 0o755),
      ],
      [
        "a program that scripts call is missing",
        "programs",
        "failure",
        /^xenstore-write, which scripts call, is not in their PATH/,
        () => without("usr/bin/xenstore-write"),
      ],
      [
        "QEMU is missing, and configured",
        "servers",
        "failure",
        /^QEMU \(\/opt\/qemu\) is not there/,
        () => replaced("etc/xdevd/config.toml", '[plugins.qemu.settings]\nbinary = "/opt/qemu"\n'),
      ],
      [
        "a bridge that a device names is missing",
        "bridges",
        "failure",
        /^there is no bridge "xenbr0", which vif7\.\d+ .* names.*ip link add/s,
        () => without("sys/class/net/xenbr0"),
      ],
      [
        "the bridge is another interface",
        "bridges",
        "failure",
        /^bridge "xenbr0", .* is an interface and no bridge/,
        () => without("sys/class/net/xenbr0/bridge"),
      ],
      [
        "others may write to the run directory",
        "run-directory",
        "failure",
        /^\/run\/xdevd is writable by others \(mode 0777/,
        () => mode("run/xdevd", 0o777, 0o755),
      ],
      [
        "the configuration has a mistake",
        "configuration",
        "failure",
        /config\.toml: line 3: \[plugins\.vbd\] enable is unknown; expected enabled/,
        () => replaced("etc/xdevd/config.toml", "# mine\n[plugins.vbd]\nenable = true\n"),
      ],
      [
        "the service's options have a mistake",
        "configuration",
        "failure",
        /^\/etc\/default\/xdevd: line 2: the service does not start: unknown option '--log-levl'.*--log-level/,
        () => added("etc/default/xdevd", '# mine\nXDEVD_OPTIONS="--drain --log-levl debug"\n'),
      ],
      [
        "a plugin is writable by others",
        "plugins",
        "failure",
        /plugins\.d\/mine\.py is writable by others/,
        () => added("etc/xdevd/plugins.d/mine.py", "#!/bin/sh\n", 0o777),
      ],
      [
        "two plugins serve one kind",
        "plugins",
        "failure",
        /^kind vbd can be served by vbd \(built-in\) and mine/,
        () =>
          added(
            "etc/xdevd/plugins.d/mine",
            '#!/bin/sh\n# xdevd-plugin: {"name":"mine","version":"1","api":1,"kinds":["vbd"]}\n',
            0o755,
          ),
      ],
      [
        "a plugin's interpreter is missing",
        "plugins",
        "failure",
        /^plugin \/etc\/xdevd\/plugins\.d\/mine cannot be loaded: \/usr\/bin\/python3 is not there/,
        () =>
          added(
            "etc/xdevd/plugins.d/mine",
            '#!/usr/bin/python3\n# xdevd-plugin: {"name":"mine","version":"1","api":1,"kinds":["own"]}\n',
            0o755,
          ),
      ],
      [
        "nothing starts the daemon",
        "service",
        "warning",
        /^the service xdevd is there \(systemd\) and not enabled.*systemctl enable/s,
        () => without("etc/systemd/system/multi-user.target.wants/xdevd.service"),
      ],
      [
        "the service is masked",
        "service",
        "warning",
        /^the service xdevd is masked .*systemctl unmask xdevd/s,
        () => {
          symlinkSync("/dev/null", at("etc/systemd/system/xdevd.service"));
          return () => unlinkSync(at("etc/systemd/system/xdevd.service"));
        },
      ],
      [
        "only another service manager would start it",
        "service",
        "warning",
        /^the service xdevd is there \(systemd\) and not enabled/,
        () => {
          const wants = "etc/systemd/system/multi-user.target.wants/xdevd.service";
          const undo = [
            added("etc/init.d/xdevd", ""),
            added("etc/rc2.d/S01xdevd", ""),
            without(wants),
          ];
          return () => undo.forEach((one) => one());
        },
      ],
      [
        "the stock daemon's service is enabled",
        "service",
        "failure",
        /^the stock daemon's service xendriverdomain is enabled/,
        () => added("etc/rc3.d/S99xendriverdomain", ""),
      ],
      [
        "the stock daemon runs",
        "daemon",
        "failure",
        /^process 4711 is the stock daemon \(xl devd\)/,
        () => {
          put("proc/4711/cmdline", "/usr/sbin/xl\0devd\0-F\0");
          return () => rmSync(at("proc/4711"), { recursive: true });
        },
      ],
      [
        "another xdevd serves the same store",
        "daemon",
        "failure",
        /^process 4713 is another xdevd, with another run directory/,
        () => {
          const args = ["/usr/sbin/xdevd", "devd", "-F", "--store", store.socketPath(DRIVER)];
          put("proc/4713/cmdline", `${args.join("\0")}\0`);
          return () => rmSync(at("proc/4713"), { recursive: true });
        },
      ],
      [
        "a device cannot be undone",
        "devices",
        "failure",
        /^vif7\.3 \(vif\/7\/3\): stuck: it cannot be undone: losetup says no.*give-up/s,
        () =>
          nodes({
            "hotplug-status": "error",
            "hotplug-error": "losetup says no [removal-failed]",
          }),
      ],
      [
        "a device is not served",
        "devices",
        "failure",
        /^vif7\.3 \(vif\/7\/3\): it is not served \("error"\): no such volume\\x1b\[31m/,
        () => nodes({ "hotplug-status": "error", "hotplug-error": "no such volume\x1b[31m" }),
      ],
      [
        "a helper was left behind",
        "leftovers",
        "warning",
        /^process 4712 \(xdevd\) was killed and is left behind/,
        () => {
          put(
            "proc/4712/status",
            "Name:\txdevd\nState:\tD (disk sleep)\nSigPnd:\t0000000000000000\nShdPnd:\t0000000000000100\n",
          );
          return () => rmSync(at("proc/4712"), { recursive: true });
        },
      ],
    ];

    const batches = together ? batchesOf(FAULTS) : FAULTS.map((fault) => [fault]);
    test.each(
      batches.map((batch) => [batch.map(([fault]) => fault).join("; and "), batch] as const),
    )(
      "finds it when %s",
      async (_, batch) => {
        const undo: Undo[] = [];
        try {
          for (const [, , , , plant] of batch) undo.push(await plant());
          const { code, findings } = await look();
          // Of a broken configuration, what it would choose is not known.
          const found = wrong(findings).filter((finding) =>
            batch[0]![1] !== "configuration" || finding.state !== "unknown"
          );
          const told = (of: string) => found.filter(({ check }) => check === of);
          for (const [, check, state, line] of batch) {
            expect(told(check)).toEqual([
              { check, state, message: expect.any(String), repair: expect.any(String) },
            ]);
            expect(`${told(check)[0]!.message}\n${told(check)[0]!.repair}`).toMatch(line);
          }
          expect(found).toHaveLength(batch.length);
          expect(code).toBe(batch.some(([, , state]) => state === "failure") ? 1 : 16);
        } finally {
          for (const one of undo.reverse()) await one();
        }
      },
      PATIENCE_MS,
    );

    test("finds it when no daemon runs, and when the store is dead", async () => {
      expect(await daemon.stop()).toBe(0);
      try {
        const { code, findings } = await look();
        expect(wrong(findings)).toMatchObject([{ check: "daemon", state: "failure" }]);
        expect(code).toBe(1);
        const dead = at("dead.sock");
        await makeDeadSocket(dead);
        const without = await look("--store", dead);
        expect(without.code).toBe(1);
        expect(wrong(without.findings).map(({ check, state }) => `${state} ${check}`)).toEqual([
          "failure store",
          ...["rights", "quota", "bridges", "daemon", "devices"].map((check) => `unknown ${check}`),
        ]);
      } finally {
        daemon = await startDaemon();
      }
    }, PATIENCE_MS);

    test("in domain 0, tells what a driver domain lacks", async () => {
      const ask = async (...args: string[]) => {
        const run = await runProgram(
          ["doctor", "--json", "--store", store.socketPath(0), ...args],
          {},
          PATIENCE_MS,
        );
        return {
          ...run,
          findings: run.stdout === "" ? [] : JSON.parse(run.stdout).findings as Finding[],
        };
      };
      const said = `/local/domain/${DRIVER}/data/xdevd/status`;
      const isTold = async () => (await dom0.readOptional(said))?.includes('"ready":true') ?? false;
      await until(isTold, () => daemon.log, PATIENCE_MS);
      const sound = await ask("--domain", "storage");
      expect(wrong(sound.findings)).toEqual([]);
      expect(sound.code).toBe(0);
      const wordOf = (findings: readonly Finding[]) =>
        findings.find(({ check }) => check === "daemon")?.message;
      expect(wordOf(sound.findings))
        .toMatch(/^domain storage \(1\): xdevd \S+ serves it, by its own word of /);
      // Nobody writes there but this test, from here on.
      expect(await daemon.stop()).toBe(0);
      expect(wordOf((await ask()).findings)).toMatch(/: its daemon has ended, by its own word of /);
      const hostile = {
        version: "1\x1b[31m",
        ready: true,
        at: "2026-11-30T12:00:00.000Z",
        startedAt: "2026-11-30T12:00:00.000Z",
        states: {},
      };
      await driver.write(said, JSON.stringify({ ...hostile, failure: null }));
      expect(wordOf((await ask()).findings)).toMatch(
        /: xdevd 1\S*\[31m serves it.* 2026-11-30T12:00:00\.000Z$/,
      );
      const undo = await nodes({ "hotplug-status": "error", "hotplug-error": "no such volume" });
      const path = `/local/domain/${DRIVER}/libxl`;
      await dom0.setPermissions(path, [{ domid: 0, access: "none" }]);
      await driver.write(said, "{");
      const { code, findings } = await ask();
      expect(code).toBe(1);
      expect(wrong(findings).filter(({ message }) => message.startsWith("domain storage (1): ")))
        .toMatchObject([
          { check: "rights", state: "warning" },
          { check: "daemon", state: "unknown" },
          {
            check: "devices",
            state: "failure",
            message: expect.stringContaining("no such volume"),
          },
        ]);
      await dom0.setPermissions(path, [{ domid: DRIVER, access: "none" }]);
      await undo();
      expect((await ask("--domain", "absent")).code).toBe(8);
      daemon = await startDaemon();
    }, PATIENCE_MS);

    if (!together) {
      test("tells of a device that the kernel does not take up", async () => {
        const id = { backendDomid: DRIVER, kind: "vif", frontendDomid: GUEST, devid: 900 };
        const device = new HandMadeDevice(dom0, id);
        await device.create({ script: "vif-own", bridge: "xenbr0", handle: "900", type: "vif" });
        let found: Finding[] = [];
        await until(
          async () => (found = wrong((await look()).findings)).length > 0,
          () => daemon.log,
          PATIENCE_MS,
        );
        await device.nuke();
        expect(found).toMatchObject([{ check: "devices", state: "failure" }]);
        expect(found[0]!.message).toMatch(/^vif7\.900 .* did not reach state 2 .* module loaded/);
        expect(found[0]!.repair).toContain("`modprobe xen-netback` for network interfaces");
      }, 2 * PATIENCE_MS);
    }

    test("says nothing of what nobody here serves", async () => {
      const undo = [
        without("sys/bus/xen-backend/drivers/vbd"),
        replaced("etc/xdevd/config.toml", "[plugins.vbd]\nenabled = false\n"),
        without("usr/libexec/xen-qemu-system-i386"),
        without("dev/xen"),
        without("lib/systemd/systemd"),
      ];
      const { code, findings } = await look();
      for (const one of undo.reverse()) await one();
      expect(wrong(findings)).toEqual([]);
      expect(code).toBe(0);
    }, PATIENCE_MS);

    test(
      "without Xen and without a store it says what it cannot look at, and not that it is right",
      async () => {
        const empty = at("empty");
        mkdirSync(empty);
        const run = await runProgram(["doctor", "--json", "--root", empty], {}, PATIENCE_MS);
        const findings = JSON.parse(run.stdout).findings as Finding[];
        const unseen = findings.filter(({ state }) => state === "unknown").map(({ check }) =>
          check
        );
        expect(unseen).toEqual([
          ...["xen", "kernel-disks", "kernel-interfaces", "xen-devices", "loop-devices", "store"],
          ...["rights", "quota", "bridges", "service", "daemon", "devices", "leftovers"],
        ]);
        expect(existsSync(join(empty, "run"))).toBeFalse();
        expect(run.code).toBe(17);
      },
      PATIENCE_MS,
    );
  });
}
