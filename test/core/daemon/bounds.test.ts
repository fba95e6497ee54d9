/** What keeps guests from delaying each other: slots, looks, and work that must not overlap. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { Exclusive } from "../../../core/daemon/capabilities/exclusive.ts";
import { Slots } from "../../../core/daemon/slots.ts";
import { Throttle } from "../../../core/daemon/throttle.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const patient = new AbortController().signal;
const turn = () => new Promise((resolve) => setTimeout(resolve, 0));

describe("slots", () => {
  const limits = { shared: 2, perGuest: 2, total: 6 };

  test("a guest without any gets one, however much others wait for", async () => {
    const slots = new Slots(limits);
    for (let index = 0; index < 10; index++) slots.acquire(1, patient);
    await turn();
    expect(slots.running).toBe(2);
    expect(slots.waiting).toBe(8);
    let got = false;
    slots.acquire(2, patient).then(() => got = true);
    await turn();
    expect(got).toBeTrue();
  });

  test("a signal that has fired gets none, and leaves none behind", async () => {
    const slots = new Slots(limits);
    const fired = AbortSignal.abort(new Error("no longer wanted"));
    await expect(slots.acquire(1, fired)).rejects.toThrow("no longer wanted");
    expect([slots.running, slots.waiting]).toEqual([0, 0]);
    // One that fires while it waits takes its place in the queue with it.
    for (let index = 0; index < 2; index++) await slots.acquire(1, patient);
    const abort = new AbortController();
    const waiting = slots.acquire(1, abort.signal);
    expect(slots.waiting).toBe(1);
    abort.abort(new Error("too late"));
    await expect(waiting).rejects.toThrow("too late");
    expect([slots.running, slots.waiting]).toEqual([2, 0]);
  });

  test("limits hold at any time, everybody gets one in the end, first come first served", async () => {
    const steps = fc.array(
      fc.record({
        guest: fc.integer({ min: 1, max: 5 }),
        do: fc.constantFrom("acquire", "acquire", "release", "abort"),
        which: fc.nat(20),
      }),
      { maxLength: 60, size: "max" },
    );
    await fc.assert(
      fc.asyncProperty(steps, async (script) => {
        const slots = new Slots(limits);
        const held: { guest: number; release: () => void }[] = [];
        const waiting: AbortController[] = [];
        const order = new Map<number, number[]>();
        let number = 0;
        const checkLimits = () => {
          expect(slots.running).toBe(held.length);
          expect(held.length).toBeLessThanOrEqual(limits.total);
          for (let guest = 1; guest <= 5; guest++) {
            const own = held.filter((slot) => slot.guest === guest).length;
            expect(own).toBeLessThanOrEqual(limits.perGuest);
          }
        };
        for (const step of script) {
          if (step.do === "acquire") {
            const abort = new AbortController();
            const mine = number++;
            waiting.push(abort);
            slots.acquire(step.guest, abort.signal).then((release) => {
              held.push({ guest: step.guest, release });
              waiting.splice(waiting.indexOf(abort), 1);
              const served = order.get(step.guest) ?? [];
              // Of one guest, whoever came first is served first.
              expect(served.at(-1) ?? -1).toBeLessThan(mine);
              order.set(step.guest, [...served, mine]);
            }, () => waiting.splice(waiting.indexOf(abort), 1));
          } else if (step.do === "release") {
            const [slot] = held.splice(step.which % Math.max(1, held.length), 1);
            slot?.release();
            slot?.release();
          } else waiting[step.which % Math.max(1, waiting.length)]?.abort();
          await Promise.resolve();
          await Promise.resolve();
          await Promise.resolve();
          checkLimits();
        }
        while (held.length > 0) {
          held.shift()?.release();
          await turn();
        }
        expect(slots.waiting).toBe(0);
        expect(slots.running).toBe(0);
      }),
      { numRuns: 150 },
    );
  });
});

describe("throttle", () => {
  const limits = { burst: 3, perSecond: 10 };

  test("what comes too often is merged by key and comes later; other guests are not delayed", () => {
    const clock = new FakeClock();
    const throttle = new Throttle(clock, limits);
    const ran: string[] = [];
    for (let round = 0; round < 100; round++) {
      for (const key of ["a", "b"]) throttle.run(1, key, () => ran.push(`${key}${round}`));
    }
    expect(ran).toEqual(["a0", "b0", "a1"]);
    throttle.run(2, "c", () => ran.push("c"));
    expect(ran.at(-1)).toBe("c");
    clock.skip(100);
    clock.skip(100);
    expect(ran.slice(4)).toEqual(["b99", "a99"]);
    clock.skip(10_000);
    expect(ran).toHaveLength(6);
  });

  test("in the long run no more than the rate, and the last call for a key always comes", () => {
    const steps = fc.array(
      fc.record({ wait: fc.integer({ min: 0, max: 300 }), key: fc.constantFrom("a", "b", "c") }),
      { maxLength: 200, size: "max" },
    );
    fc.assert(
      fc.property(steps, (script) => {
        const clock = new FakeClock();
        const throttle = new Throttle(clock, limits);
        const last = new Map<string, number>();
        const seen = new Map<string, number>();
        let looks = 0;
        let time = 0;
        script.forEach(({ wait, key }, index) => {
          clock.skip(wait);
          time += wait;
          last.set(key, index);
          throttle.run(1, key, () => {
            looks++;
            seen.set(key, index);
          });
          expect(looks).toBeLessThanOrEqual(limits.burst + time / 1000 * limits.perSecond + 1);
        });
        clock.skip(1_000);
        expect(seen).toEqual(last);
      }),
      { numRuns: 500 },
    );
  });

  test("guests that are quiet are forgotten", () => {
    const clock = new FakeClock();
    const throttle = new Throttle(clock, limits);
    for (let guest = 1; guest <= 1_000; guest++) {
      throttle.run(guest, "x", () => {});
      clock.skip(50);
    }
    expect(throttle.size).toBeLessThan(10);
  });
});

describe("exclusive work", () => {
  test("of one name never overlaps, also when some give up waiting or fail", async () => {
    const exclusive = new Exclusive();
    let running = 0;
    let runs = 0;
    const results = await Promise.allSettled(
      Array.from({ length: 50 }, (_, index) => {
        const abort = new AbortController();
        if (index % 7 === 3) setTimeout(() => abort.abort(new Error("gave up")), 2);
        return exclusive.run("x", abort.signal, async () => {
          expect(++running).toBe(1);
          runs++;
          await turn();
          running--;
          if (index % 5 === 0) throw new Error("failed");
        });
      }),
    );
    expect(running).toBe(0);
    expect(results.filter(({ status }) => status === "fulfilled").length).toBeGreaterThan(20);
    expect(runs).toBeGreaterThan(40);
  });

  test("names do not wait for each other", async () => {
    const exclusive = new Exclusive();
    exclusive.run("x", patient, () => new Promise(() => {}));
    expect(await exclusive.run("y", patient, async () => 1)).toBe(1);
  });
});
