/** The driver domain's daemon: one watch, and what follows from it. */
import { coded } from "../messages/table.ts";
import {
  backendPath,
  backendRoot,
  type DeviceId,
  frontendPath,
  parseDomid,
  placeOf,
} from "../xen/device_id.ts";
import { openLog } from "../log/log.ts";
import { absentOrHidden } from "../xenstore/access.ts";
import { changedBy, isLookedAt, visible } from "./device/observer.ts";
import type { StoreClient } from "../xenstore/client.ts";
import type { Watch } from "../xenstore/watches.ts";
import { isWithin } from "../xenstore/paths.ts";
import type { Cancel, Clock } from "../../platform/types.ts";
import { DEFAULT_TIMES, type LifecycleTimes } from "../xen/times.ts";
import type { PluginRegistry } from "./plugin/host.ts";
import { Devices, type DevicesParts } from "./devices.ts";
import { Guests } from "./guests.ts";
import { Requests, type RequestSettings } from "../requests/driver/requests.ts";

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

/** What a daemon is made of. */
export type DaemonParts = Omit<DevicesParts, "onGuest" | "onChange" | "onSeen"> & {
  /** How requests are taken; without it, none are. */
  readonly requests?: RequestSettings;
  /** Told of each step of a device; to be quick. */
  onActivity?(): void;
};

/** Serves the devices of a driver domain, from `start` to `stop`. */
export class Daemon {
  readonly devices: Devices;
  readonly requests: Requests | null;
  readonly #store: StoreClient;
  readonly #domid: number;
  readonly #clock: Clock;
  readonly #times: LifecycleTimes;
  readonly #guests: Guests;
  readonly #log = openLog();
  readonly #plugins: PluginRegistry;
  readonly #journal: DaemonParts["journal"];
  #watch: Watch | null = null;
  #listing: Promise<void> = Promise.resolve();
  #listAgain = false;
  #emptyHundreds = 0;
  #cancelResync: Cancel | null = null;
  #cancelCheck: Cancel | null = null;
  #stopped = false;

  /** The driver domain's own. */
  get domid(): number {
    return this.#domid;
  }

  /** @param domid the driver domain's own domid */
  constructor(domid: number, parts: DaemonParts) {
    this.#domid = domid;
    this.#store = parts.store;
    this.#plugins = parts.plugins;
    this.#journal = parts.journal;
    this.#clock = parts.clock;
    this.#times = parts.times ?? DEFAULT_TIMES;
    this.#guests = new Guests(
      parts.store,
      parts.clock,
      (watched, path) => this.#guestChanged(watched, path),
    );
    this.devices = new Devices({
      ...parts,
      onGuest: (guest) => this.#updateGuest(guest),
      onSeen: ({ frontendDomid }) => this.devices.names.ask(frontendDomid),
      onChange: (id) => {
        parts.onActivity?.();
        this.requests?.deviceChanged(id);
        this.devices.tellFollowers(id);
      },
    });
    this.requests = parts.requests === undefined
      ? null
      : new Requests(domid, parts, this.devices, parts.requests);
  }

  /**
   * Takes up what the journal knows, and arms the watch; its first event makes the daemon look at
   * all there is already.
   * @throws StoreError when the watch cannot be set
   */
  async start(): Promise<void> {
    this.devices.resume();
    // Absolute, so that event paths are absolute too.
    this.#watch = await this.#store.watch(
      backendRoot(this.#domid),
      (path) => this.#changed(path),
    );
    await this.requests?.start();
    this.#keepLooking();
  }

  /** Closes all devices, so that guests and toolstack notice; takes no longer than `ms`. */
  async drain(ms: number): Promise<void> {
    await this.devices.close(ms);
  }

  /** Stops watching, waits for what runs (see `Devices.stop`), leaves devices as they are. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#cancelResync?.();
    this.#cancelCheck?.();
    await this.#watch?.close({ timeoutMs: 1_000 }).catch(() => {});
    await this.requests?.stop();
    await this.#guests.stop();
    await this.devices.stop(graceMs);
    await this.#plugins.close();
  }

  /** Looks now and then while there are devices; without any, nothing wakes the daemon but events. */
  #keepLooking(): void {
    const known = this.devices.count + (this.requests?.count ?? 0);
    const isDone = known === 0 && !this.#listAgain && this.#journal.catchUp();
    if (this.#stopped || isDone) return;
    // What no event told: a lost one, a guest without a watch of its own, a refusal that has ended.
    this.#cancelResync ??= this.#clock.after(this.#times.resync, () => {
      this.#cancelResync = null;
      this.#journal.catchUp();
      this.devices.touchAll();
      this.requests?.touchAll();
      this.#list();
      this.#keepLooking();
    });
    this.#cancelCheck ??= this.#clock.after(this.#times.check, () => {
      this.#cancelCheck = null;
      this.devices.checkSome();
      this.#keepLooking();
    });
  }

  #updateGuest(domid: number): void {
    this.#keepLooking();
    this.#guests.update(domid, this.devices.of(domid), (id) => this.devices.frontendKindOf(id));
  }

  async #guestChanged(watched: DeviceId, path: string): Promise<void> {
    const frontend = frontendPath(watched, this.devices.frontendKindOf(watched));
    if (path !== frontend && isWithin(path, frontend)) return this.devices.touchIfHidden(watched);
    const present = await visible(this.#store, frontend).catch(() => false);
    for (const id of this.devices.of(watched.frontendDomid)) {
      if (present) this.devices.touchIfHidden(id);
      else this.devices.touch(id, "guest");
    }
  }

  #changed(path: string): void {
    // Most events are for nodes of a known device that nobody looks at.
    const name = path.slice(path.lastIndexOf("/") + 1);
    if (!isLookedAt(name)) {
      const directory = path.slice(0, -name.length - 1);
      if (name === "hotplug-error") this.devices.hears(directory);
      if (this.devices.isDirectory(directory)) return;
    }
    const place = placeOf(path, this.#domid);
    if (place.at === "device") {
      const part = changedBy(path, backendPath(place.id));
      if (part !== null) this.devices.touch(place.id, part);
      return;
    }
    if (place.at === "elsewhere") return;
    for (const id of this.devices.known) {
      if (isWithin(backendPath(id), place.path)) this.devices.touch(id);
    }
    this.#list();
  }

  /**
   * Looks for devices that are not known, once more if asked while it looks. To look at all that
   * are known because there is one guest more would take longer the more there are.
   */
  #list(): void {
    this.#listAgain = true;
    this.#listing = this.#listing.then(async () => {
      if (!this.#listAgain) return;
      this.#listAgain = false;
      try {
        await this.#listDevices();
      } catch (error) {
        this.#log.warning(
          coded("backends-hidden", `the backend directories cannot be listed: ${error}`),
        );
        this.#listAgain = true;
        this.#keepLooking();
      }
    });
  }

  async #listDevices(): Promise<void> {
    const root = backendRoot(this.#domid);
    let empty = 0;
    for (const kind of await this.#children(root)) {
      for (const guest of await this.#children(`${root}/${kind}`)) {
        const devids = await this.#children(`${root}/${kind}/${guest}`);
        if (devids.length === 0) empty++;
        for (const devid of devids) {
          const place = placeOf(`${root}/${kind}/${guest}/${devid}`, this.#domid);
          if (place.at === "device" && !this.devices.knows(place.id)) {
            this.devices.touch(place.id);
          }
        }
      }
    }
    this.#reportEmpty(empty);
  }

  /** A driver domain may not delete them, and they count against its quota. */
  #reportEmpty(count: number): void {
    const hundreds = Math.floor(count / 100);
    if (hundreds > this.#emptyHundreds) {
      this.#log.warning(coded(
        "empty-directories",
        `there are ${count} empty directories of guests below ${backendRoot(this.#domid)}, which ` +
          "only domain 0 may delete; at about 1000 nodes no device can be added any more",
      ));
    }
    this.#emptyHundreds = hundreds;
  }

  async #children(path: string): Promise<string[]> {
    return await absentOrHidden(this.#store.list(path)) ?? [];
  }
}
