/** Storage helpers, as seen by who asks them (see `server.ts`). */
import type { BlockDevices } from "../../contract/v1/block.ts";
import type { PipedChild } from "../io/child.ts";
import { systemError } from "../system_error.ts";
import type { Files } from "../types.ts";
import { decodeLine, encodeLine, linesOf, type StorageAnswer, type StorageCall } from "./frames.ts";

/** How long storage may take for one call, in ms: the kernel's own limits for a disk are of this order. */
const DEADLINE_MS = 20_000;

/** A helper that has been busy with one call for so long, in ms, is not waited for by others. */
const BUSY_MS = 100;

/** A place that one call has waited for as long as this, in ms, gets no second helper. */
const SLOW_MS = 1_000;

/** How many helpers one place gets at the same time. */
const HELPERS_OF_PLACE = 2;

/** How many work at the same time. */
const HELPERS_MAX = 24;

/** How many may be left behind, stuck in the kernel, before calls are refused at once. */
const LEFT_MAX = 32;

/** Longest name of what was asked that is shown, in characters. */
const SHOWN_MAX = 200;

/** What helpers are made of; other values in tests. */
export interface HelperParts {
  /** Starts one. @param complaint gets what it prints to its standard error, a line at a time */
  start(complaint: (line: string) => void): Promise<PipedChild>;
  /** Behind what a call waits: of one place, only one call waits for long. */
  placeOf(call: StorageCall): string;
  /** How long one that has nothing to do is kept, in ms; null: for good. */
  readonly keepMs: number | null;
  /** See {@link DEADLINE_MS}. */
  readonly deadlineMs?: number;
  /** See {@link LEFT_MAX}. */
  readonly leftMax?: number;
}

/** A helper that has not come back from the kernel. */
export interface LeftBehind {
  readonly pid: number;
  /** What it was asked: `stat "/images/a"`. */
  readonly call: string;
  /** What does not answer. */
  readonly place: string;
  /** Since when it waits, in ms of `performance.now()`. */
  readonly since: number;
}

/** One call. */
interface Call {
  readonly call: StorageCall;
  place: string | null;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One helper; it has one call at a time. */
interface Helper {
  readonly child: PipedChild;
  /** What it does, and since when. */
  work: { readonly call: Call; readonly since: number } | null;
  /** Ends the present call; null for one that has ended. */
  answer: ((answer: StorageAnswer | null) => void) | null;
  /** The last it has complained of. */
  complaint(): string;
}

/**
 * Calls that may have to ask storage, which may not answer: helpers make them, so that only a helper waits
 * in the kernel, where not even SIGKILL ends it. One is kept warm, more are started when it does not answer.
 * One that is late is left behind; what it has asked is asked no more until it comes back.
 */
export class StorageHelpers {
  readonly #parts: HelperParts;
  readonly #waiting: Call[] = [];
  readonly #idle: Helper[] = [];
  readonly #busy = new Set<Helper>();
  readonly #left = new Set<LeftBehind>();
  #starting = false;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #ending: ReturnType<typeof setTimeout> | null = null;

  /** Told, a line each, when a helper is left behind; and when one has come back. */
  report: (text: string, is: "late" | "back") => void = () => {};

  readonly files: Files = {
    stat: (path) => this.#ask("files", "stat", path),
    lstat: (path) => this.#ask("files", "lstat", path),
    realPath: (path) => this.#ask("files", "realPath", path),
    readLink: (path) => this.#ask("files", "readLink", path),
    readText: (path, ...max) => this.#ask("files", "readText", path, ...max),
    readAt: (path, position, length) => this.#ask("files", "readAt", path, position, length),
    writeText: (path, text, mode) => this.#ask("files", "writeText", path, text, mode),
    makeDirectory: (path, mode) => this.#ask("files", "makeDirectory", path, mode),
    list: (path, ...most) => this.#ask("files", "list", path, ...most),
    rename: (from, to) => this.#ask("files", "rename", from, to),
    remove: (path) => this.#ask("files", "remove", path),
  };

  readonly blocks: BlockDevices = {
    describe: (path) => this.#ask("blocks", "describe", path),
    attachLoop: (request) => this.#ask("blocks", "attachLoop", request),
    detachLoop: (node, expected) => this.#ask("blocks", "detachLoop", node, expected),
    loops: (bounds) => this.#ask("blocks", "loops", bounds),
  };

  constructor(parts: HelperParts) {
    this.#parts = parts;
  }

  /** The helpers that are stuck in the kernel, the oldest first. */
  get left(): readonly LeftBehind[] {
    return [...this.#left];
  }

  #ask<T>(on: StorageCall["on"], call: string, ...args: unknown[]): Promise<T> {
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.push({ call: { on, call, args }, place: null, resolve, reject });
      this.#serve();
    }) as Promise<T>;
  }

  /** Hands out what waits, as far as somebody can do it now. */
  #serve(): void {
    for (let at = 0; at < this.#waiting.length;) {
      const call = this.#waiting[at]!;
      const refusal = this.#refusalOf(call);
      if (refusal !== null) {
        this.#waiting.splice(at, 1);
        call.reject(refusal);
      } else if (this.#mayBegin(call)) {
        const helper = this.#idle.pop();
        if (helper === undefined) return this.#wantHelper();
        this.#waiting.splice(at, 1);
        this.#give(helper, call);
      } else at++;
    }
    this.#endLater();
  }

  /** Why a call is not even tried. */
  #refusalOf(call: Call): Error | null {
    if (this.#left.size === 0) return null;
    const { leftMax = LEFT_MAX } = this.#parts;
    if (this.#left.size >= leftMax) {
      const text = `storage does not answer: ${this.#left.size} helpers wait for it already`;
      return systemError("EIO", `EIO: ${text}`);
    }
    const place = this.#placeOf(call);
    const stuck = this.left.find((left) => left.place === place);
    if (stuck === undefined) return null;
    const seconds = Math.round((performance.now() - stuck.since) / 1000);
    const text = `${place} has not answered for ${seconds} s: ${wordsOf(call)}`;
    return systemError("ETIMEDOUT", `ETIMEDOUT: ${text}`);
  }

  /** Whether its place bears one more; asked only while others wait for storage. */
  #mayBegin(call: Call): boolean {
    if (this.#busy.size === 0) return true;
    if (this.#busy.size >= HELPERS_MAX) return false;
    let same = 0;
    const now = performance.now();
    for (const { work } of this.#busy) {
      if (this.#placeOf(work!.call) !== this.#placeOf(call)) continue;
      if (++same >= HELPERS_OF_PLACE || now - work!.since > SLOW_MS) return false;
    }
    return true;
  }

  #placeOf(call: Call): string {
    return call.place ??= this.#parts.placeOf(call.call);
  }

  /** Nobody is idle, and something waits. */
  #wantHelper(): void {
    if (this.#starting) return;
    if (this.#busy.size === 0) return void this.#start();
    // Those that are busy mostly answer sooner than a new one would be there.
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (this.#waiting.length === 0 || this.#idle.length > 0 || this.#starting) return;
      const now = performance.now();
      const isStalled = [...this.#busy].every(({ work }) => now - work!.since >= BUSY_MS / 2);
      if (isStalled) void this.#start();
      else this.#wantHelper();
    }, BUSY_MS);
  }

  async #start(): Promise<void> {
    this.#starting = true;
    try {
      let complaint = "";
      const child = await this.#parts.start((line) => complaint = line);
      const helper: Helper = { child, work: null, answer: null, complaint: () => complaint };
      void this.#listen(helper);
      this.#idle.push(helper);
    } catch (error) {
      const { code = "EIO", message } = error as { code?: string; message: string };
      for (const { reject } of this.#waiting.splice(0)) {
        reject(systemError(code, `storage cannot be asked: ${message}`));
      }
    } finally {
      this.#starting = false;
    }
    this.#serve();
  }

  async #listen(helper: Helper): Promise<void> {
    try {
      for await (const line of linesOf(helper.child.output)) {
        helper.answer?.(decodeLine(line) as StorageAnswer);
      }
    } catch {
      // As one that has ended.
    }
    const at = this.#idle.indexOf(helper);
    if (at >= 0) this.#idle.splice(at, 1);
    helper.answer?.(null);
  }

  #give(helper: Helper, call: Call): void {
    clearTimeout(this.#ending ?? undefined);
    this.#ending = null;
    this.#busy.add(helper);
    helper.work = { call, since: performance.now() };
    const end = () => {
      clearTimeout(timer);
      helper.answer = null;
      helper.work = null;
      this.#busy.delete(helper);
    };
    const { deadlineMs = DEADLINE_MS } = this.#parts;
    const timer = setTimeout(() => {
      const { since } = helper.work!;
      end();
      this.#leave(helper, call, since);
      const text = `storage did not answer in ${deadlineMs / 1000} s: ${wordsOf(call)}`;
      call.reject(systemError("ETIMEDOUT", `ETIMEDOUT: ${text}`));
      this.#serve();
    }, deadlineMs);
    helper.answer = (answer) => {
      end();
      if (answer === null) {
        const text = [`the storage helper ended: ${wordsOf(call)}`, helper.complaint()];
        call.reject(systemError("EIO", `EIO: ${text.filter((part) => part !== "").join(": ")}`));
      } else {
        this.#rest(helper);
        // One without a value is the answer of a call that has none.
        if ("message" in answer) call.reject(systemError(answer.code ?? "EIO", answer.message));
        else call.resolve(answer.value);
      }
      this.#serve();
    };
    helper.child.write(encodeLine(call.call));
  }

  /** One is kept, or two while others are stuck; what was needed besides is not needed for long. */
  #rest(helper: Helper): void {
    if (this.#idle.length > 0 && this.#waiting.length === 0) return helper.child.closeInput();
    this.#idle.push(helper);
  }

  /** Ends those that have nothing to do after a while, when no other has, either. */
  #endLater(): void {
    const { keepMs } = this.#parts;
    if (keepMs === null || this.#ending !== null || this.#idle.length === 0) return;
    if (this.#busy.size > 0 || this.#waiting.length > 0) return;
    this.#ending = setTimeout(() => {
      this.#ending = null;
      for (const { child } of this.#idle.splice(0)) child.closeInput();
    }, keepMs);
    // Nobody waits for its end.
    (this.#ending as { unref?(): void }).unref?.();
  }

  /** It may never end, whatever it is sent. */
  #leave({ child }: Helper, call: Call, since: number): void {
    const left = { pid: child.pid, call: wordsOf(call), place: this.#placeOf(call), since };
    this.#left.add(left);
    this.report(
      `storage does not answer: process ${left.pid} waits for ${left.place} (${left.call}) and is left ` +
        `behind; there are ${this.#left.size} such, of at most ${this.#parts.leftMax ?? LEFT_MAX}`,
      "late",
    );
    child.exited.then(() => {
      this.#left.delete(left);
      const seconds = Math.round((performance.now() - since) / 1000);
      this.report(`${left.place} has let go of process ${left.pid}, after ${seconds} s`, "back");
    });
    child.closeInput();
    child.signalGroup("SIGKILL");
  }
}

/** What is asked, for people. */
function wordsOf({ call: { call, args } }: Call): string {
  return `${call} ${JSON.stringify(args[0]) ?? ""}`.slice(0, SHOWN_MAX);
}
