/**
 * The toolstack's commands as their users run them, on Debian's xenstored: the daemon of a driver
 * domain with real loop devices; the kernel's backend and the guest's driver are simulated.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { spawnSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../platform/clock.ts";
import { SimulatedFrontend } from "../../simulation/frontend.ts";
import { SimulatedKernel } from "../../simulation/kernel.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, type Finished, runProgram, until } from "../support/daemon_process.ts";
import { makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

/** Of one test: each has several commands, and some wait for what does not come. */
setDefaultTimeout(60_000);

const DRIVER = 1;
const GUEST = 7;
/** Has the disk that the guest is refused. */
const OTHER = 8;
const XVDA = 51712;

/** docs/cli.md. */
const CODES = {
  usage: 2,
  noStore: 3,
  badSpec: 6,
  noDomain: 8,
  exists: 9,
  noDevice: 10,
  noScript: 11,
  noAnswer: 12,
  setupFailed: 13,
  timeout: 14,
};

if (requireReal("the toolstack's commands", { packages: [...xenstoredPackages], root: true })) {
  describe("the toolstack's commands", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let daemon: DaemonProcess;
    const kernels: SimulatedKernel[] = [];
    const frontends: SimulatedFrontend[] = [];
    const connections: StoreClient[] = [];
    let before: string;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST, OTHER] });
      dom0 = await connectTo(store.socketPath(0));
      for (const domid of [0, DRIVER, GUEST, OTHER]) await makeDomain(dom0, domid);
      await dom0.write(`/local/domain/${GUEST}/name`, "web");
      await dom0.write(`/local/domain/${OTHER}/name`, "mail");
      await dom0.write(`/local/domain/${DRIVER}/name`, "disks");
      for (const domid of [GUEST, OTHER]) await dom0.write(`/libxl/${domid}/type`, "pv");
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-toolstack-"));
      fs.writeFileSync(
        join(directory, "config.toml"),
        '[plugins.vbd.settings]\nnative = "always"\n',
        { mode: 0o644 },
      );
      for (const domid of [0, DRIVER]) {
        const connection = await connectTo(store.socketPath(domid));
        connections.push(connection);
        const kernel = new SimulatedKernel(connection, domid, systemClock);
        await kernel.start();
        kernels.push(kernel);
      }
      daemon = await startDaemon(DRIVER);
      before = await everything();
    });

    afterEach(async () => {
      for (const frontend of frontends.splice(0)) await frontend.stop();
      // Nothing is left of whatever was tried, but for the empty directories of a driver domain.
      expect(await everything()).toBe(before);
      expect(spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout).not.toContain(directory);
    });

    afterAll(async () => {
      for (const kernel of kernels) await kernel.stop();
      await daemon.stop();
      for (const connection of connections) connection.close();
      dom0.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    const serving = () => [
      ...["--run-dir", join(directory, "run"), "--config", join(directory, "config.toml")],
    ];

    async function startDaemon(domid: number): Promise<DaemonProcess> {
      return await DaemonProcess.start(["--store", store.socketPath(domid), ...serving()]);
    }

    /** The toolstack in domain 0. */
    function xdevd(command: string, ...args: string[]): Promise<Finished> {
      const how = command.endsWith("list") ? [] : serving();
      return runProgram([command, "--store", store.socketPath(0), ...how, ...args]);
    }

    async function fails(code: number, line: RegExp, command: string, ...args: string[]) {
      const { code: actual, stdout, stderr } = await xdevd(command, ...args);
      expect({ actual, stderr }).toEqual({ actual: code, stderr: expect.stringMatching(line) });
      expect(stdout).toBe("");
      return stderr;
    }

    async function succeeds(command: string, ...args: string[]): Promise<string> {
      const { code, stdout, stderr } = await xdevd(command, ...args);
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      return stdout;
    }

    function image(): string {
      const path = join(directory, crypto.randomUUID());
      fs.writeFileSync(path, new Uint8Array(64 * 1024));
      return path;
    }

    /** The store without what is about the kernels and daemons themselves. */
    async function everything(): Promise<string> {
      const lines: string[] = [];
      const walk = async (path: string): Promise<void> => {
        const value = await dom0.readOptional(path === "" ? "/" : path);
        if (value === undefined) return;
        lines.push(`${path} = ${value}`);
        for (const name of await dom0.listOptional(path === "" ? "/" : path)) {
          await walk(`${path}/${name}`);
        }
      };
      for (const root of ["/local/domain", "/libxl"]) await walk(root);
      return lines.filter((line) =>
        !/\/(data|backend|error|libxl\/\d+\/device)\b.* = $|\/data\/xdevd\/status = /.test(line)
      ).sort().join("\n");
    }

    /** A guest's driver for a device, once there is one. */
    async function guest(kind: string, devid: number): Promise<SimulatedFrontend> {
      const connection = await connectTo(store.socketPath(GUEST));
      connections.push(connection);
      await dom0.waitUntil(
        `/local/domain/${GUEST}/device/${kind}/${devid}/backend`,
        (value) => value !== undefined,
        { timeoutMs: 5_000 },
      );
      const frontend = new SimulatedFrontend(connection, { domid: GUEST, kind, devid });
      frontends.push(frontend);
      await frontend.start();
      return frontend;
    }

    const disk = (path: string, more = "") => `vdev=xvda,backend=disks${more},target=${path}`;
    const backend = (domid: number) => `/local/domain/${domid}/backend/vbd/${GUEST}/${XVDA}`;

    test("a disk: attached until the guest uses it, listed, detached", async () => {
      const path = image();
      const attached = xdevd(
        ...["block-attach", "web", disk(path), "--wait", "connected", "--json"] as const,
      );
      await guest("vbd", XVDA);
      const { code, stdout, stderr } = await attached;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(JSON.parse(stdout)).toMatchObject({
        ...{ guest: GUEST, guestName: "web", name: "xvda", kind: "vbd", vdev: "xvda", devid: XVDA },
        ...{ backend: DRIVER, backendName: "disks", target: path, state: "connected" },
        frontendKind: "vbd",
        backendPath: backend(DRIVER),
        frontendPath: `/local/domain/${GUEST}/device/vbd/${XVDA}`,
      });
      expect(await dom0.readText(`${backend(DRIVER)}/params`)).toBe(path);
      const rows = (await succeeds("block-list", "web")).trimEnd().split("\n");
      expect(rows[1]).toMatch(new RegExp(`^51712 1   7      4 .*${backend(DRIVER)}`));
      const [listed] = JSON.parse(await succeeds("list", "--json"));
      expect(listed).toMatchObject({ devid: XVDA, frontendState: 4, hotplugStatus: "connected" });
      await succeeds("block-detach", "7", "xvda");
    });

    test("whoever asks for a vdev that is taken is told, and the first one stays", async () => {
      await succeeds("block-attach", "web", disk(image()));
      await fails(
        CODES.exists,
        /^xdevd: web: xvda \(vbd\/7\/51712\): the guest has it already/,
        "block-attach",
        "7",
        disk(image()),
      );
      await guest("vbd", XVDA);
      await succeeds("block-detach", "web", "51712");
    });

    test("what the driver domain cannot set up is undone, and its reason told", async () => {
      const missing = join(directory, "missing");
      await fails(
        CODES.setupFailed,
        /^xdevd: web: xvda .*cannot set it up .*missing.* does not exist/,
        ...["block-attach", "web", disk(missing)] as const,
      );
    });

    /** Far below what it waits for otherwise; the driver domain keeps a backend open for 60 s. */
    const PROMPT_MS = 20_000;

    async function isRefused(...args: string[]): Promise<void> {
      const began = performance.now();
      const stderr = await fails(
        CODES.setupFailed,
        /^xdevd: web: xvda .*cannot set it up \(hotplug-status busy\): .*cannot be shared/m,
        ...["block-attach", "web", ...args, "--timeout", "50"] as const,
      );
      expect(stderr).toContain(`vbd/${OTHER}/${XVDA}`);
      expect(performance.now() - began).toBeLessThan(PROMPT_MS);
      expect(await dom0.exists(`/local/domain/${GUEST}/device/vbd/${XVDA}`)).toBeFalse();
      expect(await dom0.exists(`/libxl/${GUEST}/device/vbd/${XVDA}`)).toBeFalse();
    }

    test.each([[[]], [["--wait", "connected"]]])(
      "a disk that another guest has is refused at once, with the reason (%j)",
      async (wait) => {
        const path = image();
        await succeeds("block-attach", "mail", disk(path));
        await isRefused(disk(path), ...wait);
        expect(await dom0.exists(backend(DRIVER))).toBeFalse();
        await succeeds("block-detach", "mail", "xvda", "--force");
        // What it was refused for is gone, and so is the refusal.
        await succeeds("block-attach", "web", disk(path));
        await succeeds("block-detach", "web", "xvda", "--force");
      },
    );

    test("so it is where domain 0 is the backend, or a driver domain serves one device", async () => {
      const path = image();
      await succeeds("block-attach", "mail", `vdev=xvda,target=${path}`);
      await isRefused(`vdev=xvda,target=${path}`);
      expect(await dom0.exists(backend(0))).toBeFalse();
      await succeeds("block-detach", "mail", "xvda", "--force");

      await succeeds("block-attach", "mail", disk(path));
      await daemon.stop();
      const began = performance.now();
      const serve = runProgram([
        ...["block-attach", String(GUEST), `vdev=xvda,target=${path}`, "--serve"],
        ...["--timeout", "50", "--store", store.socketPath(DRIVER), ...serving()],
      ]);
      await isRefused(disk(path));
      const { code, stdout, stderr } = await serve;
      expect({ code, stdout, stderr }).toEqual({
        code: CODES.setupFailed,
        stdout: "",
        stderr: expect.stringMatching(/cannot set it up \(hotplug-status busy\).*cannot be shared/),
      });
      expect(performance.now() - began).toBeLessThan(PROMPT_MS);
      daemon = await startDaemon(DRIVER);
      await succeeds("block-detach", "mail", "xvda", "--force");
    });

    test("a driver domain that does not answer", async () => {
      await daemon.stop();
      await fails(
        CODES.noAnswer,
        /web: xvda .*: nobody in domain .* set it up within 1 s: does its daemon run/,
        ...["block-attach", "web", disk(image()), "--timeout", "1"] as const,
      );
      daemon = await startDaemon(DRIVER);
    });

    test("a guest that does not connect, and one that does not let go", async () => {
      await fails(
        CODES.timeout,
        /web: xvda .*: domain web \(7\) did not connect to it within 2 s/,
        ...["block-attach", "web", disk(image()), "--wait", "connected", "--timeout", "2"] as const,
      );
      await succeeds("block-attach", "web", disk(image()));
      const connection = await connectTo(store.socketPath(GUEST));
      connections.push(connection);
      const stubborn = new SimulatedFrontend(
        connection,
        { domid: GUEST, kind: "vbd", devid: XVDA },
        { neverCloses: true },
      );
      frontends.push(stubborn);
      await stubborn.start();
      await stubborn.connected(5_000);
      await fails(
        CODES.timeout,
        /web: xvda .*: domain web \(7\) did not let go of it within 1 s .*--force/,
        ...["block-detach", "web", "xvda", "--timeout", "1"] as const,
      );
      await succeeds("block-detach", "web", "xvda", "--force");
    });

    test("what cannot be: domains, devices, specifications, scripts, Xen", async () => {
      await fails(CODES.noDomain, /no domain "wed"/, "block-attach", "wed", disk("/x"));
      await fails(CODES.noDomain, /no domain 99/, "block-attach", "99", disk("/x"));
      await fails(CODES.noDomain, /no domain "x"/, "block-attach", "7", "vdev=xvda,backend=x,/y");
      await fails(
        CODES.noDevice,
        /domain web \(7\) has no vbd device xvdb \(there are: none\)/,
        "block-detach",
        "7",
        "xvdb",
      );
      await fails(CODES.usage, /virtual disk identifier/, "block-detach", "7", "floppy");
      const said = await fails(
        CODES.badSpec,
        /unknown value for format/,
        "block-attach",
        "7",
        "/x,format=rar,xvda",
      );
      expect(said.split("\n")[1]).toBe("  /x,format=rar,xvda");
      expect(said.split("\n")[2]).toMatch(/^ +\^~/);
      await fails(
        CODES.noScript,
        /script ".*\/block-none" does not exist/,
        ...["block-attach", "7", "vdev=xvda,script=block-none,target=/x"] as const,
      );
      const { code, stderr } = await runProgram(["block-list", "7", "--store", `${directory}/no`]);
      expect(code).toBe(CODES.noStore);
      expect(stderr).toMatch(/no xenstore here/);
    });

    test("--dry-run prints what xl -N prints, and needs no Xen", async () => {
      const { code, stdout } = await runProgram(["block-attach", "7", "/x,raw,xvda,r", "-N"]);
      expect(code).toBe(0);
      expect(stdout).toStartWith('disk: {\n    "pdev_path": "/x",\n    "vdev": "xvda"');
    });

    test("domain 0 as its own backend: no daemon is needed", async () => {
      const path = image();
      await succeeds("block-attach", "web", `vdev=xvda,target=${path}`);
      expect(await dom0.readText(`${backend(0)}/hotplug-status`)).toBe("connected");
      expect(spawnSync("losetup", ["-a"], { encoding: "utf8" }).stdout).toContain(path);
      await guest("vbd", XVDA);
      await succeeds("block-detach", "web", "xvda");
      await fails(
        CODES.setupFailed,
        /does not exist/,
        ...["block-attach", "web", `vdev=xvda,script=block,target=${path}.not`] as const,
      );
    });

    test("--serve in a driver domain: for what the toolstack makes, adopted later", async () => {
      await daemon.stop();
      const path = image();
      const served = runProgram([
        ...["block-attach", String(GUEST), `vdev=xvda,target=${path}`, "--serve"],
        ...["--store", store.socketPath(DRIVER), ...serving()],
      ]);
      await succeeds("block-attach", "web", disk(path), "--timeout", "5");
      expect(await served).toEqual({ code: 0, stdout: "", stderr: "" });
      daemon = await startDaemon(DRIVER);
      await until(
        async () => daemon.log.includes("vbd/7/51712): was set up before: adopted"),
        async () => daemon.log,
      );
      await guest("vbd", XVDA);
      await succeeds("block-detach", "web", "xvda");
    });

    test("by a request: the driver domain makes its backend itself", async () => {
      const path = image();
      const request = (verb: string, ...args: string[]) =>
        runProgram([
          ...["request", verb, "--store", store.socketPath(0)],
          ...(verb === "list" || verb === "setup" ? [] : serving()),
          ...args,
        ]);
      const refused = await request("attach", "disk", "web", disk(path));
      expect(refused.code).toBe(CODES.noAnswer);
      expect(refused.stderr).toMatch(
        /no daemon in domain disks \(1\) takes requests: .*request setup 1/,
      );
      expect(await request("setup", "disks")).toEqual({ code: 0, stdout: "", stderr: "" });
      await dom0.waitUntil("/hotplug/domain/1/daemon", (text) => !!text, { timeoutMs: 5_000 });
      const attached = request("attach", "disk", "web", disk(path), "--json");
      await guest("vbd", XVDA);
      const { code, stdout, stderr } = await attached;
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      expect(JSON.parse(stdout)).toMatchObject({
        ...{ requestState: "connected", backend: DRIVER, kind: "vbd", devid: XVDA },
      });
      const [listed] = JSON.parse((await request("list", "--json")).stdout);
      expect(listed).toMatchObject({
        requestState: "connected",
        wanted: true,
        hotplugStatus: "connected",
      });
      expect((await request("list")).stdout).toMatch(
        /^1 +web: xvda \(vbd\/7\/51712\) +yes +connected/m,
      );
      expect(await request("detach", "disk", "web", "xvda")).toEqual({
        code: 0,
        stdout: "",
        stderr: "",
      });
      // The usual commands find out by themselves.
      await succeeds("block-attach", "web", disk(path), "--via", "auto");
      expect(JSON.parse((await request("list", "--json")).stdout)).toHaveLength(1);
      await guest("vbd", XVDA);
      await succeeds("block-detach", "web", "xvda");
      const missing = await request("attach", "disk", "web", disk(join(directory, "missing")));
      expect(missing.code).toBe(CODES.setupFailed);
      expect(missing.stderr).toMatch(/there is no ".*missing" in this driver domain/);
      await succeeds("block-attach", "mail", disk(path));
      const began = performance.now();
      const busy = await request("attach", "disk", "web", disk(path), "--timeout", "50");
      expect(busy.code).toBe(CODES.setupFailed);
      expect(busy.stderr).toMatch(/^xdevd: web: xvda .*cannot be shared.*vbd\/8\/51712/);
      expect(performance.now() - began).toBeLessThan(PROMPT_MS);
      await succeeds("block-detach", "mail", "xvda", "--force");
      const none = await request("detach", "disk", "web", "xvda");
      expect(none.code).toBe(CODES.noDevice);
      // What setup has granted.
      await dom0.write("/local/domain/1/backend", "");
      await dom0.remove("/hotplug");
    });

    test("other kinds by the general commands", async () => {
      await succeeds(
        "attach",
        "vif",
        "web",
        "backend=1",
        "mac=00:16:3e:00:00:01",
        "--wait",
        "created",
      );
      expect(await succeeds("network-list", "web")).toContain("00:16:3e:00:00:01");
      await succeeds("attach", "vif", "web", "backend=1", "--wait", "created");
      expect(JSON.parse(await succeeds("list", "web", "--json"))).toHaveLength(2);
      await succeeds("network-detach", "web", "00:16:3e:00:00:01", "--force");
      await succeeds("detach", "vif", "web", "1", "--force");
      await fails(CODES.usage, /unknown device "frob"/, "attach", "frob", "web", "x=y");
    });
  });
}
