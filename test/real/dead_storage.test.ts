/** Storage that stops answering, one disk of it; more of it is in dead_storage.more.test.ts. */
import { test } from "bun:test";
import { playDeadCase } from "./dead_storage.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

const needs = {
  packages: [...xenstoredPackages, "xen-utils-common", "mount"] as const,
  root: true,
};
if (requireReal("storage that stops answering", needs)) {
  test(
    "one dead disk, and its guest is removed: others are served, TERM ends the daemon",
    () => playDeadCase({ way: "native", disks: 1, silence: "getattr", when: "attached" }),
    120_000,
  );
}
