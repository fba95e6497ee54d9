/** Each test file is run by `npm test` or by `npm run test:more`, wherever it is. */
import { afterEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const root = join(import.meta.dir, "../..");
let checkout: string | null = null;

afterEach(() => {
  if (checkout !== null) fs.rmSync(checkout, { recursive: true });
  checkout = null;
});

function list(at: string, ...options: string[]): string[] {
  const { exitCode, stdout } = Bun.spawnSync(["node", "tools/test.mjs", "--list", ...options], {
    cwd: at,
  });
  expect(exitCode).toBe(0);
  return String(stdout).trimEnd().split("\n");
}

/** A checkout with nothing but the program and some files without text. */
function checkoutWith(files: readonly string[]): string {
  checkout = fs.mkdtempSync(join(tmpdir(), "xdevd-test-files-"));
  for (const file of files) {
    fs.mkdirSync(join(checkout, dirname(file)), { recursive: true });
    fs.writeFileSync(join(checkout, file), "");
  }
  fs.mkdirSync(join(checkout, "tools"), { recursive: true });
  fs.copyFileSync(join(root, "tools/test.mjs"), join(checkout, "tools/test.mjs"));
  return checkout;
}

describe("test files", () => {
  test("of this project are in one of the two lists", () => {
    const [short, long] = [list(root), list(root, "--more")];
    const all = [...new Bun.Glob("{test,core,backends,plugins}/**/*.test.ts").scanSync(root)];
    expect([...short, ...long].toSorted()).toEqual(all.toSorted());
    expect(short).toContain("test/tools/test_files.test.ts");
    expect(long).toContain("test/real/crash.more.test.ts");
  });

  test("are found in any directory and by any name that `bun test` takes", () => {
    const short = [
      "core/a.test.ts",
      "test/bench/a.test.ts",
      "test/real/a.more.tests.test.ts",
      "test/xen/a.test.tsx",
      "test/xen/b.spec.mjs",
      "test/xen/host/a_test.ts",
      "tools/a.test.js",
    ];
    const long = ["core/b.more.test.ts", "test/b.more.test.ts"];
    const none = [
      "node_modules/x/a.test.ts",
      "contract/v1/spec.ts",
      "test/xen/cache/a.test.ts",
      "test/real/crash.ts",
    ];
    const at = checkoutWith([...short, ...long, ...none]);
    expect(list(at)).toEqual(short);
    expect(list(at, "--more")).toEqual(long);
  });
});
