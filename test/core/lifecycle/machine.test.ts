/** The lifecycle machine: random walks through all that can happen, and its decision table. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ABSENT, type Observation, wishOf } from "../../../core/lifecycle/observation.ts";
import { transition } from "../../../core/lifecycle/machine.ts";
import { INITIAL, type LifecycleEvent } from "../../../core/lifecycle/state.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { guards, type Row, TABLE } from "../../../core/lifecycle/table.ts";
import { type Ending, type Walk, walk, walks, type WalkStep } from "./walk.ts";

/** A walk of one device; each step is an action, and a value after a colon if that matters. */
function scripted(actions: readonly string[], ending: Ending): Walk {
  const steps = actions.map((each) => {
    const [action, value = "0"] = each.split(":");
    return { action: action as WalkStep["action"], device: 0, value: Number(value) };
  });
  return { steps, ending };
}

describe("lifecycle machine", () => {
  test("random walks of four devices of two guests keep the invariants, and come to an end", () => {
    fc.assert(fc.property(walks, (some) => walk(some)), { numRuns: 40_000 });
  }, 60_000);

  test("a patience that ends while it is about to be stopped says nothing of the next directory", () => {
    const first = ["take", "create:3", "run", "finishBadly", "performAll", "finish", "run", "nuke"];
    walk(scripted([...first, "look", "create:3", "timer", "run", "finishBadly"], "gone"));
  });

  test("a device that is to be closed is closed, though its nodes make no sense by then", () => {
    walk(scripted(["create:7", "run", "fault", "finish", "evict"], "wanted"));
  });

  test("what was lost is set up again, though its backend still says Connected", () => {
    const rules = {
      ...{ times: DEFAULT_TIMES, waitsForBackend: true },
      ...{ servedByQemu: false, removesWithoutDirectory: false },
    };
    const observation = { ...ABSENT, present: true, online: true, frontendPresent: true };
    const seen = { type: "seen", observation: { ...observation, state: 4, served: true } } as const;
    const events: LifecycleEvent[] = [
      seen,
      { type: "adopted", attachId: "an-attach" },
      { type: "undone", error: "its export is gone" },
      { type: "remove-done" },
      seen,
    ];
    let state = INITIAL;
    const phases = events.map((event) => (state = transition(state, event, rules).state).phase);
    expect(phases).toEqual(["connected", "connected", "redoing", "waiting", "recording"]);
    // Of the next one in its place, the same says that it is served.
    for (
      const event of [
        { type: "record-missed" },
        { type: "seen", observation: ABSENT },
        seen,
      ] as LifecycleEvent[]
    ) state = transition(state, event, rules).state;
    expect(state.phase).toBe("connected");
  });

  test("a table that lacks any of its rows does not keep them", () => {
    const survivors = TABLE.filter((row) => {
      const table = TABLE.filter((other) => other !== row);
      const some = fc.property(walks, (one) => walk(one, table));
      return !fc.check(some, { numRuns: 20_000, endOnFailure: true }).failed;
    });
    const names = survivors.map(({ from, on, when = [] }) => `${from.join("|")} ${on} ${when}`);
    expect(names).toEqual([]);
  }, 120_000);

  test("a table in which any row does not tell what it tells does not keep them", () => {
    const tellers = TABLE.filter((row) => row.tells !== undefined);
    expect(tellers.length).toBeGreaterThan(20);
    const survivors = tellers.filter((row) => {
      // Told to nobody: an info is no telling.
      const { tells: _, ...mute } = row;
      const table = TABLE.map((other) => other === row ? mute as Row : other);
      const some = fc.property(walks, (one) => walk(one, table));
      return !fc.check(some, { numRuns: 20_000, endOnFailure: true }).failed;
    });
    const names = survivors.map(({ from, on, when = [] }) => `${from.join("|")} ${on} ${when}`);
    expect(names).toEqual([]);
  }, 120_000);

  test("nor does a table whose rows tell that something failed, and not why", () => {
    const survivors = TABLE.filter(({ on, tells }) => tells !== undefined && on.endsWith("failed"))
      .filter((row) => {
        const vague = { ...row, tells: () => ({ level: "warning", text: "its removal failed" }) };
        const table = TABLE.map((other) => other === row ? vague as Row : other);
        const some = fc.property(walks, (one) => walk(one, table));
        return !fc.check(some, { numRuns: 20_000, endOnFailure: true }).failed;
      });
    expect(survivors).toEqual([]);
  }, 120_000);

  test("nor does a machine that tells of no failure that no row expects", () => {
    const some = fc.property(walks, (one) => walk(one, TABLE, true));
    expect(fc.check(some, { numRuns: 20_000, endOnFailure: true }).failed).toBeTrue();
  }, 60_000);

  test("every row of the table can be reached, and every condition is used", () => {
    const used = new Set(TABLE.flatMap((row) => row.when ?? []));
    for (const name of Object.keys(guards)) expect([...used]).toContain(name as never);
    for (const [index, row] of TABLE.entries()) {
      const shadow = TABLE.slice(0, index).find((earlier) =>
        earlier.on === row.on && row.from.every((phase) => earlier.from.includes(phase)) &&
        (earlier.when ?? []).every((name) => row.when?.includes(name))
      );
      expect(shadow).toBeUndefined();
    }
  });
});

describe("decisions", () => {
  const served = { ...ABSENT, present: true, online: true, frontendPresent: true };
  test.each([
    [{ ...served, state: 1 }, "present"],
    [{ ...served, state: 4 }, "present"],
    [{ ...served, state: 7 }, "present"],
    [{ ...served, state: 5 }, "idle"],
    [{ ...served, state: 6 }, "idle"],
    [{ ...served, state: 4, frontendPresent: false }, "dead"],
    [{ ...served, state: 2, fault: "x" }, "refused"],
    [{ ...served, state: undefined }, "unclear"],
    [{ ...served, state: 2, online: undefined }, "unclear"],
    [{ ...served, state: 4, online: false }, "closing"],
    [{ ...served, state: 6, online: false }, "removal"],
    [{ ...served, state: 6, online: false, fault: "x" }, "removal"],
    [ABSENT, "gone"],
  ] as [Observation, string][])("%j is %s", (observation, wish) => {
    expect(wishOf(observation)).toBe(wish as never);
  });
});
