/** All of `xdevd plugin check`, on each plugin that is broken in one thing, or does harm. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { checkBroken } from "./check_report.ts";

/** Each takes up to half a minute, and more on a busy machine. */
setDefaultTimeout(240_000);

const root = process.getuid?.() === 0;
/** What only root can do: without it they fail otherwise. */
const ofRoot = ["leaks_mounts.ts", "leaks_interfaces.ts"];

describe.each(["broken", "misbehaving"])("of those that are %s", (name) => {
  const directory = join(import.meta.dir, name);
  const files = readdirSync(directory).filter((file) =>
    file !== "good.ts" && (root || !ofRoot.includes(file))
  );
  test("there are ten at least", () => expect(files.length).toBeGreaterThanOrEqual(10));
  test.each(files)("%s: a summary, and nothing is left", async (file) => {
    const { failed } = await checkBroken(join(directory, file));
    expect(failed).toBeGreaterThan(0);
  });
});
