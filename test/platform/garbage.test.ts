/** When garbage is collected. */
import { beforeEach, expect, test } from "bun:test";
import { IdleCollector } from "../../platform/idle_collector.ts";
import { FakeClock } from "../support/fake_clock.ts";

let clock: FakeClock;
let collected: number[];
let collector: IdleCollector;

beforeEach(() => {
  clock = new FakeClock();
  collected = [];
  collector = new IdleCollector(clock, () => collected.push(clock.now()));
});

test("when nothing has happened for a second, once", () => {
  collector.busy();
  clock.skip(900);
  collector.busy();
  clock.skip(60_000);
  expect(collected).toEqual([1_900]);
  expect(clock.pending).toBe(0);
});

test("after 30 s at the latest, and then anew", () => {
  for (let half = 0; half < 80; half++) {
    collector.busy();
    clock.skip(500);
  }
  expect(collected).toEqual([30_000]);
  clock.skip(10_000);
  expect(collected).toEqual([30_000, 40_500]);
});

test("without any happening, nothing waits", () => {
  expect(clock.pending).toBe(0);
});
