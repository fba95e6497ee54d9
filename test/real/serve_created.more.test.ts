/**
 * `block-attach --serve` in a driver domain, as an initramfs calls it: before the toolstack has made the
 * device, before this domain may see anything, for a guest that nobody knew. On both stores.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { systemClock } from "../../platform/clock.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { SimulatedFrontend } from "../../simulation/frontend.ts";
import { SimulatedKernel } from "../../simulation/kernel.ts";
import { type Finished, programCommand, runProgram, until } from "../support/daemon_process.ts";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { startXenstored } from "./xenstored.ts";

setDefaultTimeout(60_000);

const DRIVER = 1;
const HOME = `/local/domain/${DRIVER}`;

interface Store {
  socketPath(domid: number): string;
  stop(): Promise<void>;
}

const stores: [name: string, start: () => Promise<Store>][] = [
  ["our store", () => startEmbeddedStore([DRIVER, 7, 8, 9])],
];
const needs = { packages: [...xenstoredPackages], root: true };
if (requireReal("--serve for what the toolstack creates, on the C store", needs)) {
  stores.push(["the C store", () => startXenstored({ domains: [DRIVER, 7, 8, 9] })]);
}

describe.each(stores)("on %s", (_, start) => {
  let directory: string;
  let store: Store;
  let dom0: StoreClient;
  let driver: StoreClient;
  let kernel: SimulatedKernel;

  beforeAll(() => directory = mkdtempSync(join(tmpdir(), "xdevd-serve-")));
  afterAll(() => rmSync(directory, { recursive: true }));

  beforeEach(async () => {
    store = await start();
    dom0 = await connectTo(store.socketPath(0));
    await createDomain0(dom0);
    await createDomainHome(dom0, { domid: DRIVER, name: "storage", driverDomain: true });
    for (const domid of [7, 8, 9]) await createDomainHome(dom0, { domid });
    driver = await connectTo(store.socketPath(DRIVER));
    kernel = new SimulatedKernel(driver, DRIVER, systemClock);
    await kernel.start();
    const scripts = join(directory, "scripts");
    mkdirSync(scripts, { recursive: true });
    const tool = [...programCommand(), "xenstore-write"].map((word) => `'${word}'`).join(" ");
    writeFileSync(
      join(scripts, "block"),
      `#!/bin/sh\n[ "$1" = add ] || exit 0\nXENSTORED_PATH=${store.socketPath(DRIVER)} ${tool} ` +
        '"$XENBUS_PATH/physical-device" 3f:0 "$XENBUS_PATH/hotplug-status" connected\n',
    );
    chmodSync(join(scripts, "block"), 0o755);
  });

  afterEach(async () => {
    await kernel.stop();
    driver.close();
    dom0.close();
    await store.stop();
    rmSync(join(directory, "run"), { recursive: true, force: true });
  });

  /** Serves, in the driver domain. */
  const serve = (...args: string[]): Promise<Finished> =>
    runProgram(
      [
        ...["block-attach", ...args, "--serve", "--json", "--store", store.socketPath(DRIVER)],
        ...["--run-dir", join(directory, "run"), "--scripts", join(directory, "scripts")],
      ],
      {},
      40_000,
    );

  /** What the toolstack does, once there is somebody who waits. */
  async function create(guest: number, vdev = "xvda"): Promise<void> {
    const image = join(directory, `image-${guest}-${vdev}`);
    writeFileSync(image, "");
    const { code, stderr } = await runProgram([
      ...["block-attach", String(guest), "--wait", "created", "--store", store.socketPath(0)],
      `vdev=${vdev},backend=storage,script=${directory}/scripts/block,target=${image}`,
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  }

  const status = (guest: number, devid = 51712) =>
    dom0.readOptional(`${HOME}/backend/vbd/${guest}/${devid}/hotplug-status`);

  test("a guest that nobody knew: the one that comes; no target is needed", async () => {
    const served = serve("--any-guest", "vdev=xvda");
    await create(9);
    const { code, stdout, stderr } = await served;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const device = {
      guest: 9,
      name: "xvda",
      backend: DRIVER,
      backendName: "storage",
      state: "ready",
    };
    expect(JSON.parse(stdout)).toMatchObject(device);
    expect(await status(9)).toBe("connected");
  });

  test("of several guests each line serves one, whichever is not served yet", async () => {
    for (const guest of [8, 7]) await create(guest);
    await create(9, "xvdb");
    const guests: number[] = [];
    for (let line = 0; line < 2; line++) {
      const { code, stdout, stderr } = await serve("--any-guest", "vdev=xvda");
      expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
      guests.push(JSON.parse(stdout).guest);
    }
    expect(guests).toEqual([7, 8]);
    expect(await status(9, 51728)).toBeUndefined();
    const third = await serve("--any-guest", "vdev=xvda", "--timeout", "1");
    expect(third.code).toBe(12);
    expect(third.stderr).toBe(
      "xdevd: xvda of any guest: the toolstack did not create it within 1 s [no-answer]\n",
    );
  });

  test("a guest by its domid, without a target; a second time changes nothing", async () => {
    const served = serve("7", "vdev=xvda,backend=storage");
    await create(7);
    expect(await served).toMatchObject({ code: 0, stderr: "" });
    expect(await serve("7", "vdev=xvda,backend=1")).toMatchObject({ code: 0, stderr: "" });
  });

  test("until the guest uses it, whose side it cannot see before", async () => {
    const served = serve("--any-guest", "vdev=xvda", "--wait", "connected");
    await create(8);
    const guest = await connectTo(store.socketPath(8));
    const frontend = new SimulatedFrontend(guest, { domid: 8, kind: "vbd", devid: 51712 });
    await frontend.start();
    const { code, stdout, stderr } = await served;
    await frontend.stop();
    guest.close();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ state: "connected", guest: 8 });
  });

  test("what it may not see yet, it waits for: its domid, its own directory", async () => {
    await dom0.setPermissions(`${HOME}/domid`, [{ domid: 0, access: "none" }]);
    await dom0.write(`${HOME}/backend/vbd`, "");
    for (const path of [`${HOME}/backend/vbd`, `${HOME}/backend`]) {
      await dom0.setPermissions(path, [{ domid: 0, access: "none" }]);
    }
    await expect(driver.readText("domid")).rejects.toThrow("EACCES");
    const served = serve("--any-guest", "vdev=xvda");
    const visible = [{ domid: 0, access: "none" }, { domid: DRIVER, access: "read" }] as const;
    await Bun.sleep(700);
    await dom0.setPermissions(`${HOME}/domid`, visible);
    await create(9);
    await Bun.sleep(300);
    for (const path of ["", "/vbd", "/vbd/9"].map((below) => `${HOME}/backend${below}`)) {
      await dom0.setPermissions(path, visible);
    }
    const { code, stdout, stderr } = await served;
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({ guest: 9 });
  });

  test("it does not wait for ever, and says what for", async () => {
    await dom0.setPermissions(`${HOME}/domid`, [{ domid: 0, access: "none" }]);
    const blind = await serve("7", "vdev=xvda", "--timeout", "1");
    expect(blind).toMatchObject({
      code: 12,
      stderr: "xdevd: the toolstack did not tell this domain its domid within 1 s [no-answer]\n",
    });
    expect(JSON.parse(blind.stdout).error.code).toBe("no-answer");
  });

  test.each(["its domid", "a device"])("told to end while it waits for %s", async (what) => {
    if (what === "its domid") {
      await dom0.setPermissions(`${HOME}/domid`, [{ domid: 0, access: "none" }]);
    }
    const [file, ...before] = programCommand();
    const child = Bun.spawn([
      ...[file, ...before, "block-attach", "--any-guest", "vdev=xvda", "--serve", "--json"],
      ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
    ], { stdout: "pipe", stderr: "ignore" });
    await Bun.sleep(1_000);
    child.kill("SIGTERM");
    const text = await new Response(child.stdout).text();
    expect(await child.exited).toBe(1);
    expect(JSON.parse(text).error.message).toBe("SIGTERM: given up");
  });

  test.each(
    [
      [["--any-guest", "frob=1"], 6, /unknown parameter/],
      [["--any-guest", "target=/x"], 6, /no vdev specified/],
      [["web", "vdev=xvda"], 8, /a driver domain, as this one, sees no names \(--any-guest/],
      [["7", "vdev=xvda,backend=net"], 2, /to be domain "net", and this is domain 1, "storage"/],
      [["7", "vdev=xvda,backend=2"], 2, /to be domain "2", and this is domain 1, "storage"/],
      [["--any-guest"], 2, /missing required argument 'spec'/],
      [["--any-guest", "vdev=xvda", "-N"], 2, /--any-guest: expected with --serve, and without/],
    ] as const,
  )("%p is refused", async (args, code, line) => {
    const refused = await serve(...args);
    expect(refused).toMatchObject({ code, stderr: expect.stringMatching(line) });
    expect(JSON.parse(refused.stdout).error.status).toBe(code);
  });

  test("in domain 0, and without --serve, a domain is to be named", async () => {
    for (
      const [options, line] of [
        [["--serve"], /--any-guest: this is domain 0, which makes the devices itself/],
        [[], /--any-guest: expected with --serve/],
      ] as const
    ) {
      const refused = await runProgram([
        ...["block-attach", "--any-guest", "vdev=xvda,target=/x", ...options],
        ...["--store", store.socketPath(0)],
      ]);
      expect(refused).toMatchObject({ code: 2, stderr: expect.stringMatching(line) });
    }
  });

  test.each(["initramfs-tools/script", "dracut/xdevd-serve.sh"])("%s", async (file) => {
    const conf = join(directory, "initramfs.conf");
    writeFileSync(
      conf,
      "# comment\n\nany vdev=xvda\n 7 vdev=xvdb,backend=storage\nany\tvdev=xvdz\n",
    );
    const program = join(directory, "xdevd");
    const words = programCommand().map((word) => `'${word}'`).join(" ");
    writeFileSync(
      program,
      `#!/bin/sh\nexec ${words} "$@" --store ${store.socketPath(DRIVER)} --timeout 3 ` +
        `--run-dir ${directory}/run --scripts ${directory}/scripts\n`,
    );
    chmodSync(program, 0o755);
    const functions = join(directory, "functions");
    writeFileSync(
      functions,
      "modprobe() { :; }\nwait_for_udev() { :; }\n" +
        ["log_success_msg", "log_failure_msg", "info", "warn"]
          .map((name) => `${name}() { echo "${name}: $*"; }\n`).join(""),
    );
    const text = readFileSync(join(import.meta.dir, "../../packaging", file), "utf8")
      .replaceAll("/usr/sbin/xdevd", program).replaceAll("/etc/xdevd/initramfs.conf", conf)
      .replace(". /scripts/functions", "");
    const shell = Bun.spawn(["sh", "-c", `. ${functions}\n${text}`], {
      stdout: "pipe",
      stderr: "pipe",
    });
    await create(9);
    await create(7, "xvdb");
    const [out, err] = await Promise.all([
      new Response(shell.stdout).text(),
      new Response(shell.stderr).text(),
    ]);
    expect(await shell.exited).toBe(0);
    const [good, bad] = file.startsWith("dracut") ? ["info", "warn"] : [
      "log_success_msg",
      "log_failure_msg",
    ];
    expect(out.split("\n").slice(0, 2)).toEqual([
      `${good}: xdevd: served vdev=xvda to any`,
      `${good}: xdevd: served vdev=xvdb,backend=storage to 7`,
    ]);
    expect(out).toContain(`${bad}: xdevd: vdev=xvdz is not served to any`);
    expect(err).toMatch(/^xdevd: xvdz of any guest: the toolstack did not create it/);
    await until(async () => await status(9) === "connected", () => out + err);
  });
});
