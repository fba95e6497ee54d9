/** Whatever comes between any two messages: nothing is lost, added twice, or added elsewhere. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { configureLog } from "../../../core/log/log.ts";
import { type Standing, SteppedWorld } from "./stepped_daemon.ts";

const ACTIONS: Record<string, (world: SteppedWorld, value: number) => Promise<void>> = {
  serve: (world, value) => world.serve(1 + value),
  deliver: (world, value) => world.deliver(1 + value),
  events: (world, value) => world.overtake("event", 1 + value),
  answers: (world, value) => world.overtake("answer", 1 + value),
  flow: async (world, value) => {
    for (let at = 0; at <= value; at++) {
      await world.serve(9);
      await world.deliver(9);
    }
  },
  quiet: (world) => world.quiet(),
  finish: (world) => world.finish(),
  create: (world, value) => world.create(1 + value % 2),
  ready: (world) => world.change({ state: "2" }),
  back: (world) => world.change({ state: "1" }),
  detach: (world, value) => world.change({ online: "0", state: value % 2 === 0 ? "5" : "6" }),
  wanted: (world) => world.change({ online: "1", state: "2" }),
  idle: (world) => world.change({ state: "6" }),
  delete: (world) => world.deleteBackend(),
  hide: (world) => world.hideFrontend(),
  show: (world) => world.showFrontend(),
  pass: (world, value) => world.pass([1, 30, 300, 1_000][value % 4]!),
  cut: (world) => world.cut(),
  restart: async (world) => {
    await world.kill();
    await world.startDaemon();
  },
};
const OFTEN = ["serve", "deliver", "flow", "quiet"];

const step = fc.oneof(
  ...Object.keys(ACTIONS).map((action) => ({
    weight: OFTEN.includes(action) ? 5 : ["cut", "restart"].includes(action) ? 1 : 2,
    arbitrary: fc.tuple(fc.constant(action), fc.nat(7)),
  })),
);

const STANDINGS: Standing[] = ["domain 0", "may make", "may not make"];

/** Whether the kind waits for the kernel, who the daemon is, and what happens. */
type Play = [boolean, Standing, [string, number][]];

async function play(
  [waits, standing, steps]: Play,
  ending: (world: SteppedWorld) => Promise<void>,
): Promise<void> {
  const lines: string[] = [];
  configureLog("debug", (line) => lines.push(line));
  const world = new SteppedWorld(waits, standing);
  await world.begin();
  try {
    for (const [action, value] of steps) {
      lines.push(`== ${action} ${value}\n`);
      await ACTIONS[action]!(world, value);
    }
    lines.push("== the end\n");
    await ending(world);
    expect(world.faults).toEqual([]);
  } catch (error) {
    throw new Error(`${(error as Error).message}\n${lines.join("")}`);
  } finally {
    await world.end();
  }
}

const plays = fc.tuple(
  fc.boolean(),
  fc.constantFrom(...STANDINGS),
  fc.array(step, { maxLength: 25 }),
);
const RUNS = {
  numRuns: 1000,
  examples: ([
    // The connection is lost while a directory is being marked.
    [["quiet", 0], ["create", 0], ["flow", 1], ["cut", 0]],
    // It is deleted in that moment.
    [["quiet", 0], ["create", 0], ["deliver", 0], ["serve", 3], ["delete", 0], ["flow", 2]],
    // One that is not wanted any more is replaced while there is no connection.
    [["create", 0], ["hide", 0], ["detach", 0], ["quiet", 0], ["cut", 0]],
    // The wait for its backend ends while there is no connection, and it is another one by then.
    [["create", 0], ["quiet", 0], ["cut", 0]],
    // It is replaced between two answers of the look that is to judge.
    [["create", 0], ["quiet", 0], ["pass", 2], ["serve", 0]],
    // It is deleted, and made anew, while the first look at it is being answered.
    ...[0, 2].map((answers) => [
      ...[["quiet", 0], ["create", 0], ["deliver", 0], ["serve", 1], ["delete", 0]],
      ...[["serve", answers], ["deliver", 0], ["create", 0], ["deliver", 2], ["ready", 0]],
    ]),
  ] as [string, number][][]).flatMap((steps) =>
    [true, false].flatMap((waits) =>
      STANDINGS.map((standing): [Play] => [[waits, standing, steps]])
    )
  ),
};

test("what is wanted in the end is set up, once and in its own directory", async () => {
  await fc.assert(
    fc.asyncProperty(plays, (some) =>
      play(some, async (world) => {
        await world.create(1);
        await world.deliver(3);
        await world.change({ state: "2" });
        await world.rest();
        const { phase, status, error, mark, record, held } = await world.outcome();
        expect({ phase, status, error, record, held }).toEqual({
          phase: "connected",
          status: "connected",
          error: undefined,
          record: { stage: "connected", attachId: mark! },
          held: mark!,
        });
      })),
    RUNS,
  );
}, 60_000);

test.each([
  ["deleted", (world: SteppedWorld) => world.deleteBackend()],
  ["detached", (world: SteppedWorld) => world.change({ online: "0", state: "6" })],
  ["left by its guest", async (world: SteppedWorld) => {
    await world.create(2);
    await world.rest();
    await world.hideFrontend();
  }],
])("what is %s in the end leaves nothing", async (_, remove) => {
  await fc.assert(
    fc.asyncProperty(plays, (some) =>
      play(some, async (world) => {
        await remove(world);
        await world.rest();
        const { phase, record, held, exists } = await world.outcome();
        expect({ phase, record, held, exists }).toEqual({
          phase: "unknown",
          record: null,
          held: null,
          exists: false,
        });
      })),
    RUNS,
  );
}, 60_000);

const TORN = [true, false].flatMap((waits) =>
  STANDINGS.flatMap((standing) =>
    [{ "hotplug-status": "connected" }, { "frontend-id": "8" }].map((
      first,
    ): [boolean, Standing, Record<string, string>] => [waits, standing, first])
  )
);

test.each(TORN)(
  "one in the place of what would be adopted or refused is set up (%p, %s, %j)",
  async (waits, standing, first) => {
    // Whichever answers the first one gives, to a look, or to what follows from it.
    for (let answers = 0; answers < 24; answers++) {
      for (const between of [0, 1, 2]) {
        configureLog("error", () => {});
        const world = new SteppedWorld(waits, standing);
        await world.begin();
        await world.quiet();
        await world.create(2, first);
        await world.deliver(9);
        for (let answer = 0; answer < answers; answer++) {
          await world.serve(1);
          await world.deliver(9);
        }
        if (between > 0) await world.deleteBackend();
        await world.serve(between);
        await world.create(2);
        await world.rest();
        const { phase, status, error, mark, held } = await world.outcome();
        expect({ answers, between, phase, status, error, held }).toEqual({
          answers,
          between,
          phase: "connected",
          status: "connected",
          error: undefined,
          held: mark!,
        });
        expect(world.faults).toEqual([]);
        await world.end();
      }
    }
  },
  60_000,
);

test.each(STANDINGS)(
  "each that is refused is told why, also in another's place (%s)",
  async (who) => {
    const lines: string[] = [];
    configureLog("error", (line) => lines.push(line));
    const world = new SteppedWorld(true, who);
    await world.begin();
    for (const domid of ["8", "9"]) {
      await world.create(2, { "frontend-id": domid });
      await world.rest();
      const { phase, status, error } = await world.outcome();
      const why = `node frontend-id is "${domid}"; its path says 7`;
      expect({ phase, status, error }).toEqual({ phase: "failed", status: "error", error: why });
      expect(lines.filter((line) => line.includes(why))).toHaveLength(1);
    }
    await world.end();
  },
  10_000,
);

test("one that takes another's place while that waits has its whole time", async () => {
  configureLog("error", () => {});
  const world = new SteppedWorld(true, "may not make");
  await world.begin();
  for (let count = 0; count < 3; count++) {
    await world.create(1);
    await world.quiet();
    await world.pass(200);
    await world.quiet();
    expect((await world.outcome()).phase).toBe("waiting");
  }
  await world.pass(100);
  await world.quiet();
  const { phase, status } = await world.outcome();
  expect({ phase, status }).toEqual({ phase: "failed", status: "error" });
  await world.end();
}, 10_000);

test("so has one that takes it while what would be refused is looked at", async () => {
  for (let answers = 0; answers < 24; answers++) {
    configureLog("error", () => {});
    const world = new SteppedWorld(true, "may not make");
    await world.begin();
    await world.create(1);
    await world.quiet();
    await world.pass(200);
    await world.create(1, { "frontend-id": "8" });
    await world.deliver(9);
    for (let answer = 0; answer < answers; answer++) {
      await world.serve(1);
      await world.deliver(9);
    }
    await world.create(1);
    await world.quiet();
    await world.pass(200);
    await world.quiet();
    expect((await world.outcome()).phase).toBe("waiting");
    await world.end();
  }
}, 10_000);

test("what may not be written is given up, and not tried without end", async () => {
  const lines: string[] = [];
  configureLog("error", (line) => lines.push(line));
  const world = new SteppedWorld(true, "may not make");
  await world.begin();
  await world.create(2);
  await world.denyBackend();
  await world.quiet();
  expect(lines.filter((line) => line.includes("EACCES"))).toHaveLength(1);
  expect((await world.outcome()).phase).toBe("failed");
  await world.end();
}, 10_000);
