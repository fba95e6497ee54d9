/** Processes that do not end at once: orphans of an earlier daemon, and those that serve a device. */
import { beforeEach, describe, expect, test } from "bun:test";
import { ChildKeeper } from "../../../core/daemon/capabilities/children.ts";
import { OPERATION_VARIABLE, Orphans } from "../../../core/daemon/device/orphans.ts";
import { openLog } from "../../../core/log/log.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { type FakeProcess, FakeProcesses } from "../../support/fake_processes.ts";

let clock: FakeClock;
let processes: FakeProcesses;

beforeEach(() => {
  clock = new FakeClock();
  processes = new FakeProcesses();
});

/** What comes of a promise, once it has. */
function outcome(work: Promise<unknown>): { value?: unknown; error?: Error; over: boolean } {
  const seen: { value?: unknown; error?: Error; over: boolean } = { over: false };
  work.then(
    (value) => Object.assign(seen, { value, over: true }),
    (error) => Object.assign(seen, { error, over: true }),
  );
  return seen;
}

describe("orphans", () => {
  let orphans: Orphans;

  beforeEach(() => orphans = new Orphans(processes, clock));

  const start = (operation: string, ...ignores: string[]): FakeProcess => {
    const made = processes.add(["/s/block"], { [OPERATION_VARIABLE]: operation });
    for (const signal of ignores) made.ignores.add(signal);
    return made;
  };

  test("without any, nothing is waited for", async () => {
    start("other");
    expect(await orphans.ended("one", 1_000)).toBe(false);
    expect(clock.pending).toBe(0);
  });

  test("one that ends by itself is not told to; those of other operations are nobody's business", async () => {
    const [own, part] = [start("one"), start("one/part")];
    const others = ["on", "one2", "x/one", ""].map((operation) => start(operation));
    const ended = outcome(orphans.ended("one", 1_000));
    await clock.advance(900);
    own.exit();
    await clock.advance(99);
    expect(ended.over).toBe(false);
    part.exit();
    await clock.advance(200);
    expect(ended).toEqual({ over: true, value: false });
    for (const one of [own, part, ...others]) expect(one.signals).toEqual([]);
  });

  test("TERM once when the time is up, KILL 2 s later and not before", async () => {
    const stubborn = start("one", "SIGTERM");
    const ended = outcome(orphans.ended("one", 1_000));
    await clock.advance(999);
    expect(stubborn.signals).toEqual([]);
    await clock.advance(101);
    expect(stubborn.signals).toEqual(["SIGTERM"]);
    await clock.advance(1_850);
    expect(stubborn.signals).toEqual(["SIGTERM"]);
    await clock.advance(150);
    expect(stubborn.signals).toEqual(["SIGTERM", "SIGKILL"]);
    await clock.advance(100);
    expect(ended).toEqual({ over: true, value: true });
    expect(clock.pending).toBe(0);
  });

  test("what even KILL does not end is given up, 4 s after the time was up and not before", async () => {
    const dead = start("one", "SIGTERM", "SIGKILL");
    const ended = outcome(orphans.ended("one", 0));
    await clock.advance(3_900);
    expect(ended.over).toBe(false);
    await clock.advance(200);
    expect(ended.error?.message).toContain(`processes ${dead.pid} of an earlier operation`);
  });

  test("KILL goes to those, too, that came after the first ones had got it", async () => {
    const first = start("one", "SIGTERM");
    const ended = outcome(orphans.ended("one", 0));
    await clock.advance(1_950);
    const [second, third] = [start("one", "SIGTERM"), start("one", "SIGTERM")];
    third.ignores.add("SIGKILL");
    await clock.advance(150);
    const late = start("one");
    third.ignores.delete("SIGKILL");
    await clock.advance(200);
    expect([first, second, third, late].map(({ alive }) => alive)).toEqual([
      ...[false, false, false, false],
    ]);
    expect(ended.over).toBe(true);
  });

  test("what was stopped gets KILL at once, or TERM first; and is looked for once more", async () => {
    const one = start("one");
    const killed = outcome(orphans.end("one", "SIGKILL"));
    await settle();
    expect(one.signals).toEqual(["SIGKILL"]);
    // One that was about to become another program was not to be seen by its environment.
    await clock.advance(100);
    const hidden = start("one");
    await clock.advance(1_000);
    expect([hidden.signals, killed.over]).toEqual([["SIGKILL"], true]);
    expect([...await orphans.operations()]).toEqual([]);

    const two = start("two", "SIGTERM");
    const ended = outcome(orphans.end("two", "SIGTERM"));
    await clock.advance(1_900);
    expect([two.signals, ended.over]).toEqual([["SIGTERM"], false]);
    await clock.advance(1_000);
    expect([two.signals, ended.over]).toEqual([["SIGTERM", "SIGKILL"], true]);
  });
});

describe("a device's processes", () => {
  let keeper: ChildKeeper;
  let exits: number;
  const held: string[] = [];

  const children = (mark = "mark") =>
    keeper.of({
      mark,
      path: "/bin",
      log: openLog("test"),
      hold: (name) => void held.push(name),
      onExit: () => exits++,
    });

  beforeEach(() => {
    keeper = new ChildKeeper(processes, processes, clock);
    [exits, held.length] = [0, 0];
  });

  test("one that is stopped on purpose has not failed", async () => {
    await children().start("server", ["/bin/server"]);
    const stopping = outcome(children().stop("server"));
    await clock.advance(100);
    expect(stopping).toEqual({ over: true, value: undefined });
    expect(exits).toBe(0);
    expect(await keeper.endOf("mark", "server")).toBe("its process server has ended");
  });

  test("one that ends by itself has, with its last line; a stop afterwards is forgiving", async () => {
    await children().start("server", ["/bin/server"]);
    processes.alive[0]!.print("no port");
    processes.alive[0]!.print("  ");
    processes.alive[0]!.exit({ code: 3, signal: null });
    await settle();
    expect(exits).toBe(1);
    expect(await keeper.endOf("mark", "server")).toBe(
      "its process server has ended: exit status 3: no port",
    );
    await children().stop("server");
    expect(await keeper.endOf("mark", "server")).toBe("its process server has ended");
    expect(exits).toBe(1);
  });

  test("one that does not end gets TERM, 2 s later KILL; it is waited for, and not for ever", async () => {
    await children().start("server", ["/bin/server"]);
    const [server] = processes.alive;
    server!.ignores.add("SIGTERM");
    const stopping = outcome(children().stop("server"));
    await clock.advance(1_900);
    expect(new Set(server!.signals)).toEqual(new Set(["SIGTERM"]));
    expect(stopping.over).toBe(false);
    await clock.advance(200);
    expect(server!.signals).toContain("SIGKILL");
    await clock.advance(100);
    expect(stopping.over).toBe(true);
    expect(exits).toBe(0);

    await children().start("stuck", ["/bin/stuck"]);
    const stuck = processes.alive.at(-1)!;
    for (const signal of ["SIGTERM", "SIGKILL"]) stuck.ignores.add(signal);
    const given = outcome(children().stop("stuck"));
    await clock.advance(3_900);
    expect(given.over).toBe(false);
    await clock.advance(300);
    expect(given.error?.message).toBe(`processes ${stuck.pid} do not end`);
  });

  test("what an earlier daemon has started is found by its mark, not started twice, and stopped", async () => {
    await children().start("server", ["/bin/server"]);
    const [server] = processes.alive;
    keeper = new ChildKeeper(processes, processes, clock);
    expect(await children().running("server")).toBe(true);
    expect(await children("other").running("server")).toBe(false);
    await children().start("server", ["/bin/server"]);
    expect(processes.alive).toHaveLength(1);
    expect(held).toEqual(["server"]);
    const stopping = outcome(keeper.stopAll("mark"));
    await clock.advance(100);
    expect([stopping.over, server!.signals]).toEqual([true, ["SIGTERM"]]);
  });
});
