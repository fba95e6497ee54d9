/** A network namespace with interfaces made for the test; it outlives the programs that run in it. */
import { HeldNamespace } from "./held_namespace.ts";

/** One of them, with a mount namespace: scripts look into /sys, which shows the interfaces of who mounted it. */
export type NetworkNamespace = HeldNamespace;

export const NetworkNamespace = {
  /**
   * @param setup command lines of the shell, run first
   * @throws Error when one of them fails
   */
  start: (setup: readonly string[] = []): Promise<HeldNamespace> =>
    HeldNamespace.start(["net", "mount"], ["mount -t sysfs sysfs /sys", ...setup]),
};
