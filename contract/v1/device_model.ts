/** The plugin contract: the one QEMU that serves all of a guest's devices that need it. */

/** How a guest's QEMU is started. */
export interface DeviceModelProgram {
  /** Program (absolute path, no shell) and arguments. */
  readonly argv: readonly [string, ...string[]];
  /** Variables of its environment, besides those that every process gets. */
  readonly environment?: Readonly<Record<string, string>>;
}

/** What has become of the QEMU that a device was given. */
export interface DeviceModelStatus {
  /**
   * `serving`: it runs. `ended`: it does not, and no other one is ready. `replaced`: another one
   * runs, which has never heard of this device unless its state was Initialising when it looked.
   * `none`: the device has none.
   */
  readonly state: "serving" | "ended" | "replaced" | "none";
  /** Of one that ended: how, in one line. Of one that runs: what it printed last, or empty. */
  readonly detail: string;
}

/**
 * The guest's device model: one supervised process for all devices of a guest that have it
 * started. It outlives the daemon. The daemon keeps `device-model/FE/state` and
 * `libxl/FE/qdisk-backend-pid` of the driver domain, starts it again when it ends by itself (after
 * 1 s, then twice as long each time, up to 30 s), and has the devices checked when it has ended and
 * when another one is ready. After `remove` it is released in any case.
 */
export interface DeviceModel {
  /**
   * Has the guest's QEMU run for this device, and waits until it says that it is ready; the undo
   * record is written first. For a device that was given one that ended: gives it the present one,
   * or fails if there is none yet.
   * @throws Error when it cannot be started, ends, or is not ready in time (60 s); the signal's
   * reason
   */
  start(program: DeviceModelProgram, signal: AbortSignal): Promise<void>;
  /** Takes up the one that runs since an earlier daemon. If none does, one is started later. */
  adopt(program: DeviceModelProgram): Promise<void>;
  status(): Promise<DeviceModelStatus>;
  /**
   * The device no longer needs it: with its last device it is ended (HUP, after 3 s TERM, after
   * 2 s more KILL), and its nodes are removed. None is no error.
   */
  release(): Promise<void>;
}
