/**
 * systemd's own `varlinkctl` (of Debian 13, unpacked and never installed) reads the description of the
 * daemon's socket and calls its methods; the session that docs/running.md shows is what comes of it.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { spawn } from "node:child_process";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { unpacked } from "../../compile/check/foreign.ts";
import { sources } from "../../compile/small/debian.ts";
import { METHOD_NAMES } from "../../core/daemon/control/methods.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { DaemonProcess, programCommand, until } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { HandMadeDevice } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { makeFaults } from "../support/ten_faults.ts";

setDefaultTimeout(300_000);

/** varlinkctl, and what it is linked with. */
const PACKAGES = [
  ...["systemd", "libsystemd-shared", "libc6", "libcap2", "libmount1", "libblkid1"],
  ...[
    "libselinux1",
    "libcrypt1",
    "libacl1",
    "libseccomp2",
    "libpcre2-8-0",
    "libssl3t64",
    "libzstd1",
  ],
];

const [DRIVER, GUEST] = [1, 7];
const root = join(import.meta.dir, "../..");

let store: EmbeddedStore;
let dom0: StoreClient;
let directory: string;
let daemon: DaemonProcess;
let device: HandMadeDevice;

beforeAll(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), "xdevd-varlink-"));
  const [bin, scripts] = [join(directory, "bin"), join(directory, "scripts")];
  for (const made of [bin, scripts]) await fs.mkdir(made, { mode: 0o755 });
  const program = (name: string, text: string) =>
    fs.writeFile(join(bin, name), `#!/bin/sh\nexec ${text} "$@"\n`, { mode: 0o755 });
  const foreign = unpacked("amd64", PACKAGES, sources());
  const libraries = `${foreign}/usr/lib/x86_64-linux-gnu`;
  await program(
    "varlinkctl",
    `${foreign}/usr/lib64/ld-linux-x86-64.so.2 --library-path ` +
      `${libraries}:${libraries}/systemd ${foreign}/usr/bin/varlinkctl`,
  );
  await program("xenstore-write", `${programCommand().join(" ")} xenstore-write`);
  await makeFaults(scripts, `${bin}:/usr/bin:/bin`);
  store = await startEmbeddedStore([DRIVER, GUEST]);
  dom0 = await connectTo(store.socketPath(0));
  await createDomain0(dom0);
  await createDomainHome(dom0, { domid: DRIVER, name: "storage", driverDomain: true });
  await createDomainHome(dom0, { domid: GUEST, name: "web" });
  daemon = await DaemonProcess.start([
    ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
    ...["--scripts", scripts, "--time", "check=60"],
  ]);
  device = await attach(51712);
  await daemon.says(/: connected after/);
});

afterAll(async () => {
  await daemon.stop();
  dom0.close();
  await store.stop();
  await fs.rm(directory, { recursive: true, force: true });
});

async function attach(devid: number): Promise<HandMadeDevice> {
  const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid };
  const made = new HandMadeDevice(dom0, id);
  const script = join(directory, "scripts/block-good");
  await made.create({ script, params: "/dev/vg/web", state: "2" });
  await made.reaches("hotplug-status", "connected");
  return made;
}

/** Runs a line of a shell, with the socket where the documents have it. */
async function shell(line: string): Promise<string> {
  const child = spawn("sh", ["-c", `exec 2>&1; ${placed(line)}`], {
    env: { PATH: `${join(directory, "bin")}:/usr/bin:/bin` },
    stdio: ["ignore", "pipe", "inherit"],
  });
  let text = "";
  child.stdout.on("data", (chunk) => text += chunk);
  await new Promise((resolve) => child.once("close", resolve));
  return text;
}

const placed = (line: string) => line.replaceAll("/run/xdevd/", `${join(directory, "run")}/`);

/** Without what is another each time. */
const lasting = (text: string) =>
  text.trimEnd().replace(/ +$/gm, "").replace(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "TIME").replace(
    /"\d\.\d\.\d"|\d\.\d\.\d/g,
    "V",
  );

describe("varlinkctl", () => {
  test("knows each method, and finds nothing wrong with the file in docs", async () => {
    const text = await shell("varlinkctl introspect /run/xdevd/xdevd.sock");
    for (const name of METHOD_NAMES.filter((name) => name.startsWith("io.xdevd."))) {
      expect(text).toContain(`method ${name.slice(name.lastIndexOf(".") + 1)}(`);
    }
    const file = join(root, "docs/io.xdevd.Devices.varlink");
    expect(await shell(`varlinkctl validate-idl ${file} > /dev/null && echo sound`)).toBe(
      "sound\n",
    );
  });

  test("follows", async () => {
    const line = "exec varlinkctl call --more --json=short /run/xdevd/xdevd.sock " +
      "io.xdevd.Devices.Follow '{}'";
    const child = spawn("sh", ["-c", placed(line)], {
      env: { PATH: `${join(directory, "bin")}:/usr/bin:/bin` },
      stdio: ["ignore", "pipe", "inherit"],
    });
    let text = "";
    child.stdout.on("data", (chunk) => text += chunk);
    await until(() => text.includes("vbd/7/51712"), () => text, 60_000);
    const other = await attach(51728);
    await until(() => /"changed":"vbd\/7\/51728".*"ready"/.test(text), () => text, 60_000);
    await other.detach();
    await until(() => /"changed":"vbd\/7\/51728"\}/.test(text), () => text, 60_000);
    child.kill("SIGTERM");
    await new Promise((resolve) => child.once("close", resolve));
  });

  test("says what docs/running.md shows", async () => {
    expect(await device.read("hotplug-status")).toBe("connected");
    const page = await fs.readFile(join(root, "docs/running.md"), "utf8");
    const [, session = ""] = /^```console session\n([^]*?)^```$/m.exec(page) ?? [];
    const steps = session.split(/^# /m).slice(1);
    expect(steps.length).toBeGreaterThanOrEqual(5);
    const shown: string[] = [];
    for (const step of steps) {
      const [command = ""] = step.split("\n");
      shown.push(`# ${command}\n${await shell(command)}`);
    }
    expect(lasting(shown.join(""))).toBe(lasting(session));
  });
});
