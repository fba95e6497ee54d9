/** Taking up what an earlier one has left half done, when nobody wants that any more. */
import { afterAll, beforeAll, beforeEach, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemFiles } from "../../../platform/io/files.ts";
import { systemClock } from "../../../platform/clock.ts";
import {
  formatRecord,
  FRESH,
  parseRecord,
  RECORD_NODE,
  V2_NODES,
  v2Limits,
  type V2Record,
} from "../../../core/hotplug/v2/convention.ts";
import { type V2Parts, V2Session } from "../../../core/hotplug/v2/session.ts";
import { openLog } from "../../../core/log/log.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { settle } from "../../support/fake_clock.ts";
import { FakeProcesses } from "../../support/fake_processes.ts";

const PATH = "/local/domain/1/libxl/7/device/vbd/51712";
let directory: string;
let script: string;
let store: StoreClient;
let processes: FakeProcesses;
let awaited: string[];

beforeAll(() => {
  directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-v2-session-"));
  script = join(directory, "block-v2");
  fs.writeFileSync(script, "# HOTPLUG_PATH", { mode: 0o755 });
});

afterAll(() => fs.rmSync(directory, { recursive: true }));

beforeEach(async () => {
  const server = new XenstoreServer();
  store = await StoreClient.connect({
    clock: systemClock,
    connect: async () => connectInProcess(server, 0),
  });
  processes = new FakeProcesses();
  awaited = [];
});

const parts = (): V2Parts => ({
  store,
  clock: systemClock,
  files: systemFiles,
  processes,
  policy: { directories: [directory], trustedUids: [0, process.geteuid!()] },
  limits: v2Limits(DEFAULT_TIMES),
  killGraceMs: 10,
  environment: {},
  operation: "own",
  directory: PATH,
  log: openLog("test"),
  awaitOrphans: async (operation) => void awaited.push(operation),
  endMarked: async () => {},
  forget: () => store.removeOptional(PATH),
});

/** As an earlier one has left it. */
async function left(record: Partial<V2Record>): Promise<void> {
  const running = { action: "unprepare", operation: "earlier" } as const;
  await store.write(`${PATH}/${RECORD_NODE}`, formatRecord({ ...FRESH, running, ...record }));
  await store.write(`${PATH}/${V2_NODES.script}`, script);
  await store.write(`${PATH}/${V2_NODES.target}`, "target");
}

const record = async () => parseRecord(await store.readText(`${PATH}/${RECORD_NODE}`));

async function untilStarted(): Promise<void> {
  for (let turns = 0; turns < 200 && processes.alive.length === 0; turns++) await settle();
  expect(processes.alive.map(({ argv }) => argv)).toHaveLength(1);
}

test("told to stop while an unprepare is finished: that is kept for the next one, and the reason told", async () => {
  await left({ stage: "unpreparing" });
  const abort = new AbortController();
  const opened = V2Session.open(parts(), abort.signal);
  opened.catch(() => {});
  await untilStarted();
  expect(awaited).toEqual(["earlier"]);
  abort.abort(new Error("no longer wanted"));
  await expect(opened).rejects.toThrow("no longer wanted");
  expect(await record()).toMatchObject({ stage: "unpreparing", running: null });

  const next = V2Session.open(parts(), new AbortController().signal);
  await untilStarted();
  expect(processes.alive[0]!.argv).toEqual([script, "unprepare"]);
  processes.alive[0]!.exit({ code: 0, signal: null });
  expect((await next).record).toBeNull();
  expect(await store.exists(PATH)).toBe(false);
});

test("the same with a localdetach: who was attached locally counts until it is done", async () => {
  const running = { action: "localdetach", operation: "earlier" } as const;
  await left({ stage: "prepared", local: 1, running });
  const abort = new AbortController();
  const opened = V2Session.open(parts(), abort.signal);
  opened.catch(() => {});
  await untilStarted();
  abort.abort(new Error("no longer wanted"));
  await expect(opened).rejects.toThrow("no longer wanted");
  expect(await record()).toMatchObject({ stage: "prepared", local: 1 });
});

test("an unprepare that fails by itself counts as done", async () => {
  await left({ stage: "unpreparing" });
  const opened = V2Session.open(parts(), new AbortController().signal);
  await untilStarted();
  processes.alive[0]!.exit({ code: 1, signal: null });
  expect((await opened).record).toBeNull();
  expect(await store.exists(PATH)).toBe(false);
});

test("one's own work is not waited for", async () => {
  await left({ stage: "prepared", running: { action: "add", operation: "own" } });
  const session = await V2Session.open(parts(), new AbortController().signal);
  expect(awaited).toEqual([]);
  expect(session.record).toMatchObject({ stage: "prepared", running: null });
  expect(processes.all).toEqual([]);
});
