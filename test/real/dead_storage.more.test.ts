/** Storage that stops answering: in all ways, and much of it. */
import { test } from "bun:test";
import { type DeadCase, playDeadCase, playLateAnswer, playLeftBehind } from "./dead_storage.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

const needs = {
  packages: [...xenstoredPackages, "xen-utils-common", "mount"] as const,
  root: true,
};
const CASES: readonly DeadCase[] = [
  { way: "native", disks: 1, silence: "lookup", when: "before" },
  { way: "native", disks: 1, silence: "all", when: "attached" },
  { way: "native", disks: 2, silence: "getattr", when: "before" },
  { way: "native", disks: 2, silence: "getattr", when: "attached" },
  { way: "native", disks: 10, silence: "lookup", when: "before" },
  { way: "native", disks: 10, silence: "all", when: "attached" },
  { way: "native", disks: 2, silence: "read", when: "attached" },
  { way: "native", disks: 1, silence: "getattr", when: "foreign" },
  { way: "native", disks: 2, silence: "getattr", when: "through" },
  { way: "script", disks: 2, silence: "getattr", when: "through" },
  { way: "script", disks: 2, silence: "lookup", when: "as script" },
  { way: "script", disks: 1, silence: "getattr", when: "foreign" },
  { way: "script", disks: 1, silence: "getattr", when: "attached" },
  { way: "script", disks: 2, silence: "lookup", when: "before" },
  { way: "script", disks: 10, silence: "lookup", when: "before" },
  { way: "script", disks: 10, silence: "all", when: "attached" },
];
if (requireReal("much storage that stops answering", needs)) {
  test.each(CASES.map((one) => [`${one.way}, ${one.disks}, ${one.silence}, ${one.when}`, one]))(
    "dead: %s",
    (_, one) => playDeadCase(one as DeadCase),
    200_000,
  );

  test("who is left behind is told; what it waits for is refused, until it is back", () => {
    return playLeftBehind();
  }, 150_000);

  test.each(["lookup", "getattr"] as const)(
    "a daemon is killed while storage does not answer (%s): when it does, nothing is attached",
    (silence) => playLateAnswer(silence),
    60_000,
  );
}
