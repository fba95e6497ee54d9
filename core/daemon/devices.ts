/** All devices of a driver domain, a lane each. */
import { coded } from "../messages/table.ts";
import { backendPath, backendRoot, type DeviceId, deviceName } from "../xen/device_id.ts";
import { deviceLabel } from "../xen/device_label.ts";
import { deviceJson, type DeviceState } from "../xen/device_json.ts";
import { DEFAULT_TIMES, type LifecycleTimes } from "../xen/times.ts";
import type { LifecycleRules, LifecycleState, Phase } from "../lifecycle/state.ts";
import { PHASE_WORDS } from "../lifecycle/phase_words.ts";
import { type DeviceStatus, stateIn } from "./control/device_status.ts";
import type { DeviceCount } from "./control/report.ts";
import { type ControlledDevices, GiveUpRefused } from "./control/methods.ts";
import { DeviceFlight } from "./flight/device_flight.ts";
import { Flight } from "./flight/flight.ts";
import { tenths } from "./flight/counters.ts";
import { Lane } from "./device_lane.ts";
import type { Cancel } from "../../platform/types.ts";
import { openLog } from "../log/log.ts";
import type { PluginHost, PluginRegistry } from "./plugin/host.ts";
import { frontendKindOf } from "./plugin/manifest.ts";
import { type ActionParts, DeviceActions } from "./device/device_actions.ts";
import { GuestNames } from "./guest_names.ts";
import type { Part } from "./device/observer.ts";
import { Throttle, type ThrottleLimits } from "./throttle.ts";

/** What the daemon's devices need. */
export interface DevicesParts extends ActionParts {
  readonly plugins: PluginRegistry;
  readonly times?: LifecycleTimes;
  readonly throttle?: ThrottleLimits;
  /** The one device that is served; by default, all are. */
  readonly only?: DeviceId;
  /** Called when the devices of a guest have become more or fewer. */
  onGuest?(frontendDomid: number): void;
}

/** No constant of Xen's: with some thousand devices, looking at them must not be all that is done. */
const CHECKS_AT_A_TIME = 100;

/**
 * As many are looked at together, then there is a pause, in ms: an attach meanwhile waits for 800
 * answers of the store, 5 ms or so, and not for those of thousands of devices.
 */
const LOOKS_AT_A_TIME = 100;
const LOOKS_PAUSE_MS = 20;

/** How a device is. */
export interface DeviceReport {
  /** What it is called. */
  readonly label: string;
  readonly phase: Phase;
  /** How long it has been in that phase, in ms. */
  readonly phaseMs: number;
  /** Whether a plugin's add or remove runs for it. */
  readonly busy: boolean;
  /** Why it failed, or null. */
  readonly error: string | null;
  /** Why it cannot be undone, and by which name it could be given up; or null. */
  readonly stuck: { readonly why: string; readonly name: string } | null;
}

interface Entry {
  readonly id: DeviceId;
  readonly lane: Lane;
  readonly actions: DeviceActions;
}

/** The devices that are known. */
export class Devices implements ControlledDevices {
  readonly #parts: DevicesParts;
  readonly #lanes = new Map<string, Entry>();
  readonly #throttle: Throttle;
  readonly #log = openLog();
  /** What guests are called, for the log. */
  readonly names: GuestNames;
  readonly flight: Flight;
  readonly #followers = new Set<(name: string) => void>();
  readonly #unknownKinds = new Set<string>();
  /** The same by guest: there may be thousands in all. */
  readonly #byGuest = new Map<number, Map<string, Entry>>();
  /** Touched in this turn of the event loop. */
  readonly #touched = new Set<string>();
  #nextCheck = 0;
  /** Ends the going round that goes on, if one does. */
  #cancelRound: Cancel | null = null;
  #closing = false;
  #stopped = false;
  #onFewer: (() => void) | null = null;

  constructor(parts: DevicesParts) {
    this.#parts = parts;
    this.names = new GuestNames(parts.store);
    this.flight = new Flight(parts.clock);
    this.#throttle = new Throttle(parts.clock, parts.throttle);
  }

  /** Identities of the devices that are known. */
  get known(): DeviceId[] {
    return [...this.#lanes.values()].map(({ id }) => id);
  }

  /** Whether it is known. */
  knows(id: DeviceId): boolean {
    return this.#lanes.has(backendPath(id));
  }

  /** Whether a path is the backend directory of a device that is known. */
  isDirectory(path: string): boolean {
    return this.#lanes.has(path);
  }

  /** How many there are. */
  get count(): number {
    return this.#lanes.size;
  }

  /** Those of one guest. */
  of(frontendDomid: number): DeviceId[] {
    return [...this.#byGuest.get(frontendDomid)?.values() ?? []].map(({ id }) => id);
  }

  /** How many devices are set up, or half so. */
  get held(): number {
    return [...this.#lanes.values()].filter(({ lane }) => lane.state.acquired).length;
  }

  /** How all are, in no particular order. */
  reports(): DeviceReport[] {
    return [...this.#lanes.values()].map(({ id, lane }) => {
      const { state: { phase, error, stuck: why }, phaseMs, busy } = lane;
      const stuck = why === null ? null : { why, name: deviceName(id) };
      return { label: this.names.subjectOf(id).label, phase, phaseMs, busy, error, stuck };
    });
  }

  /** @param tell gets the name of each device that has changed @returns ends it */
  follow(tell: (name: string) => void): () => void {
    this.#followers.add(tell);
    return () => void this.#followers.delete(tell);
  }

  /** A device has changed. */
  tellFollowers(id: DeviceId): void {
    if (this.#followers.size === 0) return;
    for (const tell of [...this.#followers]) tell(deviceName(id));
  }

  /** The same for programs. */
  statuses(): DeviceStatus[] {
    return [...this.#lanes.values()].map((entry) => this.#statusOf(entry));
  }

  /** How many of a kind are set up in one way and in one state. */
  counts(): DeviceCount[] {
    const counts = new Map<string, DeviceCount & { count: number }>();
    for (const { id: { kind }, lane, actions } of this.#lanes.values()) {
      const { way } = actions.served;
      const state = stateIn(lane.state);
      const key = `${kind} ${state} ${way}`;
      const row = counts.get(key);
      if (row === undefined) counts.set(key, { kind, way, state, count: 1 });
      else row.count++;
    }
    return [...counts.values()];
  }

  /** How many are in which state. */
  get stateCounts(): Map<DeviceState, number> {
    const counts = new Map<DeviceState, number>();
    for (const { lane } of this.#lanes.values()) {
      const state = stateIn(lane.state);
      counts.set(state, (counts.get(state) ?? 0) + 1);
    }
    return counts;
  }

  /** @param name as in `deviceName`; null: there is no such device */
  status(name: string): DeviceStatus | null {
    const entry = this.#named(name);
    return entry === undefined ? null : this.#statusOf(entry);
  }

  #named(name: string): Entry | undefined {
    const backend = this.#backendDomid;
    return backend === null ? undefined : this.#lanes.get(`${backendRoot(backend)}/${name}`);
  }

  /** All are of one driver domain. */
  get #backendDomid(): number | null {
    const [first] = this.#lanes.values();
    return first === undefined ? null : first.id.backendDomid;
  }

  #statusOf({ id, lane, actions }: Entry): DeviceStatus {
    const { state, phaseMs, busy } = lane;
    const { target, way } = actions.served;
    const detail = PHASE_WORDS[state.phase];
    const begun = Date.now() - phaseMs;
    const isSettled = state.phase === "connected" || state.phase === "failed";
    // A phase may have begun under an earlier daemon.
    const since = Math.min(begun, isSettled ? actions.settledAt ?? begun : begun);
    const doing = actions.doing ?? (busy ? { what: detail, ms: phaseMs } : null);
    return {
      ...deviceJson({
        kind: id.kind,
        frontendDomid: id.frontendDomid,
        devid: id.devid,
        backend: id.backendDomid,
        guestName: this.names.of(id.frontendDomid),
        target,
        way,
        state: stateIn(state),
        since: new Date(since).toISOString(),
      }),
      device: deviceName(id),
      detail,
      error: state.stuck ?? state.error,
      doing: doing?.what ?? null,
      doingMs: doing === null ? null : tenths(doing.ms),
    };
  }

  /** Where a device is in its life; undefined when it is not known. */
  stateOf(id: DeviceId): LifecycleState | undefined {
    return this.#lanes.get(backendPath(id))?.lane.state;
  }

  /** Kind of a device's frontend directory. */
  frontendKindOf(id: DeviceId): string {
    const plugin = this.#parts.plugins.find(id.kind);
    return plugin === undefined ? id.kind : frontendKindOf(plugin.manifest, id.kind);
  }

  /** Takes up what the journal knows. To be called before the first touch. */
  resume(): void {
    for (const entry of this.#parts.journal.entries()) {
      if (!this.#isServed(entry.id)) continue;
      const plugin = this.#parts.plugins.find(entry.id.kind);
      if (plugin === undefined) {
        this.#log.error(coded(
          "no-plugin",
          `${
            deviceLabel(entry.id)
          }: an earlier daemon set it up, and no plugin serves its kind now; ` +
            "its record is kept for one that has it",
        ));
        continue;
      }
      const { lane } = this.#open(entry.id, plugin);
      lane.resume({
        stage: entry.stage,
        attachId: entry.attachId,
        error: entry.error,
        busy: entry.waitsFor !== null,
      });
      lane.touch();
    }
  }

  /**
   * Something about a device may have changed. A guest that causes this too often is served later,
   * never not at all.
   * @param part what an event says that has changed
   */
  touch(id: DeviceId, part: Part | "all" = "all"): void {
    if (this.#stopped || !this.#isServed(id)) return;
    const key = backendPath(id);
    this.#lanes.get(key)?.actions.stale(part);
    // Several events in one turn are one reason to look: the look has not begun yet.
    if (this.#touched.has(key)) return;
    if (this.#touched.size === 0) queueMicrotask(() => this.#touched.clear());
    this.#touched.add(key);
    this.#throttle.run(id.frontendDomid, key, () => this.#touchNow(id, key));
  }

  /** A device's script has said why it fails. @param path of its backend directory */
  hears(path: string): void {
    this.#lanes.get(path)?.actions.hears();
  }

  /** Something below a guest's directory was written: news only if that was not known to be there. */
  touchIfHidden(id: DeviceId): void {
    if (this.#lanes.get(backendPath(id))?.actions.sawGuest === false) this.touch(id, "guest");
  }

  /** Everything may have changed: goes round once, unless it is doing so. */
  touchAll(): void {
    for (const guest of this.#byGuest.keys()) this.names.ask(guest);
    if (this.#cancelRound === null) this.#goRound([...this.#lanes.keys()], 0);
  }

  #goRound(keys: readonly string[], from: number): void {
    this.#cancelRound = null;
    const to = from + LOOKS_AT_A_TIME;
    for (const key of keys.slice(from, to)) {
      const entry = this.#lanes.get(key);
      entry?.actions.stale("all");
      entry?.lane.touch();
    }
    if (to >= keys.length) return;
    this.#cancelRound = this.#parts.clock.after(LOOKS_PAUSE_MS, () => this.#goRound(keys, to));
  }

  /** Has devices that are set up checked: as many as may be at a time, the others next time. */
  checkSome(): void {
    const keys = [...this.#lanes.keys()];
    const count = Math.min(CHECKS_AT_A_TIME, keys.length);
    for (let at = 0; at < count; at++) {
      this.#nextCheck %= keys.length;
      this.#lanes.get(keys[this.#nextCheck++]!)?.lane.check();
    }
  }

  /** Something has changed by which what could not be undone may be undone now. */
  helpStuck(): void {
    for (const { lane } of this.#lanes.values()) lane.help();
  }

  /**
   * Gives up a device that cannot be undone: what is left of it stays.
   * @param name as in the journal (`vbd/7/51712`)
   * @returns what was done, for people
   * @throws GiveUpRefused when there is no such device, it is not stuck, or the daemon has stopped
   */
  giveUp(name: string): string {
    if (this.#stopped) {
      throw new GiveUpRefused("the daemon is stopping; the next one can be asked for it");
    }
    const entry = this.#named(name);
    const why = entry?.lane.giveUp() ?? null;
    if (why !== null) return `${name}: given up; it could not be undone: ${why}`;
    if (entry !== undefined) {
      const { phase } = entry.lane.state;
      throw new GiveUpRefused(`${name} is not stuck: ${PHASE_WORDS[phase]}`);
    }
    if (this.#parts.journal.get(name) === undefined) {
      throw noSuchDevice(name);
    }
    // Of a kind that no plugin serves now.
    this.#parts.journal.drop(name);
    this.#parts.releases.released(name);
    this.helpStuck();
    this.#log.warning(`${name}: given up, as was asked for: its record is dropped`);
    return `${name}: given up; no plugin serves its kind now, and its record is dropped`;
  }

  /**
   * Tries again at once what failed and is to be tried again some time.
   * @param name as above
   * @returns what was done, for people
   * @throws GiveUpRefused likewise, or when nothing is to be tried again
   */
  retry(name: string): string {
    const entry = this.#named(name);
    if (entry === undefined) throw noSuchDevice(name);
    const { phase } = entry.lane.state;
    if (this.#stopped || !entry.lane.retry()) {
      throw new GiveUpRefused(`nothing is to be tried again of ${name}: ${PHASE_WORDS[phase]}`);
    }
    return `${name}: tried again now`;
  }

  /** Closes all devices as a toolstack would; resolves when all are gone, or after `ms`. */
  async close(ms: number): Promise<void> {
    this.#closing = true;
    for (const { lane } of this.#lanes.values()) lane.close();
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(ms, resolve);
    const look = () => {
      if (![...this.#lanes.values()].some(({ lane }) => isOpen(lane.state))) resolve();
    };
    this.#onFewer = look;
    look();
    await promise;
    cancel();
  }

  /**
   * Starts nothing new and waits for what runs; what still runs after `graceMs` is told to stop.
   * Devices stay as they are.
   */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#throttle.stop();
    this.#cancelRound?.();
    this.#parts.deviceModels.stop();
    this.#parts.servers.stop();
    await Promise.all(
      [...this.#lanes.values()].map(async ({ lane, actions }) => {
        await lane.stop(graceMs);
        actions.end();
      }),
    );
  }

  #isServed(id: DeviceId): boolean {
    const { only } = this.#parts;
    return only === undefined || backendPath(only) === backendPath(id);
  }

  #touchNow(id: DeviceId, key: string): void {
    if (this.#stopped) return;
    let entry = this.#lanes.get(key);
    if (entry === undefined) {
      if (this.#closing) return;
      const plugin = this.#parts.plugins.find(id.kind);
      if (plugin === undefined) return this.#reportUnknownKind(id);
      entry = this.#open(id, plugin);
    }
    entry.lane.touch();
  }

  #forget({ frontendDomid }: DeviceId, key: string): void {
    this.#lanes.delete(key);
    const guests = this.#byGuest.get(frontendDomid);
    guests?.delete(key);
    if (guests?.size !== 0) return;
    this.#byGuest.delete(frontendDomid);
    this.names.forget(frontendDomid);
  }

  #reportUnknownKind(id: DeviceId): void {
    if (this.#unknownKinds.has(id.kind)) return;
    this.#unknownKinds.add(id.kind);
    this.#log.warning(coded(
      "no-plugin",
      `${deviceLabel(id)}: no plugin serves kind ${id.kind} ` +
        `(there are ${this.#parts.plugins.kinds.join(", ") || "none"}); its devices are ignored ` +
        "until the daemon is started with one, as a file in /etc/xdevd/plugins.d or with " +
        "--plugin FILE",
    ));
  }

  #open(id: DeviceId, plugin: PluginHost): Entry {
    const key = backendPath(id);
    const { manifest } = plugin;
    const flight = new DeviceFlight({
      ...{ name: deviceName(id), kind: id.kind },
      backend: manifest.servedByQemu ? "QEMU" : "kernel",
    }, this.flight);
    const log = openLog(this.names.subjectOf(id), (level, text) => flight.logged(level, text));
    const actions = new DeviceActions(id, plugin, this.#parts, log, {
      onTrouble: () => lane.check(),
      onFrontend: () => this.touch(id, "guest"),
      recheckMs: (this.#parts.times ?? DEFAULT_TIMES).recheck,
      phaseOf: (other) => this.stateOf(other)?.phase,
      flight,
    });
    const rules: LifecycleRules = {
      times: this.#parts.times ?? DEFAULT_TIMES,
      waitsForBackend: manifest.server === undefined && (manifest.waitsForBackend ?? true),
      servedByQemu: manifest.servedByQemu ?? false,
      get removesWithoutDirectory() {
        return actions.removesWithoutDirectory;
      },
    };
    const lane: Lane = new Lane(actions, rules, this.#parts.clock, () => {
      actions.end();
      if (this.#lanes.get(key)?.lane === lane) this.#forget(id, key);
      this.#parts.onChange?.(id);
      this.#parts.onGuest?.(id.frontendDomid);
      this.#onFewer?.();
      // What it held may have been in the way.
      this.helpStuck();
    });
    const entry = { id, lane, actions };
    this.#lanes.set(key, entry);
    const guests = this.#byGuest.get(id.frontendDomid);
    if (guests === undefined) this.#byGuest.set(id.frontendDomid, new Map([[key, entry]]));
    else guests.set(key, entry);
    this.#parts.onGuest?.(id.frontendDomid);
    return entry;
  }
}

function noSuchDevice(name: string): GiveUpRefused {
  return new GiveUpRefused(
    `there is no device ${name.slice(0, 100)}; expected KIND/DOMID/DEVID, such as vbd/7/51712`,
    true,
  );
}

/** Whether there is something left to close. */
function isOpen(state: LifecycleState): boolean {
  return !["failed", "busy", "absent", "undeletable"].includes(state.phase) && !state.paused;
}
