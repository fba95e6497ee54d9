/**
 * Random walks through the lifecycle machine: a world in which the toolstack, the guest, the
 * kernel, the plugin and the clock each do what they may, in any order.
 */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { DEFAULT_TIMES } from "../../../core/lifecycle/constants.ts";
import {
  type Effect,
  INITIAL,
  type LifecycleEvent,
  type LifecycleRules,
  type LifecycleState,
  transition,
} from "../../../core/lifecycle/machine.ts";
import { ABSENT, type Observation, wishOf } from "../../../core/lifecycle/observation.ts";
import { guards, TABLE } from "../../../core/lifecycle/table.ts";
import type { XenbusState } from "../../../core/device/states.ts";

const rules: LifecycleRules = { times: DEFAULT_TIMES, waitsForBackend: true };

/** What one actor does next; numbers choose among what is possible. */
const steps = fc.array(
  fc.oneof(
    { weight: 3, arbitrary: fc.record({ do: fc.constant("look" as const) }) },
    {
      weight: 3,
      arbitrary: fc.record({
        do: fc.constant("state" as const),
        state: fc.integer({ min: 0, max: 8 }),
      }),
    },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("create" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("offline" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("nuke" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("guest-dies" as const) }) },
    { weight: 1, arbitrary: fc.record({ do: fc.constant("garbage" as const) }) },
    { weight: 4, arbitrary: fc.record({ do: fc.constant("finish" as const), ok: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("timer" as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("kernel" as const) }) },
    { weight: 3, arbitrary: fc.record({ do: fc.constant("deletion" as const) }) },
  ),
  { maxLength: 60 },
);

/** The world around one device, which also keeps the invariants. */
class World {
  state: LifecycleState = INITIAL;
  directory: Observation = ABSENT;
  running: "add" | "remove" | null = null;
  aborted = false;
  timers = new Set<"wait" | "hold">();
  kernelAwaited = 0;
  deleting = false;
  /** What a plugin holds: true from the start of an add to the end of a remove. */
  held = false;
  log: string[] = [];

  look(): void {
    this.feed({ type: "seen", observation: this.directory });
  }

  feed(event: LifecycleEvent): void {
    this.log.push(event.type);
    const { state, effects } = transition(this.state, event, rules);
    this.state = state;
    for (const effect of effects) this.perform(effect);
    if (state.phase === "connected") expect(this.running).toBeNull();
  }

  perform(effect: Effect): void {
    this.log.push(`  ${effect.do}`);
    switch (effect.do) {
      case "start-timer":
        this.timers.add(effect.timer);
        return;
      case "stop-timer":
        this.timers.delete(effect.timer);
        return;
      case "add":
        expect(this.running).toBeNull();
        expect(this.held).toBeFalse();
        expect(wishOf(this.directory)).toBe("present");
        this.running = "add";
        this.held = true;
        this.aborted = false;
        return;
      case "abort-add":
        expect(this.running).toBe("add");
        this.aborted = true;
        return;
      case "remove":
        expect(this.running).toBeNull();
        this.running = "remove";
        return;
      case "adopt":
        expect(this.directory.served).toBeTrue();
        this.held = true;
        return;
      case "await-kernel":
        this.kernelAwaited++;
        return;
      case "delete":
        expect(this.running).toBeNull();
        expect(this.held).toBeFalse();
        expect(this.deleting).toBeFalse();
        this.deleting = true;
        return;
      case "close-backend":
        expect(this.running).toBeNull();
        if (this.directory.present) this.directory = { ...this.directory, state: 6 };
        return;
      case "publish-error":
        expect(effect.error).not.toBe("");
        return;
      case "forget":
        expect(this.running).toBeNull();
        expect(this.held).toBeFalse();
        return;
      case "report":
        return;
    }
  }

  finish(ok: boolean): void {
    const { running } = this;
    if (running === null) return;
    this.running = null;
    if (running === "remove") {
      // A failing remove gives up what is held all the same: nothing more can be done about it.
      this.held = false;
      this.feed(ok ? { type: "remove-done" } : { type: "remove-failed", error: "no" });
    } else this.feed(ok ? { type: "add-done" } : { type: "add-failed", error: "no" });
  }

  expire(): void {
    const [timer] = this.timers;
    if (timer === undefined) return;
    this.timers.delete(timer);
    this.feed({ type: `${timer}-expired` });
    this.look();
  }

  releaseKernel(): void {
    if (this.kernelAwaited === 0) return;
    this.kernelAwaited--;
    this.feed({ type: "kernel-released" });
  }

  /** As `deleteDirectory` does: not when it is wanted again. */
  delete(): void {
    if (!this.deleting) return;
    this.deleting = false;
    const wanted = this.directory.present && this.directory.online === true &&
      this.directory.frontendPresent;
    if (wanted) this.feed({ type: "delete-refused", error: "it is wanted again" });
    else {
      this.directory = ABSENT;
      this.feed({ type: "deleted" });
    }
    this.look();
  }

  /** Lets everybody do what is due, until nothing more happens. */
  settle(): void {
    for (let round = 0; round < 40; round++) {
      this.look();
      this.finish(true);
      this.releaseKernel();
      this.delete();
      this.expire();
    }
  }
}

function run(world: World, script: (typeof steps) extends fc.Arbitrary<infer T> ? T : never) {
  for (const step of script) {
    switch (step.do) {
      case "look":
        world.look();
        break;
      case "state":
        if (world.directory.present) {
          world.directory = { ...world.directory, state: step.state as XenbusState };
        }
        world.look();
        break;
      case "create":
        if (!world.directory.present) {
          world.directory = { ...ABSENT, present: true, online: true, state: 1 };
          world.directory = { ...world.directory, frontendPresent: true };
        }
        break;
      case "offline":
        if (world.directory.present) {
          const state = world.directory.state === 6 ? 6 : 5;
          world.directory = { ...world.directory, online: false, state };
        }
        break;
      case "nuke":
        world.directory = ABSENT;
        break;
      case "guest-dies":
        world.directory = { ...world.directory, frontendPresent: false };
        break;
      case "garbage":
        if (world.directory.present) world.directory = { ...world.directory, state: undefined };
        break;
      case "finish":
        world.finish(step.ok);
        break;
      case "timer":
        world.expire();
        break;
      case "kernel":
        world.releaseKernel();
        break;
      case "deletion":
        world.delete();
        break;
    }
  }
}

/** On a failure the walk that led to it is what one wants to see. */
function walk(check: (world: World) => void) {
  fc.assert(
    fc.property(steps, (script) => {
      const world = new World();
      try {
        run(world, script);
        check(world);
      } catch (error) {
        throw new Error(`${error}\nafter:\n${world.log.slice(-40).join("\n")}`);
      }
    }),
    { numRuns: 20_000 },
  );
}

describe("lifecycle machine", () => {
  test("at no time do two plugin calls overlap, and nothing is deleted or forgotten while held", () => {
    // The assertions are in World.
    walk(() => {});
  });

  test("a directory deleted by force ends with nothing held and nothing known", () => {
    walk((world) => {
      world.directory = ABSENT;
      world.settle();
      expect(world.held).toBeFalse();
      expect(world.state.phase).toBe("absent");
      expect(world.running).toBeNull();
    });
  });

  test("a detach ends with the directory deleted and nothing held", () => {
    walk((world) => {
      if (!world.directory.present) return;
      world.directory = { ...world.directory, online: false, state: 6, frontendPresent: true };
      world.settle();
      expect(world.directory.present).toBeFalse();
      expect(world.held).toBeFalse();
      expect(world.state.phase).toBe("absent");
    });
  });

  test("a guest's death ends with the directory deleted and nothing held", () => {
    walk((world) => {
      if (!world.directory.present) return;
      world.directory = { ...world.directory, state: 6, online: true, frontendPresent: false };
      world.settle();
      expect(world.directory.present).toBeFalse();
      expect(world.held).toBeFalse();
    });
  });

  test("a wanted device ends connected, or failed with a reason", () => {
    walk((world) => {
      if (!world.directory.present) return;
      world.directory = { ...world.directory, online: true, state: 2, frontendPresent: true };
      world.settle();
      expect(["connected", "failed"]).toContain(world.state.phase);
      if (world.state.phase === "failed") {
        expect(world.state.error).not.toBeNull();
        expect(world.held).toBeFalse();
      }
    });
  });

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
