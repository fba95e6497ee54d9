/** All times of the daemon, in one place, each with its source. */

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
      "How long a removal may take after Closed before the directory is deleted without it (where " +
      "the plugin can go on so; that of a failed setup in any case): the toolstack waits for that " +
      "no longer than 10 s.",
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
  hotplug: {
    ms: 40_000,
    min: 100,
    max: 3_600_000,
    meaning: "How long one run of a script may take.",
    source: "LIBXL_HOTPLUG_TIMEOUT, tools/libs/light/libxl_internal.h",
  },
  version: {
    ms: 10_000,
    min: 100,
    max: 600_000,
    meaning: "How long a script may take to answer which version of the interface it follows.",
    source: "none of Xen's, where version 2 was never merged",
  },
  prepare: {
    ms: 120_000,
    min: 100,
    max: 3_600_000,
    meaning: "How long `prepare` and `unprepare` of a version 2 script may take.",
    source: "none of Xen's; the posting's 40 s are what `prepare` is to get out of the way",
  },
  killGrace: {
    ms: 2_000,
    min: 0,
    max: 60_000,
    meaning: "How long a script's process group has between TERM and KILL.",
    source: "none of Xen's, which kills at once",
  },
  operation: {
    ms: 180_000,
    min: 100,
    max: 7_200_000,
    meaning:
      "How long a plugin may take for one call; if that is longer, 10 s and twice `hotplug`, or " +
      "`version`, `prepare` and `hotplug`.",
    source: "none of Xen's; above what two passes of a script may take",
  },
  abandon: {
    ms: 5_000,
    min: 0,
    max: 60_000,
    meaning:
      "How long a plugin that was told to stop may take (besides `killGrace`), before the daemon " +
      "goes on without it.",
    source: "none of Xen's",
  },
  orphans: {
    ms: 40_000,
    min: 0,
    max: 600_000,
    meaning: "How long scripts of an earlier daemon may go on before they are ended.",
    source: "LIBXL_HOTPLUG_TIMEOUT, tools/libs/light/libxl_internal.h",
  },
  busy: {
    ms: 60_000,
    min: 0,
    max: 3_600_000,
    meaning:
      "How long the backend of a device stays open that was refused since what it needs is in " +
      "use: until then it is taken up at once when that is released, later only if its guest " +
      "begins anew.",
    source:
      "none of Xen's; what a migration to the same host takes to end the source's device. A " +
      "Linux guest that has seen Closed does not use the disk again",
  },
  recheck: {
    ms: 15_000,
    min: 1_000,
    max: 3_600_000,
    meaning: "How often what was refused is tried again, as long as its backend is open, when no " +
      "event would tell that it is released (a mount, say).",
    source: "none of Xen's",
  },
  retry: {
    ms: 1_000,
    min: 100,
    max: 3_600_000,
    meaning: "How long after an undoing that failed it is tried again; twice as long each time.",
    source: "none of Xen's, which never does",
  },
  retryMost: {
    ms: 60_000,
    min: 100,
    max: 3_600_000,
    meaning: "The longest pause between two such tries.",
    source: "none of Xen's, which never does",
  },
  resync: {
    ms: 45_000,
    min: 1_000,
    max: 3_600_000,
    meaning: "How often everything is looked at, whether the store told of a change or not.",
    source: "none of Xen's, which never does",
  },
  check: {
    ms: 5_000,
    min: 100,
    max: 3_600_000,
    meaning: "How often what stands behind devices is looked at.",
    source: "none of Xen's, which never does",
  },
  silence: {
    ms: 10_000,
    min: 100,
    max: 3_600_000,
    meaning: "How long the store may owe an answer before that is worth a line.",
    source: "none of Xen's",
  },
  stop: {
    ms: 5_000,
    min: 0,
    max: 3_600_000,
    meaning: "How long what is under way has to end when the daemon is told to stop.",
    source: "none of Xen's; below systemd's 90 s",
  },
  drain: {
    ms: 60_000,
    min: 0,
    max: 3_600_000,
    meaning: "How long closing all devices may take then, with `--drain`.",
    source: "none of Xen's; destroy, kernelRelease and a script's usual time",
  },
} as const satisfies Record<string, TimeConstant>;

export type TimeName = keyof typeof TIMES;

/** Values of all times, in milliseconds. */
export type LifecycleTimes = Readonly<Record<TimeName, number>>;

export const DEFAULT_TIMES: LifecycleTimes = Object.fromEntries(
  Object.entries(TIMES).map(([name, { ms }]) => [name, ms]),
) as Record<TimeName, number>;

/** How long calls of plugins may take, by these times. */
export function callLimits(times: LifecycleTimes): { operationMs: number; graceMs: number } {
  const { operation, hotplug, version, prepare } = times;
  const longest = Math.max(2 * hotplug, version + prepare + hotplug);
  return {
    operationMs: Math.max(operation, longest + 10_000),
    graceMs: times.abandon + times.killGrace,
  };
}
