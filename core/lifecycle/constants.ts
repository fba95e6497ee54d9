/** Times and limits of the device lifecycle, in one place, each with its source. */

/** A time of the lifecycle. */
export interface TimeConstant {
  /** The default, in milliseconds. */
  readonly ms: number;
  /** Least and greatest value it can be set to, in milliseconds. */
  readonly min: number;
  readonly max: number;
  readonly meaning: string;
  /** Where the value comes from. */
  readonly source: string;
}

/** All times; `xdevd devd --time NAME=SECONDS` sets one. */
export const TIMES = {
  initWait: {
    ms: 10_000,
    min: 100,
    max: 600_000,
    meaning: "How long the kernel backend may take to reach InitWait.",
    source: "LIBXL_INIT_TIMEOUT, tools/libs/light/libxl_internal.h",
  },
  destroy: {
    ms: 10_000,
    min: 100,
    max: 600_000,
    meaning: "How long a backend that we ask to close may take to reach Closed, before force.",
    source: "LIBXL_DESTROY_TIMEOUT, tools/libs/light/libxl_internal.h",
  },
  budget: {
    ms: 8_000,
    min: 100,
    max: 600_000,
    meaning:
      "How long a removal may take after Closed before the directory is deleted without it: " +
      "the toolstack waits for that no longer than 10 s.",
    source: "LIBXL_DESTROY_TIMEOUT (10 s) less a margin",
  },
  hold: {
    ms: 250,
    min: 0,
    max: 10_000,
    meaning:
      "How long a directory stays after Closed was first seen: a toolstack that finds it gone " +
      "before it has seen Closed reports a failed detach.",
    source: "the field: mirage-net-xen PR 105, blktap PR 394",
  },
  kernelRelease: {
    ms: 5_000,
    min: 0,
    max: 60_000,
    meaning: "How long the kernel may take to unregister the device after Closed.",
    source: "half of LIBXL_DESTROY_TIMEOUT",
  },
  qemuExit: {
    ms: 2_000,
    min: 0,
    max: 60_000,
    meaning: "How long the QEMU of a dead guest has to close its files by itself.",
    source: "LIBXL_QEMU_BODGE_TIMEOUT, tools/libs/light/libxl_internal.h",
  },
  orphans: {
    ms: 40_000,
    min: 0,
    max: 600_000,
    meaning: "How long scripts of an earlier daemon may go on before they are ended.",
    source: "LIBXL_HOTPLUG_TIMEOUT, tools/libs/light/libxl_internal.h",
  },
} as const satisfies Record<string, TimeConstant>;

/** Name of a time. */
export type TimeName = keyof typeof TIMES;

/** Values of all times, in milliseconds. */
export type LifecycleTimes = Readonly<Record<TimeName, number>>;

/** The defaults. */
export const DEFAULT_TIMES: LifecycleTimes = Object.fromEntries(
  Object.entries(TIMES).map(([name, { ms }]) => [name, ms]),
) as Record<TimeName, number>;
