/** The engine's settings: a daemon starts with them, as the process that was started. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ENGINE_SETTINGS } from "../../platform/bun/tuning.ts";
import { DaemonProcess, runProgram } from "../support/daemon_process.ts";
import { fullCommand } from "../support/full_only.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

const [NAME] = Object.keys(ENGINE_SETTINGS) as [string];

const full = fullCommand("Bun's settings");

let store: EmbeddedStore;
let directory: string;
let args: string[];

beforeEach(async () => {
  store = await startEmbeddedStore([1]);
  directory = mkdtempSync(join(tmpdir(), "xdevd-engine-"));
  args = ["--store", store.socketPath(1), "--run-dir", join(directory, "run")];
  const dom0 = await connectTo(store.socketPath(0));
  await makeDomain(dom0, 1);
  dom0.close();
});

afterEach(async () => {
  await store.stop();
  rmSync(directory, { recursive: true });
});

function environmentOf(pid: number): Record<string, string> {
  const lines = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => [line.split("=")[0], line.slice(line.indexOf("=") + 1)]),
  );
}

test("in the foreground", async () => {
  const daemon = await DaemonProcess.start(args, { command: full });
  const environment = environmentOf(daemon.pid);
  expect(environment).toEqual({ PATH: process.env["PATH"] ?? "", ...ENGINE_SETTINGS });
  const command = readFileSync(`/proc/${daemon.pid}/cmdline`, "utf8").split("\0").slice(0, -1);
  expect(command).toEqual([...full, "devd", "-F", ...args]);
  expect(await daemon.stop()).toBe(0);
});

test("in the background", async () => {
  const log = join(directory, "log");
  expect(await runProgram(["devd", "--log", log, ...args], {}, undefined, full))
    .toMatchObject({ code: 0, stderr: "" });
  const dom0 = await connectTo(store.socketPath(1));
  const pid = Number(await Bun.$`pgrep -f ${directory}/run`.text());
  try {
    expect(environmentOf(pid)).toMatchObject(ENGINE_SETTINGS);
  } finally {
    process.kill(pid);
    dom0.close();
  }
});

test("what the administrator has set stays, and nothing is started twice for it", async () => {
  const [program, ...rest] = full;
  const command = ["/usr/bin/env", `${NAME}=700`, program, ...rest] as const;
  const daemon = await DaemonProcess.start(args, { command: [...command] });
  expect(environmentOf(daemon.pid)).toEqual({ PATH: process.env["PATH"] ?? "", [NAME]: "700" });
  expect(await daemon.stop()).toBe(0);
});
