/** The lifecycle machine: random walks through all that can happen, and its decision table. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ABSENT, type Observation, wishOf } from "../../../core/lifecycle/observation.ts";
import { transition } from "../../../core/lifecycle/machine.ts";
import { type Effect, INITIAL, type LifecycleEvent } from "../../../core/lifecycle/state.ts";
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

  describe("with its effects", () => {
    const rules = {
      ...{ times: DEFAULT_TIMES, waitsForBackend: true },
      ...{ servedByQemu: false, removesWithoutDirectory: false },
    };
    const there = { ...ABSENT, present: true, online: true, frontendPresent: true };
    const seen = (more: Partial<Observation>): LifecycleEvent => ({
      type: "seen",
      observation: { ...there, ...more },
    });
    const recorded: LifecycleEvent[] = [
      seen({ state: 2 }),
      { type: "recorded", attachId: "an-attach" },
    ];
    /** Where it is in the end, and the effects of the last event, each by its name. */
    const taken = (events: readonly LifecycleEvent[]) => {
      let [state, effects] = [INITIAL, [] as readonly Effect[]];
      for (const event of events) ({ state, effects } = transition(state, event, rules));
      return { state, effects, names: effects.map((effect) => effect.do) };
    };

    test("an undoing that fails is tried again later each time, up to the longest pause", () => {
      const { retry, retryMost } = DEFAULT_TIMES;
      const failed: LifecycleEvent[] = [...recorded, { type: "add-failed", error: "no luck" }];
      for (let time = 0; time < 12; time++) {
        failed.push({ type: "remove-failed", error: "busy" });
        const { effects, state } = taken(failed);
        const pauses = effects.flatMap((effect) =>
          effect.do === "start-timer" && effect.timer === "retry" ? [effect.ms] : []
        );
        expect(pauses).toEqual([Math.min(retry * 2 ** time, retryMost)]);
        expect([state.tries, state.paused, state.stuck]).toEqual([time + 1, true, "busy"]);
        failed.push({ type: "retry-expired" });
        expect(taken(failed).names).toContain("remove");
      }
      // And the next one that fails begins with the shortest.
      const { state } = taken([...failed, { type: "remove-done" }]);
      expect([state.phase, state.tries, state.stuck]).toEqual(["failed", 0, null]);
    });

    test("what was undone once is not undone again with the detach", () => {
      const detached = seen({ online: false, state: 6, attachId: "an-attach" });
      const undone: LifecycleEvent[] = [
        ...recorded,
        { type: "add-failed", error: "no luck" },
        { type: "remove-done" },
        detached,
        { type: "kernel-released" },
      ];
      expect(taken(undone.slice(0, 4)).state).toMatchObject({ phase: "failed", acquired: false });
      expect(taken(undone)).toMatchObject({ names: ["stop-timer"], state: { phase: "holding" } });
    });

    test("nor what was undone to be set up anew, when that does not come to it", () => {
      const redone: LifecycleEvent[] = [
        ...recorded,
        { type: "add-done" },
        seen({ state: 2, attachId: "another" }),
        { type: "remove-done" },
        seen({ online: false, state: 6 }),
        { type: "kernel-released" },
      ];
      expect(taken(redone.slice(0, 5)).state).toMatchObject({ phase: "waiting", acquired: false });
      expect(taken(redone)).toMatchObject({ names: ["stop-timer"], state: { phase: "holding" } });
    });

    test("nor what was removed, when its directory is deleted", () => {
      for (const type of ["hold-expired", "remove-done"] as const) {
        const removed: LifecycleEvent[] = [
          ...recorded,
          { type: "add-done" },
          seen({ online: false, state: 6, attachId: "an-attach" }),
          { type: "kernel-released" },
          ...(type === "hold-expired" ? [{ type }] as const : []),
          { type: "remove-done" },
        ];
        const { state } = taken(removed);
        expect(state.acquired).toBeFalse();
        expect(state.phase).toBe(type === "hold-expired" ? "deleting" : "holding");
      }
    });
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
