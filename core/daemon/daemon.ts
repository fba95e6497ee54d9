/** The driver domain's daemon: one watch, and what follows from it. */
import { backendRoot, parseDomid, placeOf } from "../device/id.ts";
import { openLog } from "../log/log.ts";
import { absentOrHidden } from "../xenstore/access.ts";
import type { StoreClient, Watch } from "../xenstore/client.ts";
import { isWithin } from "../xenstore/paths.ts";
import { backendPath } from "../device/id.ts";
import { Devices, type DevicesParts } from "./devices.ts";

/** The daemon cannot run here; the message says why. */
export class DaemonError extends Error {
  override name = "DaemonError";
}

/**
 * The domain this program runs in, by the store's own account.
 * @throws DaemonError when the store does not tell
 */
export async function ownDomid(store: StoreClient): Promise<number> {
  const text = await store.readOptional("domid");
  if (text === undefined) {
    throw new DaemonError(
      "the store does not tell this domain's id (node domid is missing); is it a Xen domain, " +
        "and did the toolstack set it up?",
    );
  }
  const domid = parseDomid(text);
  if (domid === undefined) {
    throw new DaemonError(`node domid is ${JSON.stringify(text)}; expected 0 to 32751`);
  }
  return domid;
}

/** Serves the devices of a driver domain, from `start` to `stop`. */
export class Daemon {
  readonly devices: Devices;
  readonly #store: StoreClient;
  readonly #domid: number;
  readonly #log = openLog();
  #watch: Watch | null = null;
  #listing: Promise<void> = Promise.resolve();
  #listAgain = false;

  /** @param domid the driver domain's own domid */
  constructor(domid: number, parts: DevicesParts) {
    this.#domid = domid;
    this.#store = parts.store;
    this.devices = new Devices(parts);
  }

  /**
   * Arms the watch; its first event makes the daemon look at all there is already.
   * @throws StoreError when the watch cannot be set
   */
  async start(): Promise<void> {
    // Absolute, so that event paths are absolute too.
    this.#watch = await this.#store.watch(
      backendRoot(this.#domid),
      (path) => this.#changed(path),
    );
  }

  /** Stops watching, waits for what runs (see `Devices.stop`), leaves devices as they are. */
  async stop(graceMs: number): Promise<void> {
    await this.#watch?.close({ timeoutMs: 1_000 }).catch(() => {});
    await this.#listing;
    await this.devices.stop(graceMs);
  }

  #changed(path: string): void {
    const place = placeOf(path, this.#domid);
    if (place.at === "device") return this.devices.touch(place.id);
    if (place.at === "elsewhere") return;
    for (const id of this.devices.known) {
      if (isWithin(backendPath(id), place.path)) this.devices.touch(id);
    }
    this.#list();
  }

  /** Looks for devices, once more if asked while it looks. */
  #list(): void {
    this.#listAgain = true;
    this.#listing = this.#listing.then(async () => {
      if (!this.#listAgain) return;
      this.#listAgain = false;
      try {
        await this.#listDevices();
      } catch (error) {
        this.#log.warning(`the backend directories cannot be listed: ${error}`);
      }
    });
  }

  async #listDevices(): Promise<void> {
    const root = backendRoot(this.#domid);
    for (const kind of await this.#children(root)) {
      for (const guest of await this.#children(`${root}/${kind}`)) {
        for (const devid of await this.#children(`${root}/${kind}/${guest}`)) {
          const place = placeOf(`${root}/${kind}/${guest}/${devid}`, this.#domid);
          if (place.at === "device") this.devices.touch(place.id);
        }
      }
    }
  }

  async #children(path: string): Promise<string[]> {
    return await absentOrHidden(this.#store.list(path)) ?? [];
  }
}
