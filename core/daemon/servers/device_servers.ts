/** The servers of all devices. */
import type { DeviceServer } from "../../../contract/v2/manifest.ts";
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import { type ServedContext, ServedDevice, type ServerParts } from "./served_device.ts";

/** Keeps them. */
export class DeviceServers {
  readonly #parts: ServerParts;
  readonly #devices = new Map<string, ServedDevice>();

  constructor(parts: ServerParts) {
    this.#parts = parts;
  }

  /** The server of a device, as its plugin sees it. */
  of(context: ServedContext): DeviceServer {
    return {
      start: async (given, signal) => {
        const name = deviceName(context.id);
        if (this.#devices.has(name)) throw new Error("its server was started already");
        const device = new ServedDevice(this.#parts, context);
        this.#devices.set(name, device);
        await device.start(given, signal);
      },
    };
  }

  /** Takes up the one that an earlier daemon has left, or says of the device that it has none. */
  async adopt(context: ServedContext): Promise<void> {
    const device = new ServedDevice(this.#parts, context);
    this.#devices.set(deviceName(context.id), device);
    await device.adopt();
  }

  /** A device was looked at. */
  look(id: DeviceId): void {
    this.#devices.get(deviceName(id))?.look();
  }

  /** Why a device is served no longer; null while it is, and for one that has no server. */
  failureOf(id: DeviceId): string | null {
    return this.#devices.get(deviceName(id))?.failure ?? null;
  }

  /** Ends a device's, if it is known. @throws Error when it does not end */
  async end(id: DeviceId): Promise<void> {
    const name = deviceName(id);
    await this.#devices.get(name)?.stop();
    this.#devices.delete(name);
  }

  /** Looks after none any more; they go on. */
  stop(): void {
    for (const device of this.#devices.values()) device.leave();
  }
}
