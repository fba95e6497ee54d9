/** Storage helpers, as seen by who asks them (see `server.ts`). */
import type { BlockDevices } from "../../contract/v1/block.ts";
import { type PipedChild, systemPipedChildren } from "../io/child.ts";
import type { Far } from "./far.ts";
import { O_CLOEXEC, pathBytes } from "../io/file_calls.ts";
import { sys } from "../kernel.ts";
import { selfCommand } from "../self.ts";
import { decodeLine, encodeLine, linesOf, type StorageAnswer, type StorageCall } from "./frames.ts";
import { must, systemError } from "../system_error.ts";
import type { Files } from "../types.ts";

/** The command by which this program becomes a helper. */
export const STORAGE_COMMAND = "storage-helper";

/** How long storage may take for one call, in ms: the kernel's own limits for a disk are of this order. */
const DEADLINE_MS = 20_000;

/** A helper that has been busy for so long, in ms, is not waited for by others. */
const BUSY_MS = 100;

/** How many may be left behind, stuck in the kernel, before calls are refused at once. */
const LEFT_MAX = 32;

/** How many work at the same time. */
const HELPERS_MAX = 8;

interface Waiting {
  readonly call: StorageCall;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** One helper; it has one call at a time. */
interface Helper {
  readonly child: PipedChild;
  /** Ends the present call; null when there is none. */
  answer: ((answer: StorageAnswer | null) => void) | null;
}

/** Helpers: one is kept warm, more are started when it does not answer. */
export class StorageHelpers implements Far {
  readonly #waiting: Waiting[] = [];
  readonly #idle: Helper[] = [];
  #busy = 0;
  #starting = false;
  /** Helpers that have not come back from the kernel. */
  #left = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

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

  /** How many helpers are stuck in the kernel. */
  get left(): number {
    return this.#left;
  }

  /** In a helper, which may wait. */
  open(path: string, flags: number): Promise<number> {
    const bytes = pathBytes(path);
    return Promise.resolve().then(() =>
      must(() => sys.open(AT_FDCWD, bytes, flags | O_CLOEXEC, 0), `open ${path}`)
    );
  }

  #ask<T>(on: StorageCall["on"], call: string, ...args: unknown[]): Promise<T> {
    if (this.#left >= LEFT_MAX) {
      const text = `storage does not answer: ${this.#left} helpers are stuck in the kernel`;
      return Promise.reject(systemError("EIO", `EIO: ${text}`));
    }
    return new Promise<unknown>((resolve, reject) => {
      this.#waiting.push({ call: { on, call, args }, resolve, reject });
      this.#serve();
    }) as Promise<T>;
  }

  #serve(): void {
    while (this.#waiting.length > 0 && this.#idle.length > 0) {
      this.#give(this.#idle.pop()!, this.#waiting.shift()!);
    }
    if (this.#waiting.length === 0 || this.#starting) return;
    if (this.#busy === 0) return void this.#start();
    if (this.#timer !== null || this.#busy >= HELPERS_MAX) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#waiting.length > 0 && this.#idle.length === 0) void this.#start();
    }, BUSY_MS);
  }

  async #start(): Promise<void> {
    this.#starting = true;
    try {
      const child = await systemPipedChildren.start({
        argv: [...selfCommand(), STORAGE_COMMAND],
        env: {},
        complaint: () => {},
      });
      const helper: Helper = { child, answer: null };
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

  #give(helper: Helper, { call, resolve, reject }: Waiting): void {
    this.#busy++;
    const end = () => {
      clearTimeout(timer);
      helper.answer = null;
      this.#busy--;
    };
    const what = `${call.call} ${JSON.stringify(call.args[0]) ?? ""}`.slice(0, 200);
    const timer = setTimeout(() => {
      end();
      this.#leave(helper);
      const seconds = DEADLINE_MS / 1000;
      reject(
        systemError("ETIMEDOUT", `ETIMEDOUT: storage did not answer in ${seconds} s: ${what}`),
      );
      this.#serve();
    }, DEADLINE_MS);
    helper.answer = (answer) => {
      end();
      if (answer === null) reject(systemError("EIO", `EIO: the storage helper ended: ${what}`));
      else {
        this.#rest(helper);
        // One without a value is the answer of a call that has none.
        if ("message" in answer) reject(systemError(answer.code ?? "EIO", answer.message));
        else resolve(answer.value);
      }
      this.#serve();
    };
    helper.child.write(encodeLine(call));
  }

  /** One is kept; what was needed besides is not needed for long. */
  #rest(helper: Helper): void {
    if (this.#idle.length === 0) this.#idle.push(helper);
    else if (this.#waiting.length > 0) this.#give(helper, this.#waiting.shift()!);
    else helper.child.closeInput();
  }

  /** It may never end, whatever it is sent. */
  #leave(helper: Helper): void {
    this.#left++;
    helper.child.exited.then(() => this.#left--);
    helper.child.closeInput();
    helper.child.signalGroup("SIGKILL");
  }
}

/** linux/fcntl.h */
const AT_FDCWD = -100;
