/** What the lane of one device does in the world: the store, the journal, the plugin, the kernel. */
import { backendPath, type DeviceId, deviceName, frontendPath } from "../../xen/device_id.ts";
import type { LifecycleState, Milestone, Phase, Stage } from "../../lifecycle/state.ts";
import { ABSENT, type Observation, wishOf } from "../../lifecycle/observation.ts";
import { FailedBefore, type LaneActions, Refused } from "../device_lane.ts";
import { type Log, oneLine, printable } from "../../log/log.ts";
import type {
  Device,
  Findings,
  PluginOperations,
  ProofOfSetup,
} from "../../../contract/v1/plugin.ts";
import { busyOf, type CallLimits, checkAnswer, guardedCall } from "../plugin/guard.ts";
import type { PluginHost } from "../plugin/host.ts";
import { frontendKindOf, proofOf } from "../plugin/manifest.ts";
import {
  cleanse,
  closeBackend,
  deleteDirectory,
  publishError,
  publishSuccess,
  requestClose,
  signalClosing,
} from "./store_writer.ts";
import { both } from "./both.ts";
import { CHILD_RECORD, type ChildKeeper } from "../capabilities/children.ts";
import { copyOf } from "./node_backup.ts";
import type { AddReads, Prefetch, ReadAhead } from "./prefetch.ts";
import { DEVICE_MODEL_RECORD, type DeviceModels } from "../capabilities/device_models.ts";
import type { DirectoryKeeper } from "../capabilities/directories.ts";
import { type ContextParts, deviceContext, HOTPLUG_RECORD } from "../capabilities/device.ts";
import { ServerError } from "../../xenstore/errors.ts";
import { FindingsLog, hasChanged, lossOf } from "./findings.ts";
import type { JournalEntry } from "../journal/entry.ts";
import type { JournalStore } from "../journal/memory.ts";
import { isVersion2 } from "../capabilities/scripts_v2.ts";
import { awaitKernelRelease } from "./kernel_release.ts";
import { Activity } from "../activity.ts";
import { DeviceReader, type Look } from "./reader.ts";
import { readAttachId, writeAttachId } from "./attach_id.ts";
import { observationOf, oddityOf, type Part, reportOf } from "./observe.ts";
import { OPERATION_VARIABLE, type Orphans } from "./orphans.ts";
import { isHolding, type Releases, WAITS_RECORD, waitsFor } from "../releases.ts";
import { publishDisconnected } from "../../requests/driver/disconnected.ts";
import { NO_SCRIPT } from "../capabilities/script_record.ts";
import type { Slots } from "../slots.ts";
import { Story } from "./story.ts";

/** What is done within this time, in ms, needs no copy of the nodes beside it: one is made after it. */
const COPY_AFTER_MS = 500;

/**
 * An add is let alone for this time, in ms, unless its directory is deleted: what is done so soon is
 * undone afterwards rather than stopped, and looking at it all the while takes time that it needs.
 */
const LOOK_AFTER_MS = 500;

/** Plugins of which it was told that they do not say when they are done. */
const mutePlugins = new Set<string>();

/** What actions are made of. */
export interface ActionParts extends ContextParts {
  readonly journal: JournalStore;
  readonly slots: Slots;
  readonly orphans: Orphans;
  readonly releases: Releases;
  readonly children: ChildKeeper;
  readonly deviceModels: DeviceModels;
  readonly directories: DirectoryKeeper;
  readonly calls: CallLimits;
  readonly prefetch: Prefetch;
  /** Told when a device has been looked at first. */
  onSeen?(id: DeviceId): void;
  /** Told after each change of a device's phase, and when nothing is left of it. */
  onChange?(id: DeviceId): void;
}

/** What a device's actions know of its lane, and of others. */
export interface Surroundings {
  /** To be called when the device should be checked at once. */
  onTrouble(): void;
  /** How often what was refused is tried again for which no device is waited, in ms. */
  readonly recheckMs: number;
  /** Where another device is in its life, if it is known. */
  phaseOf(id: DeviceId): Phase | undefined;
}

/** Phases in which a device's way leads to its being undone. */
const ENDING: ReadonlySet<Phase> = new Set<Phase>([
  "aborting",
  "undoing",
  "failed",
  "busy",
  "closing",
  "lingering",
  "settling",
  "removing",
  "overdue",
  "finishing",
  "holding",
  "deleting",
  "stuck",
]);

function isEnding(stage: Stage, phase: Phase | undefined): boolean {
  if (stage === "adding" || stage === "connected") return phase !== undefined && ENDING.has(phase);
  // It is being undone so as to be set up anew.
  return phase !== "redoing";
}

/** The actions of one device. */
export class DeviceActions implements LaneActions {
  readonly #id: DeviceId;
  readonly #name: string;
  readonly #plugin: PluginHost;
  readonly #frontendKind: string;
  readonly #parts: ActionParts;
  readonly #log: Log;
  readonly #activity: Activity;
  readonly #story: Story;
  readonly #surroundings: Surroundings;
  /** What the last add waits for, if it was refused. */
  #waitsFor: string | null = null;
  #lastOddity: string | null = null;
  /** The id of the attach that is to come, once it was written. */
  #nextAttachId: string | null = null;
  /** It was not looked at yet. */
  #isNew = true;
  /** The last look. */
  #seen: Observation = ABSENT;
  /** What was read besides at the last look, or when the directory got its attach id. */
  #ahead: ReadAhead | null = null;
  readonly #looks: DeviceReader;
  /** Why the script of the add that runs fails, as far as it has said. */
  #words: string | null = null;
  /** From the record of an add to its end: what changes meanwhile is told by events. */
  #isAdding = false;
  /** The last look, if nothing was set up since then. */
  #settled: Observation | null = null;
  /** Whether the last check has found node `hotplug-status` missing, and nothing else. */
  #isReportLost = false;
  readonly #findings: FindingsLog;
  /** Resolves when an add may be looked at, and makes it do so. */
  #pause: Promise<void> = Promise.resolve();
  #endPause = () => {};

  constructor(
    id: DeviceId,
    plugin: PluginHost,
    parts: ActionParts,
    log: Log,
    surroundings: Surroundings,
  ) {
    this.#id = id;
    this.#name = deviceName(id);
    this.#plugin = plugin;
    this.#frontendKind = frontendKindOf(plugin.manifest, id.kind);
    this.#parts = parts;
    this.#log = log;
    this.#surroundings = surroundings;
    this.#findings = new FindingsLog(log);
    this.#activity = new Activity(parts.clock);
    this.#story = new Story(parts.clock, log, this.#activity);
    this.#looks = new DeviceReader(parts.store, id, this.#frontendKind);
  }

  /** To be told, before the lane is, of what an event says that has changed. */
  stale(part: Part | "all"): void {
    this.#looks.changed(part);
    if (part === "all") this.#endPause();
  }

  /** Whether the guest's directory was there when it was looked for last. */
  get sawGuest(): boolean {
    return this.#looks.sawGuest;
  }

  async observe(): Promise<Observation> {
    await this.#pause;
    const { reading, nodes } = await this.#provenLook();
    const oddity = oddityOf(reading);
    if (oddity !== null && oddity !== this.#lastOddity) this.#log.warning(oddity);
    this.#lastOddity = oddity;
    const observation = this.#observationOf({ reading, nodes });
    this.#isNew = false;
    const isLost = lossOf(observation, this.#proof) !== null;
    if (isLost && hasChanged(this.#seen, observation)) {
      queueMicrotask(() => this.#surroundings.onTrouble());
    }
    if (!this.#isAdding) this.#settled = observation;
    this.#seen = observation;
    this.#story.observed(observation);
    if (nodes.size > 0) this.#keepAhead(observation.attachId, nodes);
    return observation;
  }

  #observationOf({ reading, nodes }: Look): Observation {
    return observationOf(
      reading,
      this.#id,
      this.#frontendKind,
      this.#proof,
      this.#isNew && this.#provingNodes.some((name) => nodes.get(name)),
    );
  }

  /**
   * A look whose parts are all of one directory, as far as that matters. A directory that is deleted
   * and made anew between two answers gives parts of both; only its attach id shows that it was the
   * same all the while. So what would be refused or adopted is given one, and looked at again.
   */
  async #provenLook(): Promise<Look> {
    let look = await this.#look();
    if (!this.#needsProof(look)) return look;
    while (this.#needsProof(look)) {
      try {
        await this.#proveDirectory();
      } catch (error) {
        // What we may not write to, we cannot harm either.
        if (error instanceof ServerError) return look;
        throw error;
      }
      look = await this.#looks.all(this.#nextAttachId, this.#isNew ? this.#provingNodes : []);
    }
    // Of one that is adopted they are still needed.
    if (!this.#observationOf(look).served) await this.#parts.directories.remove(this.#id);
    return look;
  }

  /** Whether what the look says would be acted upon for good, and no attach id shows that it is so. */
  #needsProof(look: Look): boolean {
    if (this.#attachId !== null) return false;
    const seen = this.#observationOf(look);
    if (seen.attachId !== null && seen.attachId === this.#nextAttachId) return false;
    const wish = wishOf(seen);
    return wish === "refused" || seen.served && (wish === "present" || wish === "idle");
  }

  async #look(): Promise<Look> {
    const attachId = this.#attachId;
    if (attachId !== null) {
      return this.#isAdding
        ? await this.#looks.changes(attachId)
        : await this.#looks.since(attachId);
    }
    if (this.#nextAttachId === null) {
      return await this.#looks.all(null, this.#isNew ? this.#provingNodes : []);
    }
    // What `add` is going to ask for, if the next thing is an add.
    return await this.#looks.since(this.#nextAttachId, this.#namesAhead);
  }

  get #namesAhead(): readonly string[] {
    return this.#parts.prefetch.namesOf(this.#id.kind);
  }

  #keepAhead(attachId: string | null, nodes: ReadAhead["nodes"]): void {
    this.#ahead = attachId === null ? null : { attachId, at: this.#parts.clock.now(), nodes };
  }

  async mark(): Promise<void> {
    // It may have one already, given so as to be looked at.
    if (this.#nextAttachId !== null && this.#seen.attachId === this.#nextAttachId) return;
    const attachId = crypto.randomUUID();
    this.#nextAttachId = await this.#writeAttachId(attachId, []) ? attachId : null;
  }

  async #proveDirectory(): Promise<void> {
    const attachId = crypto.randomUUID();
    const marked = await writeAttachId(this.#parts.store, this.#id, attachId, []);
    this.#nextAttachId = marked === null ? null : attachId;
  }

  async record(again: boolean): Promise<string | null> {
    const known = again ? this.#attachId : this.#nextAttachId;
    const marked = known !== null && known === this.#seen.attachId;
    const attachId = marked ? known : crypto.randomUUID();
    // It is of this attach, and of no other.
    this.#nextAttachId = null;
    this.#put({
      stage: "adding",
      token: attachId,
      operation: crypto.randomUUID(),
      error: null,
      undo: NO_SCRIPT,
      nodes: {},
    });
    // What `add`, which comes next, is going to ask for: of the directory that has this attach id.
    if (!marked && !await this.#writeAttachId(attachId, this.#namesAhead)) return null;
    if (!await this.#looks.stillMarked(attachId)) return null;
    this.#beginAdding();
    return attachId;
  }

  #beginAdding(): void {
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = this.#parts.clock.after(LOOK_AFTER_MS, resolve);
    this.#isAdding = true;
    this.#pause = promise;
    this.#endPause = () => {
      cancel();
      resolve();
    };
  }

  #endAdding(): void {
    this.#isAdding = false;
    this.#settled = null;
    this.#looks.changed("all");
    this.#endPause();
  }

  /** Also removes what an earlier attach may have left in files. @param names to be read ahead */
  async #writeAttachId(attachId: string, names: readonly string[]): Promise<boolean> {
    const [nodes] = await Promise.all([
      writeAttachId(this.#parts.store, this.#id, attachId, names),
      this.#parts.directories.remove(this.#id),
    ]);
    if (nodes === null) return false;
    this.#looks.marked(attachId);
    if (names.length > 0) this.#keepAhead(attachId, nodes);
    return true;
  }

  /** Whether `remove` can go on while the backend directory is deleted. */
  get removesWithoutDirectory(): boolean {
    // A version 2 script has a directory of its own.
    return this.#plugin.manifest.removesWithoutDirectory ||
      isVersion2(this.#entry?.undo ?? {});
  }

  async note(stage: Stage, error: string | undefined, busy: boolean): Promise<void> {
    // What the processes of an operation bear; there are none once it has ended.
    const runs = stage === "undoing" || stage === "removing";
    const done = stage === "failed" || stage === "removed";
    this.#endAdding();
    this.#put({
      stage,
      ...(done ? { undo: busy ? { [WAITS_RECORD]: this.#waitsFor ?? "" } : {}, nodes: {} } : {}),
      operation: runs ? crypto.randomUUID() : null,
      ...(error === undefined ? {} : { error }),
    });
  }

  async drop(): Promise<void> {
    this.#parts.journal.drop(this.#name);
    this.#parts.releases.released(this.#name);
  }

  async awaitRelease(signal: AbortSignal): Promise<void> {
    const { releases, journal, clock } = this.#parts;
    const names = String(this.#entry?.undo[WAITS_RECORD] ?? "");
    if (names !== "") return await releases.ofAny(names.split(" "), journal, signal);
    const { promise, resolve } = Promise.withResolvers<void>();
    const cancel = clock.after(this.#surroundings.recheckMs, resolve);
    signal.addEventListener("abort", cancel, { once: true });
    await promise;
    signal.removeEventListener("abort", cancel);
  }

  async awaitOrphans(ms: number): Promise<void> {
    const operation = this.#entry?.operation ?? null;
    if (operation === null) return;
    if (await this.#parts.orphans.ended(operation, ms)) {
      this.#log.warning("processes that an earlier daemon had started were ended");
    }
  }

  async add(signal: AbortSignal): Promise<void> {
    this.#log.info(
      `attach: for ${frontendPath(this.#id, this.#frontendKind)}, by plugin ` +
        this.#plugin.manifest.name,
    );
    this.#words = null;
    try {
      await this.#addInSlot(signal);
    } catch (error) {
      throw signal.aborted ? await this.#whyStopped(error as Error, signal) : this.#refusal(error);
    } finally {
      this.#endAdding();
    }
    const nodes = await this.#copy();
    if (this.#proof.includes("status") && nodes?.["hotplug-status"] !== "connected") {
      await this.#writes(this.#publishSuccess());
    }
  }

  /** @throws Error when its nodes say that it has failed */
  async #publishSuccess(): Promise<void> {
    const said = await publishSuccess(this.#parts.store, this.#id, this.#attachId);
    if (said === null) return;
    if (reportOf(said.status) === "failed") {
      throw new Error(
        [`its setup ended well, but hotplug-status says ${said.status}`, said.error]
          .filter((part) => part !== "").join(": "),
      );
    }
    const { name } = this.#plugin.manifest;
    if (mutePlugins.has(name)) return;
    mutePlugins.add(name);
    this.#log.warning(
      `plugin ${name} set it up without hotplug-status: connected is written in its place (said ` +
        "once for this plugin)",
    );
  }

  /** What an add leaves, as far as it proves that there was one before we knew of the device. */
  get #provingNodes(): readonly string[] {
    return this.#proof.includes("result") ? this.#plugin.manifest.results?.slice(0, 1) ?? [] : [];
  }

  get #proof(): readonly ProofOfSetup[] {
    return proofOf(this.#plugin.manifest);
  }

  /**
   * Its script has said why it fails. Whoever reads that may have the directory deleted before the
   * script has ended: so it is read at once.
   */
  hears(): void {
    if (this.#isAdding) this.#readWords().then((words) => this.#words = words ?? this.#words);
  }

  /** What fails since something is in use waits for whoever uses it. */
  #refusal(error: unknown): unknown {
    const busy = busyOf(error);
    if (busy === null) return error;
    this.#waitsFor = waitsFor(busy.holders);
    return new Refused((error as Error).message, { cause: error });
  }

  /** What was stopped because its failure was seen has failed by itself. */
  async #whyStopped(error: Error, { reason }: AbortSignal): Promise<Error> {
    const words = await this.#readWords() ?? this.#words;
    if (words === null) return error;
    const { message } = reason as Error;
    const how = error.message.replaceAll(message, "it had failed");
    return new FailedBefore(how.includes(words) ? how : `${how}: ${words}`, { cause: error });
  }

  /** Why its script fails, if the store says that it does; of this attach's directory. */
  async #readWords(): Promise<string | null> {
    const { store } = this.#parts;
    const directory = backendPath(this.#id);
    try {
      const [words, status, attachId] = await Promise.all([
        store.readVisible(`${directory}/hotplug-error`),
        store.readVisible(`${directory}/hotplug-status`),
        readAttachId(store, this.#id),
      ]);
      if (attachId !== this.#attachId) return null;
      if (words) return printable(words);
      return status === "error" || status === "busy" ? `hotplug-status is ${status}` : null;
    } catch (error) {
      this.#log.debug(`what its script says cannot be read: ${(error as Error).message}`);
      return null;
    }
  }

  async #addInSlot(signal: AbortSignal): Promise<void> {
    await this.#inSlot(signal, async () => {
      // Beside what takes long, since nobody waits for it: what a script will ask for when the
      // directory is gone.
      let copied: Promise<unknown> | null = null;
      const cancel = this.#parts.clock.after(COPY_AFTER_MS, () => copied = this.#copy());
      const ahead = this.#ahead?.attachId === this.#attachId ? this.#ahead : null;
      const first = this.#parts.prefetch.open(this.#id.kind, this.#parts.clock, ahead);
      try {
        await this.#call(signal, (plugin, device, signal) => plugin.add(device, signal), first);
      } finally {
        first.end();
        cancel();
        await copied;
      }
    });
  }

  async remove(signal: AbortSignal): Promise<void> {
    await this.#writes(this.#remove(signal));
  }

  async #remove(signal: AbortSignal): Promise<void> {
    await this.#inSlot(signal, async () => {
      const called = this.#call(signal, (plugin, device, signal) => plugin.remove(device, signal));
      await both(called, async () => {
        const stopped = this.#childNames.length > 0
          ? this.#parts.children.stopAll(this.#mark)
          : Promise.resolve();
        await both(stopped, async () => {
          if (this.#entry?.undo[DEVICE_MODEL_RECORD]) await this.#deviceModel.release();
        });
      });
      const { directories, hotplug } = this.#parts;
      await directories.remove(this.#id);
      if (this.#entry?.undo[HOTPLUG_RECORD]) await hotplug.remove(this.#id);
    });
  }

  async adopt(signal: AbortSignal): Promise<string | null> {
    return await this.#writes(this.#adopt(signal));
  }

  async #adopt(signal: AbortSignal): Promise<string> {
    const known = this.#entry;
    const marked = this.#knownAttachId;
    const attachId = marked ?? crypto.randomUUID();
    if (known === undefined || known.token === "") {
      this.#nextAttachId = null;
      this.#put({ stage: "connected", token: attachId, operation: null });
      if (marked === null) await writeAttachId(this.#parts.store, this.#id, attachId, []);
    }
    // Of others, the kernel deletes the node with what it stands for.
    const isMute = this.#seen.report === "none" && this.#proof.includes("state");
    if (isMute && this.#proof.includes("status")) {
      await publishSuccess(this.#parts.store, this.#id, attachId);
    }
    if (!this.#isCopied) await this.#copy();
    try {
      await this.#call(signal, async (plugin, device, signal) => plugin.adopt?.(device, signal));
    } catch (error) {
      this.#log.warning(`the plugin cannot adopt it: ${(error as Error).message}`);
    }
    return attachId;
  }

  async check(): Promise<Findings> {
    for (const name of this.#childNames) {
      const end = await this.#parts.children.endOf(this.#mark, name);
      if (end !== null) return { broken: end };
    }
    const { signal } = new AbortController();
    const found = await this.#call(
      signal,
      async (plugin, device, signal) =>
        checkAnswer(this.#plugin.manifest.name, await plugin.check?.(device, signal)),
    );
    const isWell = [found.broken, found.undone, found.refused].every((line) => line === undefined);
    const all = isWell ? { ...found, ...await this.#checkReport(found) } : found;
    this.#findings.take(all);
    return all;
  }

  /** Whether the nodes still say that it is set up, and what is done if they do not. */
  async #checkReport({ notices = [], mended = [] }: Findings): Promise<Findings> {
    const loss = this.#settled === null ? null : lossOf(this.#settled, this.#proof);
    const isOld = this.#isReportLost;
    this.#isReportLost = loss === "report";
    if (loss === null) return {};
    if (loss === "undone") {
      return { undone: "hotplug-status is gone, and its backend waits for it" };
    }
    if (loss === "failed") {
      return { notices: [...notices, "hotplug-status says by now that it has failed"] };
    }
    // The kernel deletes it with what it stands for: then it says the truth.
    if (notices.length > 0) return { notices: [...notices, "hotplug-status is gone"] };
    // It does so first.
    if (!isOld) return {};
    const { store } = this.#parts;
    const said = await this.#writes(publishSuccess(store, this.#id, this.#knownAttachId));
    if (said === null || reportOf(said.status) !== "none") return {};
    return { mended: [...mended, "hotplug-status was removed or changed: written again"] };
  }

  async signalClosing(): Promise<void> {
    await this.#writes(signalClosing(this.#parts.store, this.#id, this.#knownAttachId));
  }

  async cleanse(keepAttachId: boolean): Promise<void> {
    this.#nextAttachId = null;
    const { results = [] } = this.#plugin.manifest;
    const kept = keepAttachId ? this.#knownAttachId : null;
    await this.#writes(cleanse(this.#parts.store, this.#id, results, kept));
  }

  async requestClose(): Promise<void> {
    await this.#writes(requestClose(this.#parts.store, this.#id, this.#knownAttachId));
  }

  async publishError(error: string, busy: boolean): Promise<void> {
    await this.#writes(publishError(this.#parts.store, this.#id, error, this.#knownAttachId, busy));
  }

  async closeBackend(): Promise<void> {
    await this.#writes(
      closeBackend(this.#parts.store, this.#id, this.#knownAttachId, this.#seen.online === true),
    );
  }

  async awaitKernel(ms: number): Promise<void> {
    const { files, clock } = this.#parts;
    await awaitKernelRelease(files, clock, this.#id, ms);
  }

  async deleteDirectory(another: boolean): Promise<string | null> {
    const { store } = this.#parts;
    await publishDisconnected(store, this.#id);
    const attachId = another ? null : this.#attachId;
    return await this.#writes(deleteDirectory(store, this.#id, this.#frontendKind, attachId));
  }

  async keepNodes(): Promise<void> {
    await this.#copy();
  }

  /** What it writes is seen by the next look, whether or not its events have come by then. */
  async #writes<T>(work: Promise<T>): Promise<T> {
    try {
      return await work;
    } finally {
      this.#looks.changed("all");
    }
  }

  changed(before: Phase, state: LifecycleState): void {
    this.#story.changed(before, state);
    if (before === "absent" || before === "recovering") this.#parts.onSeen?.(this.#id);
    this.#parts.onChange?.(this.#id);
  }

  report(
    level: "debug" | "info" | "warning" | "error",
    text: string,
    milestone?: Milestone,
  ): void {
    if (milestone === undefined) return this.#log[level](text);
    const on = milestone === "connected" ? servedBy(this.#entry?.nodes ?? {}) : "";
    this.#log[level](`${text} after ${this.#story.elapsed}${on}`);
  }

  /** Nothing is told of it any more. */
  end(): void {
    this.#story.end();
  }

  /** The attach id of the directory; null if it never had one. */
  get #attachId(): string | null {
    return this.#entry?.token || null;
  }

  /** The attach id of the directory that was seen last, also of one that waits; null if it has none of ours. */
  get #knownAttachId(): string | null {
    return this.#attachId ??
      (this.#seen.attachId === this.#nextAttachId ? this.#nextAttachId : null);
  }

  get #entry(): JournalEntry | undefined {
    return this.#parts.journal.get(this.#name);
  }

  /** Whether all nodes were kept, and not just those that an add had read: all have this one. */
  get #isCopied(): boolean {
    return Object.hasOwn(this.#entry?.nodes ?? {}, "frontend-id");
  }

  /** Changes the journal's record. @throws JournalError */
  #put(change: Partial<Omit<JournalEntry, "id">>): void {
    const before = this.#entry ??
      {
        id: this.#id,
        token: "",
        stage: "removing",
        operation: null,
        error: null,
        undo: {},
        nodes: {},
      };
    const now = { ...before, ...change };
    this.#parts.journal.put(now);
    if (!isHolding(now)) this.#parts.releases.released(this.#name);
  }

  /**
   * Keeps the device's nodes; a failure only means that a script cannot be given them later.
   * @returns what was kept; null when nothing was
   */
  async #copy(): Promise<Readonly<Record<string, string>> | null> {
    const { store } = this.#parts;
    const known = this.#entry?.nodes;
    const volatile = ["state", "hotplug-status", ...this.#plugin.manifest.results ?? []];
    try {
      const nodes = await copyOf(store, backendPath(this.#id), known, volatile);
      // Of this attach's directory, and not of one that took its place.
      if (await readAttachId(store, this.#id) !== this.#attachId) return null;
      this.#put({ nodes });
      return nodes;
    } catch (error) {
      this.#log.debug(`its nodes are not kept: ${(error as Error).message}`);
      return null;
    }
  }

  async #inSlot(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const admitted = this.#activity.begin("its turn: as many operations run as may");
    const release = await this.#parts.slots.acquire(this.#id.frontendDomid, signal)
      .finally(admitted);
    try {
      await work();
    } finally {
      release();
    }
  }

  /** What marks the device's processes. */
  get #mark(): string {
    return `${this.#name}/${this.#attachId ?? ""}`;
  }

  /** Names of the processes that serve it. */
  get #childNames(): string[] {
    return Object.keys(this.#entry?.undo ?? {}).filter((name) => name.startsWith(CHILD_RECORD))
      .map((name) => name.slice(CHILD_RECORD.length));
  }

  /** The guest's QEMU, as this device sees it. */
  get #deviceModel(): Device["deviceModel"] {
    const { journal, deviceModels, scripts } = this.#parts;
    return deviceModels.of({
      id: this.#id,
      path: scripts.path,
      environment: scripts.environment,
      undo: () => this.#entry?.undo ?? {},
      record: (more) => this.#addUndo(more),
      devices: () => journal.entries(),
      onTrouble: () => this.#surroundings.onTrouble(),
    });
  }

  /** @param first of an add: until all nodes are kept, those that it has read are. */
  #addUndo(more: Device["undo"], first?: AddReads): void {
    const nodes = first === undefined || this.#isCopied ? {} : { nodes: { ...first.seen } };
    this.#put({ undo: { ...this.#entry?.undo, ...more }, ...nodes });
  }

  /** Calls the plugin, which is loaded if need be. */
  async #call<T>(
    signal: AbortSignal,
    use: (plugin: PluginOperations, device: Device, signal: AbortSignal) => Promise<T>,
    first?: AddReads,
  ): Promise<T> {
    const { clock, calls: limits } = this.#parts;
    const directories = this.#parts.directories.open(this.#id);
    try {
      return await guardedCall(
        this.#plugin.manifest.name,
        (timeLeft) => this.#context(timeLeft, directories, first),
        async (device, signal) => await use(await this.#plugin.operations(), device, signal),
        signal,
        { clock, limits, onUse: (capability) => first?.used(capability) },
      );
    } finally {
      await directories.end();
    }
  }

  #context(
    timeLeft: () => number,
    directories: Device["directories"],
    first: AddReads | undefined,
  ): Device {
    const { journal, children, scripts } = this.#parts;
    const entry = this.#entry;
    const environment: Record<string, string> = entry?.operation
      ? { [OPERATION_VARIABLE]: entry.operation }
      : {};
    const addUndo = (more: Device["undo"]) => this.#addUndo(more, first);
    const others = (name: string, value: string, by: "any" | "other guests") =>
      journal.holders(name, value).filter((other) =>
        deviceName(other.id) !== this.#name &&
        (by === "any" || other.id.frontendDomid !== this.#id.frontendDomid)
      );
    return deviceContext(this.#id, this.#parts, this.#log, {
      get: () => this.#entry?.undo ?? {},
      add: addUndo,
      useHotplug: () => {
        if (!this.#entry?.undo[HOTPLUG_RECORD]) addUndo({ [HOTPLUG_RECORD]: true });
      },
      heldElsewhere: (name, value, by) => others(name, value, by).length > 0,
      holders: (name, value, by) =>
        others(name, value, by).map(({ id, stage, undo }) => ({
          kind: id.kind,
          frontendDomid: id.frontendDomid,
          devid: id.devid,
          ending: isEnding(stage, this.#surroundings.phaseOf(id)),
          stage,
          undo,
        })),
      heldValues: (name) => journal.values(name),
    }, {
      attachId: this.#attachId,
      activity: this.#activity,
      environment,
      ...(first === undefined ? {} : { first }),
      copy: entry?.nodes ?? {},
      timeLeft,
      frontendKind: this.#frontendKind,
      settings: this.#plugin.settings,
      directories,
      deviceModel: this.#deviceModel,
      children: children.of({
        mark: this.#mark,
        path: scripts.path,
        log: this.#log,
        record: (name, value) => addUndo({ [name]: value }),
        onExit: () => this.#surroundings.onTrouble(),
      }),
    });
  }
}

/** Longest part of a node that is shown, in characters. */
const SHOWN_MAX = 200;

/** What a device was set up on, as far as its nodes tell. */
function servedBy(nodes: Readonly<Record<string, string>>): string {
  const { bridge, node } = nodes;
  const device = nodes["physical-device-path"] ?? node ?? nodes["physical-device"];
  if (device) return `: on ${oneLine(device, SHOWN_MAX)}`;
  return bridge ? `: on bridge ${oneLine(bridge, SHOWN_MAX)}` : "";
}
