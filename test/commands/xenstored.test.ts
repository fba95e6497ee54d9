/** `xdevd xenstored`: a store against which everything works at once. */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DaemonProcess, programCommand, runProgram, until } from "../support/daemon_process.ts";

let directory: string;
let server: ReturnType<typeof Bun.spawn>;

const socket = (domid: number) =>
  join(directory, "store", domid === 0 ? "socket" : `domain-${domid}.sock`);
const store = (domid: number, ...args: string[]) =>
  runProgram(["store", ...args, "--store", socket(domid)]);

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "xdevd-xenstored-"));
  server = Bun.spawn([
    ...programCommand(),
    ...["xenstored", "--dir", join(directory, "store"), "--domain", "5", "--domain", "7"],
  ], { stdout: "pipe" });
  const reader = (server.stdout as ReadableStream<Uint8Array>).getReader();
  // It says so when all is there.
  await reader.read();
});

afterAll(async () => {
  server.kill();
  await server.exited;
  await rm(directory, { recursive: true });
});

/** As libxl makes them (Xen 4.17's tools/libs/light/libxl_create.c), for a PV driver domain. */
const OWN = ["data", "drivers", "feature", "attr", "error", "libxl", "device-model"];
const READABLE = ["cpu", "memory", "device", "control", "name", "domid", "vm"];

test("a domain is as the toolstack makes it", async () => {
  const { stdout } = await store(0, "ls", "-p", "/");
  const nodes = new Map(
    stdout.trim().split("\n").map((line) => {
      const [, path = "", value, permissions] = /^(\S+) = "(.*)" \((.*)\)$/.exec(line) ?? [];
      return [path, `${value} ${permissions}`];
    }),
  );
  const home = "/local/domain/5";
  const vm = nodes.get(`${home}/vm`)!.split(" ")[0]!;
  expect(vm).toMatch(/^\/vm\/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/);
  expect(nodes.get(home)).toBe(" n0,r5");
  expect(nodes.get(`${home}/domid`)).toBe("5 n0,r5");
  expect(nodes.get(`${home}/name`)).toBe("domain-5 n0,r5");
  expect(nodes.get(vm)).toBe(" n0,r5");
  expect(nodes.get(`${vm}/name`)).toBe("domain-5 n0,r5");
  expect(nodes.get("/libxl/5")).toBe(" n0");
  expect(nodes.get("/libxl/5/device")).toBe(" n0");
  expect(nodes.get("/libxl/5/type")).toBe("pv n0");
  for (const name of OWN) expect(nodes.get(`${home}/${name}`)).toBe(" n5");
  expect(nodes.get(`${home}/device/suspend/event-channel`)).toBe(" n5");
  expect(nodes.get(`${home}/control/shutdown`)).toBe(" n5");
  const children = [...nodes.keys()].filter((path) => /^\/local\/domain\/5\/[^/]+$/.test(path));
  expect(children.sort()).toEqual([...OWN, ...READABLE].map((name) => `${home}/${name}`).sort());
  expect(nodes.get("/local/domain/0/domid")).toBe("0 n0");
});

test("the selftest passes in each domain, also in one that was introduced later", async () => {
  expect((await store(0, "introduce", "9")).code).toBe(0);
  for (const domid of [0, 5, 7, 9]) {
    const { code, stdout } = await store(domid, "selftest");
    expect(stdout).not.toContain("BAD");
    expect(code).toBe(0);
  }
});

test("tools see the domain, and a daemon serves in it", async () => {
  const tool = (domid: number, ...args: string[]) =>
    runProgram(args, { XENSTORED_PATH: socket(domid) });
  expect((await tool(5, "xenstore-read", "domid", "name")).stdout).toBe("5\ndomain-5\n");

  const scripts = join(directory, "scripts");
  const script = join(scripts, "block-test");
  const program = programCommand().map((word) => `'${word}'`).join(" ");
  await Bun.write(
    script,
    `#!/bin/sh\n[ "$1" = remove ] || exec ${program} xenstore-write ` +
      '"$XENBUS_PATH/physical-device" 3f:0 "$XENBUS_PATH/hotplug-status" connected\n',
  );
  await Bun.$`chmod 755 ${scripts} ${script}`.quiet();
  const daemon = await DaemonProcess.start([
    ...["--store", socket(5), "--run-dir", join(directory, "run"), "--scripts", scripts],
  ]);
  try {
    const attached = await runProgram([
      ...["block-attach", "domain-7", `vdev=xvda,backend=domain-5,script=${script},target=/image`],
      ...["--wait", "created", "--store", socket(0)],
    ]);
    expect(attached).toMatchObject({ code: 0, stderr: "" });
    const backend = "/local/domain/5/backend/vbd/7/51712";
    expect((await store(0, "write", `${backend}/state`, "2")).code).toBe(0);
    await until(
      async () => (await store(0, "exists", `${backend}/hotplug-status`)).code === 0,
      () => daemon.log,
    );
    const list = await runProgram(["block-list", "domain-7", "--store", socket(0)]);
    expect(list.stdout).toMatch(/^51712 +5 /m);
  } finally {
    expect(await daemon.stop()).toBe(0);
  }
}, 30_000);
