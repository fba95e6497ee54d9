/** A loop device of which sysfs tells nothing is not one to which nothing is attached. */
import { expect, spyOn, test } from "bun:test";
import { detachLoop } from "../../../platform/linux/loop_devices.ts";
import { sys } from "../../../platform/kernel.ts";
import { requireReal } from "../../real/requirements.ts";

// asm-generic/errno-base.h
const ENOENT = 2;

if (requireReal("loop devices without sysfs", { root: true })) {
  test("without sysfs, nobody says that it is detached", async () => {
    const { open, stat } = sys;
    const isOfSysfs = (path: Uint8Array) => new TextDecoder().decode(path).startsWith("/sys/");
    const opening = spyOn(sys, "open").mockImplementation((at, path, ...rest) =>
      isOfSysfs(path) ? -ENOENT : open(at, path, ...rest)
    );
    const looking = spyOn(sys, "stat").mockImplementation((at, path, ...rest) =>
      isOfSysfs(path) ? -ENOENT : stat(at, path, ...rest)
    );
    const ioctl = () => expect.unreachable();
    const detached = () => detachLoop(ioctl, "/dev/loop0", { tag: "none", file: "1:1" });
    try {
      await expect(detached()).rejects.toThrow("/sys does not show /dev/loop0");
    } finally {
      opening.mockRestore();
      looking.mockRestore();
    }
  });
}
