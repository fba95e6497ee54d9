/** Times and limits of the device lifecycle, in one place, each with its source. */

/** All times are in milliseconds. */
export interface LifecycleTimes {
  /** How long the kernel backend may take to reach InitWait. */
  readonly initWaitMs: number;
  /**
   * How long a backend directory stays after Closed was first seen: a toolstack that finds it gone
   * before it has seen Closed reports a failed detach.
   */
  readonly holdMs: number;
  /** How long the kernel may take to unregister the device after Closed; then we go on without. */
  readonly kernelReleaseMs: number;
}

/** The defaults. */
export const DEFAULT_TIMES: LifecycleTimes = {
  // LIBXL_INIT_TIMEOUT, tools/libs/light/libxl_internal.h
  initWaitMs: 10_000,
  // No constant of Xen's: seen in the field with mirage-net-xen (PR 105) and blktap (PR 394).
  holdMs: 250,
  // Half of LIBXL_DESTROY_TIMEOUT (10 s), in which the toolstack expects the directory to vanish.
  kernelReleaseMs: 5_000,
};
