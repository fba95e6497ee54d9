/** The toolstack's commands where things go wrong in odd ways, or at the wrong moment. */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { spawn, spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { SimulatedKernel } from "../../simulation/kernel.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import {
  DaemonProcess,
  type Finished,
  programCommand,
  runProgram,
} from "../support/daemon_process.ts";
import { makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

setDefaultTimeout(60_000);

const XVDA = 51712;
const RECORD = `/libxl/7/device/vbd/${XVDA}`;
const BACKEND = `/local/domain/1/backend/vbd/7/${XVDA}`;

if (
  requireReal("the toolstack's commands, oddly", { packages: [...xenstoredPackages], root: true })
) {
  describe("the toolstack's commands, oddly", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let connections: StoreClient[];
    let kernels: SimulatedKernel[];

    beforeAll(async () => {
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-odd-"));
      const config = '[plugins.vbd.settings]\nnative = "always"\n';
      fs.writeFileSync(join(directory, "config.toml"), config, { mode: 0o644 });
      await start();
    });

    async function start() {
      store = await startXenstored({ domains: [1, 7] });
      dom0 = await connectTo(store.socketPath(0));
      connections = [dom0];
      kernels = [];
      for (const domid of [0, 1, 7]) await makeDomain(dom0, domid);
      await dom0.write("/local/domain/7/name", "web");
      await dom0.write("/local/domain/1/name", "disks");
      for (const domid of [0, 1]) {
        const connection = await connectTo(store.socketPath(domid));
        connections.push(connection);
        kernels.push(new SimulatedKernel(connection, domid, systemClock));
        await kernels.at(-1)!.start();
      }
    }

    async function stop() {
      for (const kernel of kernels) await kernel.stop();
      for (const connection of connections) connection.close();
      await store.stop();
    }

    afterEach(async () => {
      expect(await dom0.listOptional("/libxl/7/device")).toEqual([]);
      // Every domain has this one.
      expect(await dom0.listOptional("/local/domain/7/device")).toEqual(["suspend"]);
      expect(spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout).not.toContain(directory);
    });

    afterAll(async () => {
      await stop();
      fs.rmSync(directory, { recursive: true });
    });

    const serving = () => [
      ...["--run-dir", join(directory, "run"), "--config", join(directory, "config.toml")],
    ];
    /** What lists, or grants, serves nothing. */
    const optionsOf = (command: string, domid: number) =>
      /list$|^request setup$/.test(command) ? options(domid).slice(0, 2) : options(domid);
    const options = (domid: number) => ["--store", store.socketPath(domid), ...serving()];

    function xdevd(command: string, ...args: string[]): Promise<Finished> {
      return runProgram([...command.split(" "), ...optionsOf(command, 0), ...args]);
    }

    function inDriverDomain(command: string, ...args: string[]): Promise<Finished> {
      return runProgram([...command.split(" "), ...optionsOf(command, 1), ...args]);
    }

    const done = { code: 0, stdout: "", stderr: "" };

    function image(): string {
      const path = join(directory, crypto.randomUUID());
      fs.writeFileSync(path, new Uint8Array(64 * 1024));
      return path;
    }

    test("several disks at once, where the command itself serves: they take turns", async () => {
      const vdevs = ["xvda", "xvdb", "xvdc"];
      const attached = await Promise.all(
        vdevs.map((vdev) => xdevd("block-attach", "web", `vdev=${vdev},target=${image()}`)),
      );
      expect(attached).toEqual(vdevs.map(() => done));
      const detached = await Promise.all(
        vdevs.map((vdev) => xdevd("block-detach", "web", vdev, "--force")),
      );
      expect(detached).toEqual(vdevs.map(() => done));
    });

    test("--wait created, where the command itself serves: it is set up all the same", async () => {
      const args = ["web", `vdev=xvda,target=${image()}`, "--wait", "created"];
      expect(await xdevd("block-attach", ...args)).toEqual(done);
      const status = `/local/domain/0/backend/vbd/7/${XVDA}/hotplug-status`;
      expect(await dom0.readOptional(status)).toBe("connected");
      expect(await xdevd("block-detach", "web", "xvda", "--force")).toEqual(done);
    });

    test("several of any number at once: each gets its own", async () => {
      const four = [0, 1, 2, 3];
      const attached = await Promise.all(
        four.map(() => xdevd("attach", "vif", "web", "backend=1", "--wait", "created")),
      );
      expect(attached).toEqual(four.map(() => done));
      const names = await dom0.listOptional("/libxl/7/device/vif");
      expect(names.sort()).toEqual(four.map(String));
      for (const devid of four) await dom0.remove(`/local/domain/1/backend/vif/7/${devid}`);
      for (const devid of four) {
        expect(await xdevd("network-detach", "web", String(devid))).toEqual(done);
      }
    });

    test("a guest that says it is another interface is not detached in its place", async () => {
      const [first, second] = ["00:16:3e:00:00:01", "00:16:3e:00:00:02"];
      for (const mac of [first, second]) {
        const args = ["vif", "web", "backend=1", `mac=${mac}`, "--wait", "created"];
        expect(await xdevd("attach", ...args)).toEqual(done);
      }
      const guest = await connectTo(store.socketPath(7));
      await guest.write("/local/domain/7/device/vif/0/mac", second);
      await guest.write("/local/domain/7/device/vif/0/event-channel", "7 9 9 9\n8");
      guest.close();
      const { stdout } = await xdevd("network-list", "web");
      expect(stdout.split("\n")[1]).toMatch(/^0 +1 +00:16:3e:00:00:01 +0 +1 +-1 +-1\/-1 /);
      expect(await xdevd("network-detach", "web", second, "--force", "--timeout", "1"))
        .toMatchObject({ code: 14 });
      expect(await dom0.listOptional("/libxl/7/device/vif")).toEqual(["0"]);
      await xdevd("network-detach", "web", "0", "--force", "--timeout", "1");
    });

    test("a record whose backend is not its own is not simply dropped", async () => {
      await dom0.write(`${RECORD}/backend`, "/local/domain/1/backend/vbd/8/51712");
      const { code, stderr } = await xdevd("block-detach", "web", "xvda");
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: "xdevd: web: xvda (vbd/7/51712): its record names a backend that cannot be its, " +
          '"/local/domain/1/backend/vbd/8/51712": --force removes the record alone [odd-record]\n',
      });
      expect(await dom0.exists(RECORD)).toBeTrue();
      expect(await xdevd("block-detach", "web", "xvda", "--force")).toEqual(done);
    });

    test("what is left where the driver domain is gone, or the guest's side, is removed", async () => {
      await dom0.write(`${RECORD}/backend`, "/local/domain/3/backend/vbd/7/51712");
      await dom0.write(`/local/domain/7/device/vbd/${XVDA}/state`, "1");
      expect(await xdevd("block-detach", "web", "xvda")).toEqual(done);
      await dom0.write(RECORD, "");
      expect(await xdevd("block-detach", "web", "xvda")).toEqual(done);
    });

    test("names that can be no device", async () => {
      for (const name of ["", "../../x", "a b", "FOO", "vbd/51712"]) {
        for (const command of ["detach", "request detach", "request wait"]) {
          const { code, stderr } = await xdevd(command, name, "web", "0");
          expect({ code, stderr }).toEqual({
            code: 2,
            stderr:
              `xdevd: unknown device ${JSON.stringify(name)}: expected one of disk, vif, vtpm, ` +
              "p9, pvcalls, vkb, usbctrl, virtio, or a kind: at most 15 of a-z 0-9 _ -, the first a " +
              "letter or digit\n",
          });
        }
      }
    });

    test("in a driver domain: what only domain 0 may do, and what cannot be seen", async () => {
      const attach = ["7", "vdev=xvda,target=/x", "--timeout", "2"];
      for (
        const [command, ...args] of [
          ["list"],
          ["list", "7"],
          ["block-list", "7"],
          ["block-list", "web"],
          ["block-attach", ...attach],
          ["block-detach", "7", "xvda"],
          ["request setup", "1"],
        ] as [string, ...string[]][]
      ) {
        const { code, stderr } = await inDriverDomain(command, ...args);
        expect({ command, code, stderr }).toEqual({
          ...{ command, code: 7 },
          stderr: expect.stringMatching(
            command.endsWith("list")
              ? /^xdevd: .* domain 0; `xdevd status` tells what is served here \[not-permitted\]\n$/
              : /^xdevd: .* domain 0 \[not-permitted\]\n$/,
          ),
        });
      }
      for (const guest of ["web", "99999", "007"]) {
        const { code, stderr } = await inDriverDomain(
          ...["block-attach", guest, "vdev=xvda,target=/x", "--serve"] as const,
        );
        expect({ code, stderr }).toEqual({
          code: 8,
          stderr:
            `xdevd: domain "${guest}": expected a domid; a driver domain, as this one, sees ` +
            "no names (--any-guest: whichever comes) [no-such-domain]\n",
        });
      }
      // The specification may be the guest's, with this domain's own name.
      const { code } = await inDriverDomain(
        ...["block-attach", "7", "vdev=xvda,backend=disks,target=/x", "--serve"] as const,
        ...["--timeout", "1"],
      );
      expect(code).toBe(12);
    });

    test("ways that exclude each other, or that nobody serves", async () => {
      const disk = `vdev=xvda,target=${image()}`;
      const both = await xdevd("block-attach", "web", disk, "--serve", "--via", "request");
      expect(both.code).toBe(2);
      const own = await xdevd("block-attach", "web", disk, "--via", "request");
      expect(own).toMatchObject({ code: 12 });
    });

    test("told to end while it serves: scripts are ended, and all is undone", async () => {
      const script = join(directory, "block-slow");
      const ran = join(directory, "ran");
      const text = `#!/bin/sh\necho $1 >> ${ran}\n[ "$1" = add ] && exec sleep 30\nexit 0\n`;
      fs.writeFileSync(script, text, { mode: 0o755 });
      const child = start1([
        ...["block-attach", ...options(0), "--scripts", directory],
        ...["web", `vdev=xvda,script=block-slow,target=/x`],
      ]);
      while (!fs.existsSync(ran)) await new Promise((resolve) => setTimeout(resolve, 10));
      child.kill("SIGTERM");
      expect(await child.ended).toEqual({ code: 1, stderr: "xdevd: SIGTERM: given up\n" });
      expect(fs.readFileSync(ran, "utf8")).toBe("add\nremove\n");
    });

    test("by a request: --wait holds, and what is told to end is taken back", async () => {
      const daemon = await DaemonProcess.start(options(1));
      try {
        expect(await xdevd("request setup", "1")).toEqual(done);
        await dom0.waitUntil("/hotplug/domain/1/daemon", (text) => !!text, { timeoutMs: 5_000 });
        const args = ["web", `vdev=xvda,backend=1,target=${image()}`, "--via", "auto"];
        const late = await xdevd("block-attach", ...args, "--wait", "connected", "--timeout", "2");
        expect(late).toMatchObject({ code: 14, stdout: "" });
        expect(late.stderr).toMatch(
          /^xdevd: web: xvda \(vbd\/7\/51712\): domain web \(7\) did not connect to it within/,
        );
        expect((await xdevd("request list", "--json")).stdout).toBe("[]\n");
        const child = start1(["block-attach", ...options(0), ...args, "--wait", "connected"]);
        await dom0.waitUntil(`${BACKEND}/hotplug-status`, (status) => status === "connected", {
          timeoutMs: 5_000,
        });
        child.kill("SIGINT");
        expect(await child.ended).toEqual({ code: 1, stderr: "xdevd: SIGINT: given up\n" });
        expect((await xdevd("request list", "--json")).stdout).toBe("[]\n");
        const json = await xdevd("block-attach", ...args, "--json");
        expect(JSON.parse(json.stdout)).toMatchObject({
          ...{ kind: "vbd", frontendKind: "vbd", backend: 1, guest: 7, devid: XVDA },
          ...{ backendPath: BACKEND, frontendPath: `/local/domain/7/device/vbd/${XVDA}` },
        });
        const gone = await xdevd("request detach", "disk", "web", "xvda", "--force", "--json");
        expect(JSON.parse(gone.stdout)).toMatchObject({
          ...{ frontendKind: "vbd", guest: 7, devid: XVDA, backendPath: BACKEND, state: "closed" },
        });
      } finally {
        await daemon.stop();
        await dom0.removeOptional("/hotplug");
      }
    });

    test("the store goes away: told at once, as what it is", async () => {
      const child = start1([
        ...["block-attach", ...options(0), "web", "vdev=xvda,backend=1,target=/x"],
      ]);
      await dom0.waitUntil(RECORD, (value) => value !== undefined, { timeoutMs: 5_000 });
      process.kill(store.pid, "SIGKILL");
      expect(await child.ended).toEqual({
        code: 3,
        stderr: expect.stringMatching(/^xdevd: .*: the store went away.*\n$/),
      });
      await stop();
      await start();
    });

    function start1(args: readonly string[]) {
      const [file, ...before] = programCommand();
      const child = spawn(file, [...before, ...args], { stdio: ["ignore", "ignore", "pipe"] });
      let stderr = "";
      child.stderr.on("data", (chunk) => stderr += chunk);
      const ended = new Promise<{ code: number | null; stderr: string }>((resolve) =>
        child.once("close", (code) => resolve({ code, stderr }))
      );
      return { kill: (signal: NodeJS.Signals) => child.kill(signal), ended };
    }
  });
}
