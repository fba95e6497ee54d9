/** What is being done for a device, and since when. */
import { expect, test } from "bun:test";
import { Activity, shownTime } from "../../../core/daemon/activity.ts";
import { FakeClock } from "../../support/fake_clock.ts";

test("the newest that has not ended is told, with its own time", async () => {
  const clock = new FakeClock();
  const ended: [string, number][] = [];
  const activity = new Activity(clock, (what, ms) => ended.push([what, ms]));
  expect([activity.current, activity.now]).toEqual([null, null]);
  // The clock is past its beginning.
  await clock.advance(5_000);
  const first = activity.begin("its turn");
  await clock.advance(1_500);
  const second = activity.begin("script add");
  await clock.advance(250);
  expect(activity.now).toEqual({ what: "script add", ms: 250 });
  expect(activity.current).toBe("script add (for 250 ms)");
  second();
  second();
  expect(activity.now).toEqual({ what: "its turn", ms: 1_750 });
  expect(activity.current).toBe("its turn (for 1.8 s)");
  first();
  expect(activity.current).toBeNull();
  expect(ended).toEqual([["script add", 250], ["its turn", 1_750]]);
});

test.each([
  [0, "1 ms"],
  [0.4, "1 ms"],
  [999, "999 ms"],
  [1_000, "1.0 s"],
  [99_940, "99.9 s"],
  [100_000, "100 s"],
  [123_456, "123 s"],
])("%d ms are shown as %s", (ms, text) => expect(shownTime(ms)).toBe(text));
