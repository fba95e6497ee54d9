/** Waiting for the kernel to let go of a backend: for one that a driver of its has, and no other. */
import { expect, test } from "bun:test";
import { awaitKernelRelease, isRegistered } from "../../../core/daemon/device/kernel_release.ts";
import type { Files } from "../../../platform/types.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const ID = { backendDomid: 1, kind: "vtpm", frontendDomid: 2, devid: 0 };
const DEVICE = "/sys/bus/xen-backend/devices/vtpm-2-0";
const DRIVER = "/sys/bus/xen-backend/drivers/vtpm";

/** @param denied a path that cannot be looked at */
function filesWith(there: Set<string>, denied = ""): Files {
  const stat = async (path: string) => {
    if (path === denied) throw Object.assign(new Error("EACCES"), { code: "EACCES" });
    if (!there.has(path)) throw Object.assign(new Error("ENOENT"), { code: "ENOENT" });
    return {};
  };
  return { stat } as unknown as Files;
}

/** Whether it has ended at once. */
async function endsAtOnce(files: Files, clock = new FakeClock()): Promise<boolean> {
  let ended = false;
  awaitKernelRelease(files, clock, ID, 5_000).then(() => ended = true, () => {});
  for (let turns = 0; turns < 20; turns++) await Promise.resolve();
  return ended;
}

test("one that no driver has, of a kind that has none, is not waited for", async () => {
  expect(await endsAtOnce(filesWith(new Set([DEVICE])))).toBe(true);
  expect(await endsAtOnce(filesWith(new Set()))).toBe(true);
});

test("one that a driver has is waited for, also while it is being taken from it, and if nobody can tell", async () => {
  expect(await endsAtOnce(filesWith(new Set([DEVICE, `${DEVICE}/driver`])))).toBe(false);
  expect(await endsAtOnce(filesWith(new Set([DEVICE, DRIVER])))).toBe(false);
  expect(await endsAtOnce(filesWith(new Set([DEVICE]), `${DEVICE}/driver`))).toBe(false);
});

test("and then it is gone, or not in time", async () => {
  const clock = new FakeClock();
  const there = new Set([DEVICE, DRIVER]);
  const gone = awaitKernelRelease(filesWith(there), clock, ID, 5_000);
  await clock.advance(100);
  there.delete(DEVICE);
  await clock.advance(100);
  await gone;
  const kept = awaitKernelRelease(filesWith(new Set([DEVICE, DRIVER])), clock, ID, 5_000);
  kept.catch(() => {});
  await clock.advance(6_000);
  await expect(kept).rejects.toThrow("has not let go of it 5 s after it closed");
});

test("a backend is registered, is not, or nobody can tell", async () => {
  const failing = (code: string) => ({
    stat: () => Promise.reject(Object.assign(new Error(code), { code })),
  });
  expect(await isRegistered(filesWith(new Set([DEVICE])), ID)).toBe(true);
  expect(await isRegistered(filesWith(new Set([DRIVER])), ID)).toBe(false);
  expect(await isRegistered(failing("ENOTDIR"), ID)).toBe(false);
  for (const code of ["EMFILE", "EIO", "EACCES"]) {
    await expect(isRegistered(failing(code), ID)).rejects.toMatchObject({ code });
  }
});
