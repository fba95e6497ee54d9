/** The flight recorder keeps what happened last, in so many bytes, whatever happens. */
import { expect, test } from "bun:test";
import { BUCKETS_MS, Counters } from "../../../../core/daemon/flight/counters.ts";
import {
  FLIGHT_BYTES_MAX,
  FlightRecorder,
  OPERATION_BYTES_MAX,
  OPERATIONS_OF_DEVICE,
} from "../../../../core/daemon/flight/flight_recorder.ts";
import { FakeClock } from "../../../support/fake_clock.ts";

test("an operation is told with when and how long, in tenths of milliseconds", () => {
  const clock = new FakeClock();
  const recorder = new FlightRecorder(clock);
  const attach = recorder.begin("vbd/7/1", "attach");
  clock.skip(1.234);
  recorder.add(attach, "script", "/block add", 0.9876);
  expect(recorder.history("vbd/7/1")).toMatchObject([{ outcome: "running", durationMs: null }]);
  clock.skip(1);
  recorder.end(attach, "done");
  recorder.end(attach, "failed", "too late");
  expect(recorder.history("vbd/7/1")).toMatchObject([{
    ...{ operation: "attach", durationMs: 2.2, outcome: "done", error: null, lost: 0 },
    events: [{ atMs: 1.2, who: "script", what: "/block add", tookMs: 1 }],
  }]);
  expect(recorder.history("vbd/7/2")).toEqual([]);
});

test("a script that prints without end leaves the beginning and the end", () => {
  const recorder = new FlightRecorder(new FakeClock());
  const attach = recorder.begin("vbd/7/1", "attach");
  const listened: string[] = [];
  const end = recorder.listen("vbd/7/1", (_, { what }) => void listened.push(what));
  for (let line = 0; line < 5_000; line++) recorder.add(attach, "script", `line ${line}`);
  recorder.add(attach, "script", "x".repeat(100_000));
  end();
  recorder.add(attach, "script", "last");
  const [{ events, lost }] = recorder.history("vbd/7/1") as [
    ReturnType<FlightRecorder["history"]>[0],
  ];
  expect(events[0]!.what).toBe("line 0");
  expect(events.at(-1)!.what).toBe("last");
  expect(events.length + lost).toBe(5_002);
  const size = events.reduce((sum, { what }) => sum + what.length, 0);
  expect(size).toBeLessThan(OPERATION_BYTES_MAX);
  recorder.end(attach, "done");
  expect(recorder.history("vbd/7/1")[0]!.events).toEqual(events);
  expect(listened).toHaveLength(5_001);
});

test("of one device the last are kept, and of all what room there is for", () => {
  const recorder = new FlightRecorder(new FakeClock());
  expect(recorder.bytes).toBe(0);
  const errorsOf = (device: string) => recorder.history(device).map(({ error }) => error);
  recorder.end(recorder.begin("vbd/9/1", "attach"), "failed", "long ago");
  // One that comes and goes without end keeps nobody else out.
  for (let count = 0; count < 20_000; count++) {
    recorder.end(recorder.begin("vbd/7/1", "attach"), "failed", `try ${count}`);
  }
  expect(errorsOf("vbd/7/1")).toHaveLength(OPERATIONS_OF_DEVICE);
  expect(errorsOf("vbd/7/1").at(-1)).toBe("try 19999");
  expect(errorsOf("vbd/9/1")).toEqual(["long ago"]);
  for (let device = 0; device < 5_000; device++) {
    const attach = recorder.begin(`vbd/8/${device}`, "attach");
    for (let line = 0; line < 10; line++) recorder.add(attach, "kernel", "backend/state = Größe");
    recorder.end(attach, "done");
    expect(recorder.bytes).toBeLessThanOrEqual(FLIGHT_BYTES_MAX);
  }
  expect(errorsOf("vbd/7/1")).toEqual([]);
  for (let device = 4_400; device < 5_000; device++) {
    expect(recorder.history(`vbd/8/${device}`)).toHaveLength(1);
  }
  expect(recorder.history("vbd/8/4999")[0]!.events.at(-1)!.what).toBe("backend/state = Größe");
});

test("what runs is kept, even when there is no room left", () => {
  const recorder = new FlightRecorder(new FakeClock(), 2_000);
  const running = Array.from(
    { length: 100 },
    (_, device) => recorder.begin(`vbd/7/${device}`, "attach"),
  );
  for (const one of running) recorder.add(one, "daemon", "being set up");
  expect(recorder.history("vbd/7/0")).toHaveLength(1);
  for (const one of running) recorder.end(one, "done");
  expect(recorder.bytes).toBeLessThanOrEqual(2_000);
  expect(recorder.history("vbd/7/99")).toHaveLength(1);
  const chatty = recorder.begin("vbd/7/1", "detach");
  for (let line = 0; line < 100; line++) recorder.add(chatty, "script", "x".repeat(100));
  // Longer than all that there is room for.
  recorder.end(chatty, "done");
  expect(recorder.bytes).toBeLessThanOrEqual(2_000);
  expect(recorder.history("vbd/7/99")).toHaveLength(1);
});

test("a text that looks like two events is one", () => {
  const recorder = new FlightRecorder(new FakeClock());
  const attach = recorder.begin("vbd/7/1", "attach");
  recorder.add(attach, "script", "a\n0\tdaemon\tset up\t");
  recorder.end(attach, "failed", "why\tand\nhow");
  const [{ events, error }] = recorder.history("vbd/7/1") as [
    ReturnType<FlightRecorder["history"]>[0],
  ];
  expect(events).toHaveLength(1);
  expect(error).toBe("why\\x09and how");
});

test("durations are counted in classes, each with those before it", () => {
  const counters = new Counters();
  for (const ms of [1, 5, 5.01, 70_000]) counters.succeeded("vbd", "attach", ms);
  counters.failed("vbd", "attach");
  counters.failure("no such file [target-missing]");
  counters.failure("no code");
  const [{ duration, ...counts }] = counters.operations as [Counters["operations"][0]];
  expect(counts).toEqual({ kind: "vbd", operation: "attach", succeeded: 4, failed: 1 });
  const classes = Object.fromEntries(duration.buckets.map(({ leMs, count }) => [leMs, count]));
  expect(classes).toMatchObject({ 2: 1, 5: 2, 10: 3, 60000: 3 });
  expect(duration).toMatchObject({ count: 4, sumMs: 70_011 });
  expect(duration.buckets.map(({ leMs }) => leMs)).toEqual([...BUCKETS_MS]);
  expect(counters.failures).toEqual([
    { code: "target-missing", count: 1 },
    { code: "failed", count: 1 },
  ]);
});
