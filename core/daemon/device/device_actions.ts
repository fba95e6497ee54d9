/**
 * What the lane of one device does in the world, in which order: the store's part by the device's
 * observer and writer, the journal's by its record, the plugin's by its caller.
 */
import { type DeviceId, frontendPath } from "../../xen/device_id.ts";
import { XenbusState } from "../../xen/states.ts";
import type { LifecycleState, Milestone, Phase, Stage } from "../../lifecycle/state.ts";
import type { Observation } from "../../lifecycle/observation.ts";
import { type ErrorPublication, type LaneActions, Refused } from "../lane_actions.ts";
import { type Log, oneLine } from "../../log/log.ts";
import type { Findings, ProofOfSetup } from "../../../contract/v1/plugin.ts";
import { coded, codeIn } from "../../messages/table.ts";
import { busyOf, checkAnswer } from "../plugin/guard.ts";
import type { PluginHost } from "../plugin/host.ts";
import { frontendKindOf, proofOf } from "../plugin/manifest.ts";
import { isVersion2 } from "../journal/held.ts";
import { Activity, shownTime } from "../activity.ts";
import type { DeviceFlight } from "../flight/device_flight.ts";
import { isHolding, type Releases, waitsFor } from "../releases.ts";
import { AddPause } from "./add_pause.ts";
import { AttachIds } from "./attach_ids.ts";
import { BackupKeeper } from "./backup_keeper.ts";
import { DeviceObserver, DeviceReader, type Part } from "./observer.ts";
import { DeviceRecord } from "./device_record.ts";
import { DeviceWriter } from "./device_writer.ts";
import { FailureWords } from "./failure_words.ts";
import { FindingsLog, hasChanged, lossOf } from "./findings.ts";
import { awaitKernelRelease } from "./kernel_release.ts";
import type { Orphans } from "./orphans.ts";
import { type CallParts, PluginCaller } from "./plugin_caller.ts";
import { DevicePrefetch, type Prefetch } from "./prefetch.ts";
import { ReportKeeper } from "./report_keeper.ts";
import { type Served, servedIn, targetOf } from "./served.ts";
import { Story } from "./story.ts";

/** What is done within this time, in ms, needs no copy of the nodes beside it: one is made after it. */
const BACKUP_AFTER_MS = 500;

/** What actions are made of. */
export interface ActionParts extends CallParts {
  readonly orphans: Orphans;
  readonly releases: Releases;
  /** Without it, nothing is read ahead of what a plugin asks for. */
  readonly prefetch?: Prefetch;
  /** Whether too few descriptors are left to begin anything; undoing does not ask. */
  lacksDescriptors?(): boolean;
  /** Told when a device has been looked at first. */
  onSeen?(id: DeviceId): void;
  /** Told after each change of a device's phase, and when nothing is left of it. */
  onChange?(id: DeviceId): void;
}

/** What a device's actions know of its lane, and of others. */
export interface Surroundings {
  /** To be called when the device should be checked at once. */
  onTrouble(): void;
  /** To be called when its guest may have changed its side; how often that counts is bounded. */
  onFrontend(): void;
  /** How often what was refused is tried again for which no device is waited, in ms. */
  readonly recheckMs: number;
  /** Where another device is in its life, if it is known. */
  phaseOf(id: DeviceId): Phase | undefined;
  /** Takes notes of what is done. */
  readonly flight: DeviceFlight;
}

const NOT_SERVED: Served = { target: null, way: null };

/** The actions of one device. */
export class DeviceActions implements LaneActions {
  readonly #id: DeviceId;
  readonly #plugin: PluginHost;
  readonly #frontendKind: string;
  readonly #parts: ActionParts;
  readonly #log: Log;
  readonly #surroundings: Surroundings;
  readonly #story: Story;
  readonly #activity: Activity;
  readonly #flight: DeviceFlight;
  readonly #record: DeviceRecord;
  readonly #reader: DeviceReader;
  readonly #prefetch: DevicePrefetch;
  readonly #attachIds: AttachIds;
  readonly #observer: DeviceObserver;
  readonly #writer: DeviceWriter;
  readonly #backup: BackupKeeper;
  readonly #caller: PluginCaller;
  readonly #words: FailureWords;
  readonly #report: ReportKeeper;
  readonly #findings: FindingsLog;
  readonly #pause: AddPause;
  /** As far as it is known: an attach may be by another script, or on something else. */
  #served = NOT_SERVED;
  /** What the last add waits for, if it was refused. */
  #waitsFor: readonly string[] = [];
  /** Whether somebody it waited for held nothing, the last time that it was refused. */
  #wasFree = false;
  /** From the record of an add to its end: what changes meanwhile is told by events. */
  #isAdding = false;

  constructor(
    id: DeviceId,
    plugin: PluginHost,
    parts: ActionParts,
    log: Log,
    surroundings: Surroundings,
  ) {
    const { store, clock, directories, journal, releases } = parts;
    const { manifest } = plugin;
    const { results = [] } = manifest;
    const frontendKind = frontendKindOf(manifest, id.kind);
    const { flight } = surroundings;
    const activity = new Activity(clock, (what, ms) => flight.took(what, ms));
    const record = new DeviceRecord(id, journal, releases);
    const reader = new DeviceReader(store, id, frontendKind);
    const prefetch = new DevicePrefetch(parts.prefetch, id.kind, clock);
    const attachIds = new AttachIds(id, { store, record, reader, prefetch, directories });
    const marks = { frontendKind, proof: proofOf(manifest), results };
    this.#id = id;
    this.#plugin = plugin;
    this.#frontendKind = frontendKind;
    this.#parts = parts;
    this.#log = log;
    this.#surroundings = surroundings;
    this.#story = new Story(clock, log, activity);
    this.#activity = activity;
    this.#flight = flight;
    this.#record = record;
    this.#reader = reader;
    this.#prefetch = prefetch;
    this.#attachIds = attachIds;
    this.#observer = new DeviceObserver(id, marks, {
      ...{ reader, attachIds, prefetch, directories, log },
    });
    this.#writer = new DeviceWriter(
      store,
      {
        ...{ id, frontendKind, results },
        attachId: () => this.#knownAttachId,
      },
      clock,
      () => reader.changed("all"),
    );
    this.#backup = new BackupKeeper(id, store, record, results, log);
    this.#caller = new PluginCaller({
      ...{ id, plugin, frontendKind, record, activity, log, flight },
      onTrouble: () => surroundings.onTrouble(),
      onFrontend: () => surroundings.onFrontend(),
      onWrite: () => reader.changed("all"),
      phaseOf: (other) => surroundings.phaseOf(other),
    }, parts);
    this.#words = new FailureWords(id, store, record, log);
    this.#report = new ReportKeeper(manifest, this.#writer, attachIds, log);
    this.#findings = new FindingsLog(log);
    this.#pause = new AddPause(clock);
  }

  /** To be told, before the lane is, of what an event says that has changed. */
  stale(part: Part | "all"): void {
    this.#reader.changed(part);
    if (part === "all") this.#pause.end();
  }

  /** Whether the guest's directory was there when it was looked for last. */
  get sawGuest(): boolean {
    return this.#reader.sawGuest;
  }

  /** Its script has said why it fails. */
  hears(): void {
    if (this.#isAdding) this.#words.listen();
  }

  /** Whether `remove` can go on while the backend directory is deleted. */
  get removesWithoutDirectory(): boolean {
    // A version 2 script has a directory of its own.
    return this.#plugin.manifest.removesWithoutDirectory || isVersion2(this.#record.held);
  }

  async observe(): Promise<Observation> {
    await this.#pause.over;
    const before = this.#observer.seen;
    const { setups } = this.#report;
    const seen = await this.#observer.observe(this.#isAdding);
    if (lossOf(seen, this.#proof) !== null && hasChanged(before, seen)) {
      queueMicrotask(() => this.#surroundings.onTrouble());
    }
    if (!this.#isAdding) this.#report.saw(seen, setups);
    this.#parts.servers.look(this.#id);
    this.#story.observed(seen);
    this.#flight.observed(seen);
    return seen;
  }

  async mark(): Promise<void> {
    await this.#attachIds.mark(this.#observer.seen);
  }

  async record(again: boolean): Promise<string | null> {
    if (again) this.#flight.retried();
    const attachId = await this.#attachIds.begin(again, this.#observer.seen);
    if (attachId !== null) {
      this.#served = NOT_SERVED;
      this.#isAdding = true;
      this.#pause.begin();
    }
    return attachId;
  }

  async note(stage: Stage, error: string | undefined, busy: boolean): Promise<void> {
    this.#endAdding();
    // The record forgets it when it is undone.
    void this.served;
    this.#record.note(stage, error, busy ? this.#waitsFor : null);
  }

  async drop(): Promise<void> {
    this.#record.drop();
  }

  async awaitRelease(signal: AbortSignal): Promise<void> {
    const { releases, journal, clock } = this.#parts;
    const { waitsFor } = this.#record;
    const holding = waitsFor.filter((name) => isHolding(journal.get(name)));
    const isFree = holding.length < waitsFor.length;
    const isAgain = isFree && this.#wasFree;
    this.#wasFree = isFree;
    // Given back meanwhile, or never held: then it would be refused without end.
    if (isFree && !isAgain) return;
    const released = holding.length > 0 ? [releases.ofAny(holding, journal, signal)] : [];
    if (released.length > 0 && !isFree) return await released[0];
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(this.#surroundings.recheckMs, resolve);
    signal.addEventListener("abort", cancel, { once: true });
    await Promise.race([promise, ...released]);
    signal.removeEventListener("abort", cancel);
    cancel();
  }

  async awaitOrphans(ms: number, whose = "an earlier daemon"): Promise<void> {
    const { leftOver } = this.#record;
    if (leftOver === null) return;
    if (await this.#parts.orphans.ended(leftOver, ms)) {
      this.#log.warning(`processes that ${whose} had started were ended`);
    }
    // What they wrote last is in the store; that its event has come by now is not said.
    this.#reader.changed("all");
  }

  async add(signal: AbortSignal): Promise<void> {
    this.#log.info(
      `attach: for ${frontendPath(this.#id, this.#frontendKind)}, by plugin ` +
        this.#plugin.manifest.name,
    );
    this.#words.begin();
    try {
      await this.#addInSlot(signal);
    } catch (error) {
      throw signal.aborted
        ? await this.#words.explain(error as Error, signal)
        : this.#refusal(error);
    } finally {
      this.#endAdding();
    }
    await this.#report.complete(await this.#backup.make());
    this.#wasFree = false;
  }

  /** What fails since something is in use waits for whoever uses it. */
  #refusal(error: unknown): unknown {
    const busy = busyOf(error);
    if (busy === null) return error;
    this.#waitsFor = waitsFor(busy.holders);
    return new Refused((error as Error).message, { cause: error });
  }

  async #addInSlot(signal: AbortSignal): Promise<void> {
    await this.#caller.inSlot(signal, async () => {
      if (this.#parts.lacksDescriptors?.()) {
        throw new Error(
          coded(
            "descriptors-few",
            "the daemon has too few file descriptors left to set it up (ulimit -n)",
          ),
        );
      }
      // Beside what takes long, since nobody waits for it: what a script will ask for when the
      // directory is gone.
      let backedUp: Promise<unknown> | null = null;
      const cancel = this.#parts.clock.after(BACKUP_AFTER_MS, () => {
        backedUp = this.#backup.make();
      });
      const reads = this.#prefetch.open(this.#attachIds.recorded);
      try {
        await this.#caller.call(
          signal,
          (plugin, device, signal) => plugin.add(device, signal),
          reads,
        );
      } catch (error) {
        // One that fails early has recorded nothing.
        const target = targetOf(reads.seen);
        if (target !== null) this.#served = { ...this.#served, target };
        throw error;
      } finally {
        reads.end();
        cancel();
        await backedUp;
      }
    });
  }

  #endAdding(): void {
    this.#isAdding = false;
    this.#report.forget();
    this.#reader.changed("all");
    this.#pause.end();
  }

  async remove(signal: AbortSignal, again = false): Promise<void> {
    // A script that was left behind may still be at it.
    if (again) {
      this.#flight.retried();
      await this.awaitOrphans(0, "an undoing that failed");
    }
    await this.#writer.writes(
      this.#caller.inSlot(signal, () => this.#caller.remove(signal)),
    );
  }

  async adopt(signal: AbortSignal): Promise<string | null> {
    return await this.#writer.writes(this.#adopt(signal));
  }

  async #adopt(signal: AbortSignal): Promise<string> {
    const { seen } = this.#observer;
    const attachId = await this.#attachIds.adopt(seen);
    await this.#report.adopt(seen, attachId);
    if (!this.#record.isBackedUp) await this.#backup.make();
    try {
      await this.#caller.call(
        signal,
        async (plugin, device, signal) => plugin.adopt?.(device, signal),
      );
    } catch (error) {
      this.#log.warning(`the plugin cannot adopt it: ${(error as Error).message}`);
    }
    await this.#caller.adoptServer();
    return attachId;
  }

  async check(): Promise<Findings> {
    const broken = await this.#caller.endedChild();
    if (broken !== null) return { broken };
    const { name } = this.#plugin.manifest;
    const { signal } = new AbortController();
    const found = await this.#caller.call(
      signal,
      async (plugin, device, signal) => checkAnswer(name, await plugin.check?.(device, signal)),
    );
    const isWell = [found.broken, found.undone, found.refused].every((line) => line === undefined);
    const all = isWell
      ? { ...found, ...await this.#report.check(found, this.#knownAttachId) }
      : found;
    this.#findings.take(all);
    return all;
  }

  async signalClosing(): Promise<void> {
    await this.#writer.signalClosing();
    this.#flight.tookTo(XenbusState.Closing);
  }

  async cleanse(keepAttachId: boolean): Promise<void> {
    this.#attachIds.forgetNext();
    await this.#writer.cleanse(keepAttachId ? this.#knownAttachId : null);
  }

  async requestClose(): Promise<void> {
    await this.#writer.requestClose();
  }

  async publishError(error: string, how: ErrorPublication = {}): Promise<void> {
    await this.#writer.publishError(error, how);
    this.#flight.wrote("daemon", { "hotplug-error": error });
  }

  async closeBackend(): Promise<void> {
    await this.#writer.closeBackend(this.#observer.seen.online === true);
    this.#flight.tookTo(XenbusState.Closed);
  }

  async awaitKernel(ms: number): Promise<void> {
    const { files, clock } = this.#parts;
    await awaitKernelRelease(files, clock, this.#id, ms);
  }

  async deleteDirectory(another: boolean): Promise<string | null> {
    return await this.#writer.deleteDirectory(another ? null : this.#attachIds.recorded);
  }

  async keepNodes(): Promise<void> {
    await this.#backup.make();
  }

  changed(before: Phase, state: LifecycleState): void {
    this.#story.changed(before, state);
    this.#flight.changed(before, state);
    if (before === "absent" || before === "recovering") this.#parts.onSeen?.(this.#id);
    this.#parts.onChange?.(this.#id);
  }

  report(
    level: "debug" | "info" | "warning" | "error",
    text: string,
    milestone?: Milestone,
  ): void {
    // Warnings without a code tell what is done, and not what went wrong.
    if (level === "error" || codeIn(text) !== null) this.#flight.failed(text);
    if (milestone === undefined) return this.#log[level](text);
    const ms = this.#story.elapsedMs;
    const { nodes } = this.#record;
    if (milestone === "connected" && this.#record.held.script === "begun") {
      this.#flight.wrote("script", resultsIn(nodes));
    }
    const on = milestone === "connected" ? servedBy(nodes) : "";
    this.#log[level](`${text} after ${shownTime(ms)}${on}`);
    this.#flight.reached(milestone, ms);
  }

  /** What is being done for it, and for how long. */
  get doing(): Activity["now"] {
    return this.#activity.now;
  }

  /** Since when it is set up, or failed, in ms since 1970: also under an earlier daemon; null: neither. */
  get settledAt(): number | null {
    const { stage, since = null } = this.#record.entry ?? {};
    return stage === "connected" || stage === "failed" ? since : null;
  }

  /** On what it is set up, or was when it failed; and by whom. */
  get served(): Served {
    // To read the record takes far longer than to remember what it says.
    if (this.#served.target !== null && this.#served.way !== null) return this.#served;
    const { entry } = this.#record;
    if (entry === undefined) return this.#served;
    const { target, way } = servedIn(entry, this.#plugin);
    return this.#served = {
      target: target ?? this.#served.target,
      way: way ?? this.#served.way,
    };
  }

  /** Nothing is told of it any more. */
  end(): void {
    this.#story.end();
    this.#flight.end();
  }

  /** The attach id of the directory that was seen last, also of one that waits; null: none of ours. */
  get #knownAttachId(): string | null {
    return this.#attachIds.of(this.#observer.seen);
  }

  get #proof(): readonly ProofOfSetup[] {
    return proofOf(this.#plugin.manifest);
  }
}

/** Longest part of a node that is shown, in characters. */
const SHOWN_MAX = 200;

/** What a script has written, as far as its device's nodes tell. */
function resultsIn(nodes: Readonly<Record<string, string>>): Record<string, string> {
  const names = ["node", "physical-device", "physical-device-path", "hotplug-status"];
  return Object.fromEntries(Object.entries(nodes).filter(([name]) => names.includes(name)));
}

/** What a device was set up on, as far as its nodes tell. */
function servedBy(nodes: Readonly<Record<string, string>>): string {
  const { bridge, node } = nodes;
  const device = nodes["physical-device-path"] ?? node ?? nodes["physical-device"];
  if (device) return `: on ${oneLine(device, SHOWN_MAX)}`;
  return bridge ? `: on bridge ${oneLine(bridge, SHOWN_MAX)}` : "";
}
