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
  expect(recorder.bytes).toBeLessThanOrEqual(OPERATION_BYTES_MAX);
  expect(listened).toHaveLength(5_001);
});

test("of one device the last are kept, and of all what room there is for", () => {
  const recorder = new FlightRecorder(new FakeClock());
  for (let count = 0; count < 20; count++) {
    recorder.end(recorder.begin("vbd/7/1", "attach"), "failed", `try ${count}`);
  }
  const errors = recorder.history("vbd/7/1").map(({ error }) => error);
  expect(errors).toHaveLength(OPERATIONS_OF_DEVICE);
  expect(errors.at(-1)).toBe("try 19");
  for (let device = 0; device < 5_000; device++) {
    const attach = recorder.begin(`vbd/8/${device}`, "attach");
    for (let line = 0; line < 10; line++) {
      recorder.add(attach, "kernel", "backend/state = InitWait");
    }
    recorder.end(attach, "done");
    expect(recorder.bytes).toBeLessThanOrEqual(FLIGHT_BYTES_MAX);
  }
  expect(recorder.history("vbd/7/1")).toEqual([]);
  expect(recorder.history("vbd/8/4999")).toHaveLength(1);
});

test("what runs is kept, even when there is no room left", () => {
  const recorder = new FlightRecorder(new FakeClock(), 10_000);
  const running = Array.from(
    { length: 100 },
    (_, device) => recorder.begin(`vbd/7/${device}`, "attach"),
  );
  for (const one of running) recorder.add(one, "daemon", "being set up");
  expect(recorder.history("vbd/7/0")).toHaveLength(1);
  for (const one of running) recorder.end(one, "done");
  expect(recorder.bytes).toBeLessThanOrEqual(10_000);
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
