/**
 * The smoke scenario on a real Xen in QEMU: one disk, one vif, real bytes, pings. All other scenarios
 * have a command of their own, `npm run test:xen`.
 */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { requireReal } from "./requirements.ts";

const packages = [
  "qemu-system-x86",
  "xen-hypervisor-4.17-amd64",
  "xen-utils-4.17",
  "xenstore-utils",
  "libxen-dev",
  "gcc",
  "busybox-static",
  "kmod",
  "xz-utils",
] as const;

/** Builds the images when they are not cached, and boots; seconds. */
const LIMIT_S = 280;

if (requireReal("the smoke scenario on a real Xen (all: npm run test:xen)", { packages })) {
  test("smoke scenario in the Xen lab", async () => {
    const script = join(dirname(fileURLToPath(import.meta.url)), "..", "xen", "run.ts");
    const child = spawn(process.execPath, [script, "--smoke"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => output += chunk);
    child.stderr.on("data", (chunk) => output += chunk);
    const code = await new Promise((resolve) => child.once("close", resolve));
    expect({ code, output }).toMatchObject({ code: 0 });
    expect(output).toMatch(/1 passed, 0 failed\n$/);
  }, LIMIT_S * 1000);
}
