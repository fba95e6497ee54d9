/**
 * What commands print with `--json`: one value that their schema describes, and of a failure its code,
 * its status and its message.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { builtIns } from "../../built_in.ts";
import { makeProgram } from "../../commands/program.ts";
import type { CommandData } from "../../commands/line/data.ts";
import { MESSAGES } from "../../core/messages/table.ts";
import { DEVICE_STATES, deviceJson } from "../../core/xen/device_json.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { systemClock } from "../../platform/clock.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { SimulatedKernel } from "../../simulation/kernel.ts";
import { DaemonProcess, programCommand, runProgram } from "../support/daemon_process.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { faultsOf, load } from "../support/json_schema.ts";
import { connectTo } from "../support/store_connection.ts";
import { wordsOf } from "../support/shell_words.ts";

setDefaultTimeout(60_000);

const schemas = readdirSync(join(import.meta.dir, "../../docs/schemas"))
  .map((file) => file.replace(/\.json$/, ""));

function all(command: CommandData): CommandData[] {
  return [command, ...command.groups.flatMap(([, commands]) => commands.flatMap(all))];
}

const output = { print() {}, width: () => 80 };
/** The commands with `--json`, and the schema of each. */
const commands = all(makeProgram(builtIns, [], () => {}, output).data).flatMap((command) => {
  const json = command.options.find(({ long }) => long === "--json");
  if (json === undefined) return [];
  const schema = /\(docs\/schemas\/([a-z-]+)\.json\)$/.exec(json.description)?.[1];
  return [{ ...command, schema, words: command.name.split(" ").slice(1) }];
});

const DRIVER = 1;
const GUEST = 7;
/** SCRIPT and IMAGE are in the test's directory. */
const DISK = "vdev=xvda,backend=storage,script=SCRIPT,target=IMAGE";

/** Of which only a directory is known. */
const VTPM = "01234567-89ab-cdef-0123-456789abcdef";

let directory: string;
let store: EmbeddedStore;
let dom0: StoreClient;
let kernel: SimulatedKernel;
let kernelStore: StoreClient;
let daemon: DaemonProcess;

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "xdevd-json-"));
  store = await startEmbeddedStore([DRIVER, GUEST]);
  dom0 = await connectTo(store.socketPath(0));
  await createDomain0(dom0);
  await createDomainHome(dom0, { domid: DRIVER, name: "storage", driverDomain: true });
  await createDomainHome(dom0, { domid: GUEST, name: "web" });
  const scripts = join(directory, "scripts");
  mkdirSync(scripts);
  const script = join(scripts, "block");
  const tool = (...args: string[]) =>
    `XENSTORED_PATH=${store.socketPath(DRIVER)} ${process.execPath} ` +
    `${join(import.meta.dir, "../../main.ts")} ${args.join(" ")}`;
  writeFileSync(
    script,
    `#!/bin/sh\n[ "$1" = add ] || exit 0\nread=$(${
      tool("xenstore-read", '"$XENBUS_PATH/params"')
    })\n` +
      `case "$read" in *missing*) echo "there is no such image"; exit 1;; esac\n` +
      `${tool("xenstore-write", '"$XENBUS_PATH/physical-device-path" "$read"')} ` +
      '"$XENBUS_PATH/hotplug-status" connected\n',
  );
  chmodSync(script, 0o755);
  writeFileSync(join(directory, "image"), "");
  mkdirSync(join(directory, "kept/vtpm", VTPM), { recursive: true });
  kernelStore = await connectTo(store.socketPath(DRIVER));
  kernel = new SimulatedKernel(kernelStore, DRIVER, systemClock);
  await kernel.start();
  daemon = await DaemonProcess.start([
    ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
    ...["--scripts", scripts, "--state-dir", join(directory, "state")],
  ]);
});

afterAll(async () => {
  await daemon.stop();
  await kernel.stop();
  kernelStore.close();
  dom0.close();
  await store.stop();
  rmSync(directory, { recursive: true });
});

/** Runs a command line, in domain 0 unless it says otherwise, and holds what it prints to a schema. */
async function json(
  line: readonly string[],
  schema: string,
  // deno-lint-ignore no-explicit-any
): Promise<{ code: number; value: any }> {
  const command = commands.find(({ words }) => words.every((word, at) => line[at] === word));
  const takesStore = command?.options.some(({ long }) => long === "--store") ?? false;
  const at = line.includes("--store") || !takesStore ? [] : ["--store", store.socketPath(0)];
  const given = line.map((word) =>
    word.replace("SCRIPT", join(directory, "scripts/block")).replace("IMAGE", `${directory}/image`)
      .replace("STATE", join(directory, "kept"))
      .replace(/^RUN$/, `${directory}/run`)
  );
  const { code, stdout, stderr } = await runProgram([...given, "--json", ...at], {}, 30_000);
  const value = JSON.parse(stdout);
  const faults = faultsOf(value, schema);
  expect({ line, faults }).toEqual({ line, faults: code === 0 ? [] : expect.any(Array) });
  if (code !== 0) {
    if (faults.length > 0) expect(faultsOf(value, "error")).toEqual([]);
    const { error } = value;
    expect(error.status).toBe(code);
    expect(MESSAGES).toHaveProperty(error.code);
    expect(MESSAGES[error.code as keyof typeof MESSAGES].status).toBe(code!);
    // People get the same, where they look for it.
    if (!("plugins" in value || "rules" in value)) expect(stderr).toContain(error.message);
  } else expect(value).not.toHaveProperty("error");
  expect(stdout).toEndWith("\n");
  expect(stdout).not.toMatch(/\d\.\d{4}/);
  expect(stdout).not.toMatch(/"(ms|seconds|size|bytes)":/i);
  return { code: code!, value };
}

describe("schemas", () => {
  test("every command with --json names its own, and each of them is used", () => {
    expect(commands.length).toBeGreaterThan(20);
    for (const { name, schema } of commands) {
      expect({ name, schema }).toEqual({ name, schema: expect.any(String) });
      expect(schemas).toContain(schema!);
    }
    const texts = schemas.map((name) => JSON.stringify(load(name))).join();
    const used = new Set([...commands.map(({ schema }) => schema), "version"]);
    const unused = schemas.filter((name) => !used.has(name) && !texts.includes(`"${name}.json`));
    expect(unused).toEqual([]);
  });

  test("what is a number and no count has its unit in its name", () => {
    const names = schemas.flatMap((name) =>
      [...JSON.stringify(load(name)).matchAll(/"(\w+)":\{[^{}]*"(?:integer|number)"/g)]
        .map(([, property]) => property!)
    );
    expect(names).toContain("durationMs");
    expect(names.filter((name) => /^(ms|seconds|bytes|kb|mb|size|time|duration)$/i.test(name)))
      .toEqual([]);
  });

  test("each names itself and its dialect", () => {
    for (const name of schemas) {
      expect(load(name)).toMatchObject({
        $id: `${name}.json`,
        $schema: "https://json-schema.org/draft/2020-12/schema",
        title: expect.any(String),
      });
    }
  });

  test("a device's has the states and properties that there are", () => {
    const { properties, required } = load("device") as {
      properties: Record<string, { enum?: string[] }>;
      required: string[];
    };
    expect(properties["state"]!.enum).toEqual(Object.keys(DEVICE_STATES));
    const device = deviceJson({ kind: "vbd", frontendDomid: 7, devid: 51712, state: "ready" });
    expect(Object.keys(device)).toEqual(required);
    expect(faultsOf(device, "device")).toEqual([]);
    expect(device).toMatchObject({ name: "xvda", vdev: "xvda", guestName: null });
    const vif = deviceJson({ kind: "vif", frontendDomid: 7, devid: 0, state: "ready" });
    expect(vif).toMatchObject({ name: "vif7.0", vdev: null });
    const tpm = deviceJson({ kind: "vtpm", frontendDomid: 7, devid: 0, state: "ready" });
    expect(tpm).toMatchObject({ name: "vtpm/7/0", vdev: null });
  });

  test("one that does not fit is told", () => {
    const error = { code: "usage", status: 2, message: "x" };
    expect(faultsOf({ error }, "error")).toEqual([]);
    expect(faultsOf({ error: { ...error, status: 0 } }, "error")).toHaveLength(1);
    expect(faultsOf({ error: { code: "usage", status: 2 } }, "error")).toHaveLength(1);
    expect(faultsOf({ error: { ...error, ms: 1 } }, "error")).toEqual([
      "/error/ms: no schema tells of it",
    ]);
    expect(faultsOf([], "error")).not.toEqual([]);
  });
});

/** Lines that succeed, one after the other, by the command that they are of. */
const SUCCESSES: readonly (readonly [command: string, ...args: string[]])[] = [
  ["block-attach", "web", DISK],
  ["block-list", "web", "storage"],
  ["list"],
  ["block-detach", "web", "xvda", "--force"],
  ["block-attach", "web", DISK, "-N"],
  ["network-attach", "web", "bridge=br0", "backend=storage", "--wait", "created"],
  ["network-list", "web"],
  ["network-detach", "web", "0", "--force"],
  ["network-attach", "web", "rate=1GB/s", "-N"],
  ["vtpm-attach", "web", "backend=storage", "--wait", "created"],
  ["vtpm-list", "web"],
  ["vtpm-detach", "web", "0", "--timeout", "0.2"],
  ["vtpm-attach", "web", "backend=storage", "-N"],
  ["attach", "pvcalls", "web", "backend=storage", "--wait", "created"],
  ["attach", "p9", "web", "path=/srv,security_model=none,tag=t", "-N"],
  ["detach", "pvcalls", "web", "0", "--timeout", "0.2"],
  ["list", "web"],
  ["request setup", "storage"],
  ["request attach", "disk", "web", DISK],
  ["request wait", "disk", "web", "xvda"],
  ["request list"],
  ["request detach", "disk", "web", "xvda", "--force"],
  ["request attach", "disk", "web", DISK, "--hold"],
  ["request list", "storage"],
  ["request release", "disk", "web", "xvda"],
  ["request detach", "disk", "web", "xvda", "--force"],
  ["doctor", "--domain", "storage"],
  ["vtpm list", "--state-dir", "STATE"],
  ["vtpm show", VTPM, "--state-dir", "STATE"],
  ["status", "--run-dir", "RUN"],
  ["status", "--domain", "storage"],
  ["trace", "vbd/7/51712", "--run-dir", "RUN"],
  ["plugin list"],
  ["plugin info", "vbd"],
  ["plugin check", "generic", "--only", "loads"],
];

describe("results", () => {
  test("there is a line for every command", () => {
    const tried = new Set(SUCCESSES.map(([command]) => `xdevd ${command}`));
    expect(commands.map(({ name }) => name).filter((name) => !tried.has(name))).toEqual([]);
  });

  test.each(SUCCESSES)("%s %s %s %s", async (command, ...args) => {
    const { schema } = commands.find(({ name }) => name === `xdevd ${command}`)!;
    const { code, value } = await json([...command.split(" "), ...args], schema!);
    // A removal that nobody answers is one, but says so.
    if (code !== 0 && command.endsWith("detach") && args.includes("--timeout")) {
      expect(value.error.code).toBe("not-in-time");
    } else expect({ code, value }).toMatchObject({ code: 0 });
  });

  test("a device has its names, its target and its state, in all results alike", async () => {
    const attached = (await json(["block-attach", "web", DISK], "attach")).value;
    const [listed] = (await json(["list", "web"], "list")).value;
    const removed = (await json(["block-detach", "web", "xvda", "--force"], "detach")).value;
    const device = {
      guest: GUEST,
      guestName: "web",
      name: "xvda",
      kind: "vbd",
      vdev: "xvda",
      devid: 51712,
      backend: DRIVER,
      backendName: "storage",
      target: `${directory}/image`,
      way: null,
      since: null,
      frontendKind: "vbd",
      backendPath: "/local/domain/1/backend/vbd/7/51712",
      frontendPath: "/local/domain/7/device/vbd/51712",
      hotplugStatus: "connected",
      hotplugError: null,
    };
    expect(attached).toMatchObject({ ...device, state: "ready" });
    expect(listed).toMatchObject({ ...device, state: "ready" });
    expect(removed).toMatchObject({ ...device, state: "closed" });
  });

  test("for people: devices by their names, states in words, and why one failed", async () => {
    const dom = ["--store", store.socketPath(0)];
    expect((await json(["block-attach", "web", DISK], "attach")).code).toBe(0);
    const vif = ["network-attach", "web", "bridge=br0", "backend=storage", "--wait", "created"];
    expect((await json(vif, "attach")).code).toBe(0);
    const { stdout, stderr } = await runProgram(["list", "web", ...dom]);
    expect(stderr).toBe("");
    const [head, ...lines] = stdout.split("\n").map((line) => line.split(/ {2,}/));
    expect(head).toEqual(["guest", "device", "kind", "backend", "target", "state"]);
    const image = expect.stringMatching(/^\/tmp.*…?$/);
    expect(lines).toContainEqual(["web (7)", "xvda", "vbd", "storage (1)", image, "ready"]);
    expect(lines.map(([, name]) => name)).toContain("vif7.0");
    // What it names them by, other commands take.
    const unknown = await runProgram(["network-detach", "web", "vif8.0", "--json", ...dom]);
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringMatching(/a vif of domain 7/) });
    for (
      const line of [["network-detach", "web", "vif7.0"], ["detach", "disk", "7", "vbd/7/51712"]]
    ) {
      const { value } = await json([...line, "--force"], "detach");
      expect(value).toMatchObject({ state: "closed", guest: GUEST });
    }
  });

  test("what a domain says of itself cannot move a terminal's cursor", async () => {
    const name = "web\u009b2J\u202e\u{e0041}";
    await dom0.write(`/local/domain/${GUEST}/name`, name);
    const { stdout } = await runProgram([
      ...["vtpm-attach", String(GUEST), "backend=storage", "--wait", "created", "--json"],
      ...["--store", store.socketPath(0)],
    ]);
    await dom0.write(`/local/domain/${GUEST}/name`, "web");
    expect(stdout).toMatch(/^[ -~\n]*$/);
    expect(JSON.parse(stdout).guestName).toBe(name);
  });

  test("of the version", async () => {
    expect((await json(["--version"], "version")).value).toMatchObject({ name: "xdevd" });
  });
});

describe("failures", () => {
  test.each(commands.map(({ words }) => [words.join(" ")]))("a wrong line: %s", async (command) => {
    const { value } = await json([...command.split(" "), "--frob"], "error");
    expect(value.error).toMatchObject({ code: "usage", status: 2 });
    expect(value.error.message).toStartWith("unknown option '--frob'");
  });

  test.each(
    // That is what the doctor is asked for.
    commands.filter(({ name }) => name !== "xdevd doctor")
      .filter(({ options }) => options.some(({ long }) => long === "--store"))
      .map(({ words, examples }) => [words.join(" "), wordsOf(examples[0]![0])] as const),
  )("no store: %s", async (command, line) => {
    const { value } = await json(
      [...line.filter((word) => word !== "--json"), "--store", "/no"],
      "error",
    );
    // Without a daemon, the store is asked in its place.
    const wanted = command === "status"
      ? { code: "daemon-silent", status: 12 }
      : { code: "store-unreachable", status: 3 };
    expect(value.error).toMatchObject(wanted);
  });

  const particular: readonly (readonly [string, string, string, ...string[]])[] = [
    ["", "usage", "unknown command 'frobnicate'", "frobnicate"],
    ["", "usage", "missing required argument 'domain'", "block-attach"],
    ["", "no-such-domain", 'there is no domain "nope"', "list", "nope"],
    ["", "bad-specification", "disk specification", "block-attach", "web", "vdev=xvda,frob=1"],
    [
      "",
      "bad-specification",
      "disk specification",
      "block-attach",
      "web",
      "-N",
      "vdev=xvda,frob=1",
    ],
    ["", "no-such-device", "has no vbd device xvdz", "block-detach", "web", "xvdz"],
    ["", "usage", "expected a devid", "network-detach", "web", "first"],
    ["", "script-refused", "nothing", "block-attach", "web", "vdev=xvdb,script=nothing,target=/"],
    ["", "setup-failed", "there is no such image", "block-attach", "web", `${DISK}missing`],
    [
      "",
      "not-in-time",
      "did not connect",
      "block-attach",
      "web",
      DISK,
      "--wait",
      "connected",
      "--timeout",
      "2",
    ],
    ["", "no-such-device", "no request for", "request", "detach", "disk", "web", "xvdz"],
    ["", "failed", "there is no plugin nothing", "plugin", "info", "nothing"],
    ["", "usage", "there is no rule nothing", "plugin", "check", "vbd", "--only", "nothing"],
    ["domain-7.sock", "not-permitted", "run it in the toolstack", "list", "web"],
  ];
  test.each(particular)("%s%s: %s", async (socket, code, message, ...line) => {
    const at = socket === "" ? [] : ["--store", join(store.dir, socket)];
    const { value } = await json([...line, ...at], "error");
    expect(value.error).toMatchObject({ code, message: expect.stringContaining(message) });
    if (code === "bad-specification") expect(value.error.details).toHaveLength(2);
  });

  test("of several domains one is unknown: the others' devices, and the error", async () => {
    expect((await json(["block-attach", "web", DISK], "attach")).code).toBe(0);
    const { code, value } = await json(["block-list", "nope", "web"], "list");
    expect(code).toBe(8);
    expect(value.devices).toHaveLength(1);
    expect((await json(["block-detach", "web", "xvda", "--force"], "detach")).code).toBe(0);
  });

  test("a plugin that cannot be used, and a rule that does not hold", async () => {
    const plugins = join(directory, "plugins");
    mkdirSync(plugins);
    writeFileSync(join(plugins, "bad.js"), "// nothing\n");
    const listed = await json(["plugin", "list", "--plugins", plugins], "plugin-list");
    expect(listed).toMatchObject({ code: 1, value: { rejected: [expect.anything()] } });
    expect(listed.value.error.message).toContain("bad.js");
  });

  test("told to end", async () => {
    const args = [
      "vtpm-attach",
      "web",
      "backend=storage",
      "--json",
      "--store",
      store.socketPath(0),
    ];
    const [file, ...before] = programCommand();
    const child = Bun.spawn([file, ...before, ...args], { stdout: "pipe", stderr: "ignore" });
    await dom0.waitUntil(`/local/domain/${GUEST}/device/vtpm/1`, (text) => text !== undefined, {
      timeoutMs: 20_000,
    });
    child.kill("SIGTERM");
    const value = JSON.parse(await new Response(child.stdout).text());
    expect(await child.exited).toBe(1);
    expect(value).toEqual({ error: { code: "failed", status: 1, message: "SIGTERM: given up" } });
  });
});
