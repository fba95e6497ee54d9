/** What a lane does with a look that was under way while something happened. */
import { expect, test } from "bun:test";
import { Lane } from "../../../core/daemon/device_lane.ts";
import type { LaneActions } from "../../../core/daemon/lane_actions.ts";
import type { Observation } from "../../../core/lifecycle/observation.ts";
import { XenbusState } from "../../../core/xen/states.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const before: Observation = {
  present: true,
  online: true,
  state: XenbusState.InitWait,
  frontendPresent: true,
  served: false,
  report: "none",
  attachId: "an-attach",
  fault: null,
};
const after: Observation = { ...before, served: true, report: "connected" };

const settled = () => new Promise((resolve) => setTimeout(resolve, 5));

test("a look that began before an earlier daemon's script had ended does not decide", async () => {
  const done: string[] = [];
  const looks: ((seen: Observation) => void)[] = [];
  const orphans = Promise.withResolvers<void>();
  const actions = new Proxy({}, {
    get: (_, name: string) => () => {
      if (name === "observe") return new Promise<Observation>((resolve) => looks.push(resolve));
      if (name === "awaitOrphans") return orphans.promise;
      if (name !== "report" && name !== "changed") done.push(name);
      return Promise.resolve(name === "adopt" ? "an-attach" : undefined);
    },
  }) as LaneActions;
  const rules = {
    times: DEFAULT_TIMES,
    waitsForBackend: true,
    servedByQemu: false,
    removesWithoutDirectory: false,
  };
  const lane = new Lane(actions, rules, new FakeClock(), () => {});
  lane.resume({ stage: "adding", attachId: "an-attach", error: null, busy: false });
  lane.touch();
  await settled();
  expect(looks).toHaveLength(1);
  // The script says that it has connected the device, and ends; the store's answer is older.
  orphans.resolve();
  await settled();
  looks[0]!(before);
  await settled();
  expect([lane.state.phase, done]).toEqual(["recovered", []]);
  looks[1]!(after);
  await settled();
  expect(lane.state.phase).toBe("connected");
  expect(done).toEqual(["note", "adopt"]);
});

test("given up while an earlier daemon's processes are being ended: that is given up, and nothing later", async () => {
  const waits: PromiseWithResolvers<void>[] = [];
  let removals = 0;
  const actions = new Proxy({}, {
    get: (_, name: string) => () => {
      if (name === "observe") return Promise.resolve(before);
      if (name === "awaitOrphans") {
        const wait = Promise.withResolvers<void>();
        waits.push(wait);
        return wait.promise;
      }
      if (name === "remove") {
        removals++;
        return Promise.reject(new Error("target is busy"));
      }
      return Promise.resolve(undefined);
    },
  }) as LaneActions;
  const scene = () => {
    const clock = new FakeClock();
    const lane = new Lane(
      actions,
      {
        times: DEFAULT_TIMES,
        waitsForBackend: true,
        servedByQemu: false,
        removesWithoutDirectory: false,
      },
      clock,
      () => {},
    );
    lane.resume({ stage: "adding", attachId: "an-attach", error: null, busy: false });
    return { lane, clock };
  };
  const again = async () => {
    waits.splice(0);
    const { lane, clock } = scene();
    await settled();
    waits[0]!.reject(new Error("processes 17 do not end"));
    await settled();
    expect(lane.state).toMatchObject({ phase: "recovering", paused: true });
    clock.advance(DEFAULT_TIMES.retry);
    await settled();
    expect([waits.length, lane.state.paused]).toEqual([2, false]);
    expect(lane.giveUp()).toContain("17");
    return lane;
  };
  const given = await again();
  waits[1]!.reject(new Error("processes 17 do not end"));
  await settled();
  expect(given.state.phase).not.toBe("recovering");
  // It succeeds this time: what cannot be undone after that was given up by nobody.
  const tried = await again();
  removals = 0;
  waits[1]!.resolve();
  await settled();
  expect(removals).toBe(1);
  expect(tried.state).toMatchObject({ phase: "redoing", paused: true, stuck: "target is busy" });
});
