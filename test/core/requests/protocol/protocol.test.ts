/** The request protocol, in every interleaving of one device's actors, with crashes anywhere. */
import { describe, expect, test } from "bun:test";
import { DRIVER, DRIVER_TABLE } from "../../../../core/requests/protocol/driver_machine.ts";
import {
  TOOLSTACK,
  TOOLSTACK_TABLE,
} from "../../../../core/requests/protocol/toolstack_machine.ts";
import { type Circumstances, explore, RULES } from "./explore.ts";
import type { Rules, WiderSeen } from "./world.ts";

/** A toolstack attaches, or more of them, and all the rest is for chance. */
const WALKS: readonly Circumstances[] = [
  {},
  { holds: 1 },
  { failures: 1, driverCrashes: 1 },
  { failures: 2 },
  { driverCrashes: 2, toolstackCrashes: 1 },
  { driverCrashes: 1, toolstackCrashes: 1, guestDeaths: 1 },
  { attaches: 2, driverCrashes: 1, toolstackCrashes: 1 },
  { attaches: 2, holds: 1, failures: 1 },
  { strangers: 1, driverCrashes: 1 },
  { strangers: 1, guestDeaths: 1 },
  { toolstacks: 2 },
  { toolstacks: 2, failures: 1 },
  { stubborn: true, driverCrashes: 1 },
  { stubborn: true, strangers: 1 },
];

/** Those that are enough to find any row that is missing. */
const SHORT_WALKS: readonly Circumstances[] = [
  {},
  { holds: 1 },
  { failures: 1 },
  { driverCrashes: 1 },
  { toolstackCrashes: 1 },
  { guestDeaths: 1 },
  { attaches: 2 },
  { strangers: 1 },
  { stubborn: true },
  { stubborn: true, strangers: 1 },
  { failures: 1, driverCrashes: 1 },
  { toolstacks: 2 },
];

describe("every interleaving", () => {
  for (const walk of WALKS) {
    test(JSON.stringify(walk), () => {
      const { states, transitions, reached, ...found } = explore(walk);
      console.log(`${JSON.stringify(walk)}: ${states} states, ${transitions} transitions`);
      expect(found).toEqual({ violation: null, stuck: null, hopeless: null, owing: null });
      expect(reached.size).toBeGreaterThan(5);
    }, 300_000);
  }
});

describe("the proof can fail", () => {
  const keepsFrontend = { ...RULES, forceKeepsFrontend: true };
  const rulesFor = (walk: Circumstances, rules: Rules): Rules =>
    walk.stubborn && !walk.strangers ? { ...rules, forceKeepsFrontend: true } : rules;
  const usual = new Map(
    SHORT_WALKS.map((walk) => [walk, reachedBy(explore(walk, rulesFor(walk, RULES)).reached)]),
  );

  /** What is wrong under these rules; null if nothing is. */
  function complaint(rules: Rules): string | null {
    for (const walk of SHORT_WALKS) {
      const found = explore(walk, rulesFor(walk, rules));
      const { violation, stuck, hopeless, owing, reached } = found;
      if (violation !== null) return violation.what;
      if (stuck !== null) return "stuck";
      if (hopeless !== null) return "hopeless";
      if (owing !== null) return "owing";
      if (reachedBy(reached) !== usual.get(walk)) return "something is never reached";
    }
    return null;
  }

  test("without any row of the driver domain's table, something is wrong", () => {
    expect(complaint(keepsFrontend)).toBeNull();
    for (const row of DRIVER_TABLE) {
      const driver = { ...DRIVER, table: DRIVER_TABLE.filter((other) => other !== row) };
      expect({ row, complaint: complaint({ ...RULES, driver }) }).not.toEqual({
        row,
        complaint: null,
      });
    }
  }, 600_000);

  test("without any row of the toolstack's table, something is wrong", () => {
    for (const row of TOOLSTACK_TABLE) {
      const toolstack = { ...TOOLSTACK, table: TOOLSTACK_TABLE.filter((other) => other !== row) };
      expect({ row, complaint: complaint({ ...RULES, toolstack }) }).not.toEqual({
        row,
        complaint: null,
      });
    }
  }, 600_000);

  test("steps that do not look again, in their transaction, do harm", () => {
    const harm = (unguarded: NonNullable<Rules["unguarded"]>, walk: Circumstances = {}) =>
      explore(walk, { ...RULES, unguarded });
    expect(harm("report-connected").violation?.what)
      .toBe("connected is reported though it was withdrawn");
    expect(harm("publish", { guestDeaths: 1 }).violation?.what)
      .toBe("the guest is shown a backend that does not exist");
    expect(harm("clean", { toolstacks: 2, attaches: 2 }).violation?.what)
      .toMatch(/the toolstack deletes a request while/);
  }, 300_000);
});

test("a toolstack that takes state 6 for the end deletes what the script needs", () => {
  // The race of the proposal that the protocol is made from: both sides react to the same 6.
  const closed = (seen: object) => (seen as WiderSeen).backendState === 6;
  const toolstack = { ...TOOLSTACK, guards: { ...TOOLSTACK.guards, disconnected: closed } };
  const { violation } = explore(
    {},
    { ...RULES, toolstack, unguarded: "clean" },
    (what) => what.endsWith("while remove runs"),
  );
  console.log(`${violation?.what}:\n${violation?.trace.map((line) => `  ${line}`).join("\n")}`);
  expect(violation?.what).toBe("the toolstack deletes a request while remove runs");
  const trace = violation?.trace ?? [];
  expect(trace.at(-1)).toBe("toolstack: clean");
  expect(trace).toContain("toolstack: withdraw");
  expect(trace).not.toContain("toolstack: abandon");
  // And it is that rule alone which keeps it from happening.
  expect(explore({}, RULES).violation).toBeNull();
});

function reachedBy(reached: ReadonlySet<string>): string {
  return [...reached].toSorted().join();
}
