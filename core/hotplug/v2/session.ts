/**
 * The actions of one device's version 2 script, in an order that is kept whoever asks and whoever is
 * killed: version, prepare, { localattach, localdetach | add, remove }, unprepare; never two at once.
 */
import { absentOrHidden } from "../../xenstore/access.ts";
import { type HelperLog, runWithLastWords, ScriptFailed } from "../run_script.ts";
import {
  formatRecord,
  FRESH,
  isIdle,
  leftToDo,
  parseRecord,
  RECORD_NODE,
  saysVersion2,
  V2_NODES,
  type V2Action,
  v2Environment,
  type V2Limits,
  type V2Record,
} from "./convention.ts";
import type { Log } from "../../log/log.ts";
import type { Clock, Files, Processes } from "../../../platform/types.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { checkScript, type ScriptPolicy } from "../path_rules.ts";

/** To be used by one at a time; see {@link V2Session.open}. */
export class V2Session {
  readonly #parts: V2Parts;
  readonly #signal: AbortSignal;
  #record: V2Record | null = null;
  #target: V2Target = { script: "", params: "" };

  private constructor(parts: V2Parts, signal: AbortSignal) {
    this.#parts = parts;
    this.#signal = signal;
  }

  /**
   * Reads what there is, and finishes or undoes what was interrupted. The device's lock is held as
   * long as the session is used.
   * @param signal ends the action that runs; what it was to do is then done or undone by the next one
   */
  static async open(parts: V2Parts, signal: AbortSignal): Promise<V2Session> {
    const session = new V2Session(parts, signal);
    await session.#load();
    await session.#finish();
    return session;
  }

  /** How far it is; null: there is nothing. */
  get record(): V2Record | null {
    return this.#record;
  }

  /** What it is prepared for. */
  get target(): V2Target {
    return this.#target;
  }

  /** The device that the script has named, if any. */
  device(): Promise<string | undefined> {
    return absentOrHidden(this.#parts.store.readText(this.#path(V2_NODES.device)));
  }

  /**
   * Asks a script for its version. What it does in answer other than saying 2 counts for 1.
   * @throws the signal's reason; ScriptRefused
   */
  async probe(target: V2Target): Promise<boolean> {
    await this.#begin("version", FRESH, target);
    let isV2 = false;
    try {
      await this.#run("version", target.script, "");
      isV2 = saysVersion2(await absentOrHidden(this.#read(V2_NODES.version)));
    } catch (error) {
      this.#signal.throwIfAborted();
      if (!(error instanceof ScriptFailed)) throw error;
      this.#parts.log.debug(`no version 2 script: ${error.message}`);
    }
    await this.#put({ ...FRESH, running: null });
    if (!isV2) await this.#forget();
    return isV2;
  }

  /** @throws ScriptFailed, ScriptRefused; the next session runs `unprepare` then, once */
  async prepare(target: V2Target, held: boolean): Promise<void> {
    await this.#begin("prepare", { ...FRESH, stage: "preparing", held }, target);
    try {
      await this.#run("prepare", target.script, "");
    } catch (error) {
      await this.#change({ running: null });
      throw error;
    }
    await this.#change({ stage: "prepared", running: null });
  }

  /** Whether it is to stay prepared when nobody uses it. */
  async hold(held: boolean): Promise<void> {
    if (this.#known.held !== held) await this.#change({ held });
  }

  /** @throws ScriptFailed, ScriptRefused; `remove` is to follow */
  async add(backendPath: string): Promise<void> {
    await this.#begin("add", { ...this.#known, attached: true, held: false });
    try {
      await this.#run("add", this.#target.script, backendPath);
    } finally {
      await this.#change({ running: null });
    }
  }

  /** Undoes `add`, also one that failed. @throws ScriptFailed, ScriptRefused; it is to be done again */
  async remove(backendPath: string): Promise<void> {
    await this.#begin("remove", this.#known);
    try {
      await this.#run("remove", this.#target.script, backendPath);
    } catch (error) {
      await this.#change({ running: null });
      throw error;
    }
    await this.#change({ running: null, attached: false });
  }

  /**
   * Makes the device usable here; the script is run for the first of several.
   * @returns path of the block device
   * @throws ScriptFailed, ScriptRefused; it is undone
   */
  async localAttach(): Promise<string> {
    if (this.#known.local === 0) {
      await this.#begin("localattach", this.#known);
      try {
        await this.#run("localattach", this.#target.script, "");
      } catch (error) {
        // Even if that was because the signal fired: it is only then that something may be left.
        await this.#change({
          running: { action: "localdetach", operation: this.#parts.operation },
        });
        if (!this.#signal.aborted) await this.#finish();
        throw error;
      }
    }
    await this.#change({ local: this.#known.local + 1, running: null });
    const device = await this.device();
    if (device) return device;
    await this.localDetach();
    throw new ScriptFailed(`${this.#target.script} localattach: succeeded but wrote no pdev`);
  }

  /** @throws ScriptFailed, ScriptRefused; it counts as done */
  async localDetach(): Promise<void> {
    const { local } = this.#known;
    if (local > 1) return await this.#change({ local: local - 1 });
    await this.#undo("localdetach", "", { local: 0 });
  }

  /** Undoes `prepare` and removes the directory. @throws ScriptFailed, ScriptRefused; it counts */
  async unprepare(): Promise<void> {
    await this.#begin("unprepare", { ...this.#known, stage: "unpreparing" });
    try {
      await this.#run("unprepare", this.#target.script, "");
    } catch (error) {
      if (this.#signal.aborted) {
        await this.#change({ running: null });
        throw error;
      }
      await this.#forget();
      throw error;
    }
    await this.#forget();
  }

  /** Undoes what there is, unless somebody uses it or wants it kept. @throws as `unprepare` */
  async release(): Promise<void> {
    if (this.#record === null || !isIdle(this.#record)) return;
    if (this.#record.stage === "probing") return await this.#forget();
    await this.unprepare();
  }

  /** Makes a directory anew that was lost while something was held; what is left is then undone. */
  async restore(target: V2Target, record: V2Record): Promise<void> {
    this.#target = target;
    await this.#put(record, target);
    await this.#finish();
  }

  get #known(): V2Record {
    if (this.#record === null) throw new Error("nothing is prepared");
    return this.#record;
  }

  #path(name: string): string {
    return `${this.#parts.directory}/${name}`;
  }

  #read(name: string): Promise<string> {
    return this.#parts.store.readText(this.#path(name));
  }

  async #load(): Promise<void> {
    const [record, script = "", params = ""] = await Promise.all(
      [RECORD_NODE, V2_NODES.script, V2_NODES.target].map((name) =>
        absentOrHidden(this.#read(name))
      ),
    );
    this.#record = record === undefined ? null : parseRecord(record);
    this.#target = { script, params };
  }

  /** What an earlier one has left half done. */
  async #finish(): Promise<void> {
    const record = this.#record;
    if (record === null) return;
    if (record.running !== null && record.running.operation !== this.#parts.operation) {
      await this.#parts.awaitOrphans(record.running.operation);
    }
    const left = leftToDo(record);
    if (left === "forget") return await this.#forget();
    try {
      if (left === "unprepare") await this.unprepare();
      else if (left === "localdetach") await this.#undo("localdetach", "", { local: 0 });
      else if (record.running !== null) await this.#change({ running: null });
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#parts.log.warning(`undoing what was half done: ${(error as Error).message}`);
    }
  }

  /** Runs an action that counts as done when it fails, but not when it was stopped. */
  async #undo(action: V2Action, backendPath: string, after: Partial<V2Record>): Promise<void> {
    await this.#begin(action, this.#known);
    try {
      await this.#run(action, this.#target.script, backendPath);
    } catch (error) {
      await this.#change({ running: null, ...(this.#signal.aborted ? {} : after) });
      throw error;
    }
    await this.#change({ running: null, ...after });
  }

  async #begin(action: V2Action, record: V2Record, target?: V2Target): Promise<void> {
    if (target !== undefined) this.#target = target;
    const { operation } = this.#parts;
    await this.#put({ ...record, running: { action, operation } }, target);
    this.#parts.before?.(action, this.#target);
  }

  #change(more: Partial<V2Record>): Promise<void> {
    return this.#put({ ...this.#known, ...more });
  }

  /** @param target to be written too: the directory comes into being */
  async #put(record: V2Record, target?: V2Target): Promise<void> {
    await this.#parts.store.transaction(async (t) => {
      await t.write(this.#path(RECORD_NODE), formatRecord(record));
      if (record.running !== null) await absentOrHidden(t.remove(this.#path("hotplug-error")));
      if (target === undefined) return;
      await t.write(this.#path(V2_NODES.target), target.params);
      await t.write(this.#path(V2_NODES.script), target.script);
    });
    this.#record = record;
  }

  #run(action: V2Action, script: string, backendPath: string): Promise<void> {
    return runV2(this.#parts, action, script, backendPath, this.#signal);
  }

  async #forget(): Promise<void> {
    await this.#parts.forget();
    this.#record = null;
  }
}

/** What the hotplug directory is for. */
export interface V2Target {
  readonly script: string;
  readonly params: string;
}

/** A device, and what running its script takes. */
export interface V2Parts {
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly files: Files;
  readonly processes: Processes;
  readonly helperLog?: HelperLog;
  readonly policy: ScriptPolicy;
  readonly limits: V2Limits;
  /** How long the process group has between TERM and KILL, in ms. */
  readonly killGraceMs: number;
  /** PATH, and what leads to the store. */
  readonly environment: Readonly<Record<string, string>>;
  /** What marks the script's processes, in whatever variable is in `environment`. */
  readonly operation: string;
  /** HOTPLUG_PATH. */
  readonly directory: string;
  readonly log: Log;
  /** Resolves when no process of an operation runs any more. */
  awaitOrphans(operation: string): Promise<void>;
  /** Ends what an action that was stopped has left. */
  endMarked(): Promise<unknown>;
  /** Notes that an action is begun; what it returns, that it has ended. */
  begin?(what: string): () => void;
  /** What `hotplug-error` of the backend said before an action is run: no words of that one's. */
  knownError?(): string | undefined;
  /** Called when the record of an action is written, before its script runs. May reject. */
  before?(action: V2Action, target: V2Target): void;
  /** Removes the hotplug directory. */
  forget(): Promise<void>;
}

/**
 * Runs it.
 * @param backendPath absolute; empty where there is none
 * @throws ScriptFailed, ScriptRefused
 */
async function runV2(
  parts: V2Parts,
  action: V2Action,
  script: string,
  backendPath: string,
  signal: AbortSignal,
): Promise<void> {
  const { files, policy, limits, killGraceMs, log } = parts;
  const program = await checkScript(files, script, policy);
  log.debug(`runs ${program} ${action}`);
  const known = backendPath === "" ? undefined : parts.knownError?.();
  const ended = parts.begin?.(`script ${program} ${action}`);
  await runWithLastWords(
    parts,
    {
      argv: [program, action],
      env: { ...parts.environment, ...v2Environment(action, parts.directory, backendPath) },
      limits: { timeoutMs: limits[action], killGraceMs },
      signal,
      output: (line) => log.info(`${program}: ${line}`),
      endMarked: () => parts.endMarked(),
    },
    log,
    () => wordsOf(parts, backendPath, known),
  ).finally(ended);
}

/** What the script itself has said. @param known what was there before it was run */
async function wordsOf(
  { store, directory }: V2Parts,
  backendPath: string,
  known: string | undefined,
): Promise<string | undefined> {
  for (const said of backendPath === "" ? [directory] : [backendPath, directory]) {
    const words = await store.readVisible(`${said}/hotplug-error`).catch(() => "");
    if (words && words !== known) return words;
  }
  return undefined;
}
