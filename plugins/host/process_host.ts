/** Carries a plugin that is a program: started when it is needed, and again when it has ended. */
import { type Log, openLog } from "../../core/log/log.ts";
import type { ControlGroup } from "../../platform/linux/control_group.ts";
import type { ProcessTable } from "../../platform/linux/process_table.ts";
import type { PipedChild, PipedChildren } from "../../platform/io/child.ts";
import type { Cancel, Clock } from "../../platform/types.ts";
import type {
  Device,
  Findings,
  PluginManifest,
  PluginOperations,
} from "../../contract/v1/plugin.ts";
import { checkContract } from "../../core/daemon/plugin/manifest.ts";
import type { Answer, Operation } from "../process/messages.ts";
import { PluginSession } from "../process/session.ts";
import { checkPluginFile, type TrustParts } from "../trust.ts";
import { errorOf } from "../../core/daemon/plugin/guard.ts";
import type { PluginHost } from "../../core/daemon/plugin/host.ts";

/** The variable that marks a plugin's process and its children. */
export const PLUGIN_VARIABLE = "XDEVD_PLUGIN";

/** What a process host needs. */
export interface ProcessHostParts extends TrustParts {
  readonly children: PipedChildren;
  readonly table: ProcessTable;
  readonly clock: Clock;
  /** Tells this daemon's plugins from another's: its run directory, say. */
  readonly owner: string;
  /** In place of the name of its control group. */
  readonly group?: string;
  /** The PATH that plugins get. */
  readonly path: string;
  /** How long a plugin may take to end a call that it is told to end, in ms. */
  readonly answerMs: number;
  /** Name and version, for the plugin. */
  readonly host: string;
  /** @throws Error when there can be none */
  makeGroup(name: string, processes: number): ControlGroup;
  /** In place of the usual times. */
  readonly times?: Partial<typeof PROCESS_TIMES>;
}

/** How many processes and threads a plugin may have, unless the configuration says otherwise. */
export const PROCESSES_MAX = 64;

/** Times of process plugins, in ms. */
export const PROCESS_TIMES = {
  /** How long one may take to introduce itself. */
  hello: 10_000,
  /** Pauses before it is started again: the first, each twice the one before, and the longest. */
  backoff: 250,
  backoffMax: 30_000,
  /** How long it has to run well for its failures to be forgotten. */
  forget: 60_000,
  /** How long one that nobody calls goes on. */
  idle: 60_000,
  /** How long it has to end when it is asked to. */
  close: 2_000,
};

const POLL_MS = 20;

/** What making a control group fails with for want of descriptors, or memory. */
const SHORTAGES: ReadonlySet<string | undefined> = new Set(["EMFILE", "ENFILE", "ENOMEM"]);

/** How long it may take until the group of one that was stopped can be removed, in ms. */
const REMOVE_MS = 500;

/** A plugin that runs. */
interface Running {
  readonly session: PluginSession;
  readonly child: PipedChild;
  readonly operations: ReadonlySet<Operation>;
  readonly since: number;
}

/** A program. */
export class ProcessHost implements PluginHost {
  readonly manifest: PluginManifest;
  readonly origin: string;
  settings: PluginHost["settings"];
  readonly #parts: ProcessHostParts;
  readonly #limits: { sha256?: string; processes?: number };
  readonly #log: Log = openLog();
  readonly #times: typeof PROCESS_TIMES;
  #starting: Promise<Running> | null = null;
  #running: Running | null = null;
  #group: ControlGroup | null = null;
  #groupless = false;
  /** The end of what ran before, with all it had started: the next one must not be taken for that. */
  #ending: Promise<unknown> = Promise.resolve();
  #failures = 0;
  #notBefore = 0;
  #cancelIdle: Cancel = () => {};
  #cleaned = false;
  #closed = false;
  /** Operations that it has said it has; all until it was started once. */
  #operations: ReadonlySet<Operation> = new Set(["add", "remove", "adopt", "check"]);

  /**
   * @param path absolute
   * @throws ManifestError when it was written for another contract
   */
  constructor(
    path: string,
    manifest: PluginManifest,
    parts: ProcessHostParts,
    limits: { sha256?: string; processes?: number; settings?: PluginHost["settings"] } = {},
  ) {
    this.settings = limits.settings ?? {};
    checkContract(manifest.api);
    this.origin = path;
    this.manifest = manifest;
    this.#parts = parts;
    this.#times = { ...PROCESS_TIMES, ...parts.times };
    this.#limits = limits;
  }

  async operations(): Promise<PluginOperations> {
    return {
      add: async (device, signal) => void await this.#call("add", device, signal),
      remove: async (device, signal) => void await this.#call("remove", device, signal),
      adopt: async (device, signal) => void await this.#call("adopt", device, signal),
      // Whoever asked looks at the answer: it may be anything.
      check: async (device, signal) => await this.#call("check", device, signal) as Findings,
    };
  }

  async probe(): Promise<void> {
    await this.#ready(new AbortController().signal);
    this.#scheduleIdle();
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelIdle();
    await this.#starting?.catch(() => {});
    const running = this.#running;
    if (running !== null) await this.#stop(running);
    // Whoever was killed takes a moment.
    const end = this.#parts.clock.now() + REMOVE_MS;
    while (this.#group?.remove() === false && this.#parts.clock.now() < end) {
      await this.#pause(POLL_MS);
    }
  }

  async #call(operation: Operation, device: Device, signal: AbortSignal): Promise<Answer> {
    // What it does not have costs nothing.
    if (!this.#operations.has(operation)) return null;
    const { session, operations } = await this.#ready(signal);
    if (!operations.has(operation)) return null;
    this.#cancelIdle();
    try {
      return await session.call(operation, device, signal);
    } finally {
      if (session.calls === 0) this.#scheduleIdle();
    }
  }

  /** The running plugin, once it runs. @throws the signal's reason; Error when it does not start */
  async #ready(signal: AbortSignal): Promise<Running> {
    if (this.#running !== null) return this.#running;
    signal.throwIfAborted();
    const starting = this.#starting ??= this.#start().finally(() => this.#starting = null);
    const aborted = Promise.withResolvers<never>();
    const onAbort = () => aborted.reject(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([starting, aborted.promise]);
    } finally {
      signal.removeEventListener("abort", onAbort);
    }
  }

  async #start(): Promise<Running> {
    const { clock, children, path, host, answerMs } = this.#parts;
    const { name } = this.manifest;
    if (this.#closed) throw new Error(`plugin ${name}: the daemon is stopping`);
    await this.#ending;
    await this.#pause(this.#notBefore - clock.now());
    await this.#endEarlier();
    const { sha256 } = this.#limits;
    await checkPluginFile(this.#parts, this.origin, {
      executable: true,
      ...(sha256 === undefined ? {} : { sha256 }),
    });
    const group = this.#openGroup();
    let session: PluginSession | null = null;
    let child: PipedChild;
    try {
      child = await children.start({
        argv: [this.origin],
        env: { PATH: path, [PLUGIN_VARIABLE]: this.#mark },
        complaint: (line) => session?.printed(line),
        ...(group === null ? {} : { around: (make) => group.around(make) }),
      });
    } catch (error) {
      this.#failed();
      throw new Error(`plugin ${name}: ${this.origin} cannot be started: ${startError(error)}`);
    }
    const started = session = new PluginSession(child, {
      name,
      api: this.manifest.api,
      clock,
      log: this.#log,
      helloMs: this.#times.hello,
      answerMs,
      kill: () => this.#kill(child, group),
    });
    const since = clock.now();
    started.ended.then(() => this.#onEnd(started, since));
    const operations = new Set(await started.introduce(host));
    this.#operations = operations;
    this.#running = { session: started, child, operations, since };
    this.#log.debug(`plugin ${name}: process ${child.pid} runs`);
    return this.#running;
  }

  #onEnd(session: PluginSession, since: number): void {
    if (this.#running?.session === session) this.#running = null;
    this.#cancelIdle();
    if (this.#parts.clock.now() - since > this.#times.forget) this.#failures = 0;
    this.#failed();
  }

  #failed(): void {
    const pause = Math.min(this.#times.backoffMax, this.#times.backoff * 2 ** this.#failures);
    this.#failures++;
    this.#notBefore = this.#parts.clock.now() + pause;
  }

  #scheduleIdle(): void {
    this.#cancelIdle();
    const running = this.#running;
    if (running === null || this.#closed) return;
    this.#cancelIdle = this.#parts.clock.after(this.#times.idle, () => {
      if (running.session.calls > 0 || this.#running !== running) return;
      this.#running = null;
      this.#ending = this.#stop(running).then(() => {
        // It was asked to.
        this.#failures = 0;
        this.#notBefore = 0;
      });
    });
  }

  /** Its input ends; what is left of it after a while is killed. */
  async #stop({ session }: Running): Promise<void> {
    session.close();
    const cancel = this.#parts.clock.after(this.#times.close, () => session.end("it did not end"));
    await session.ended;
    cancel();
  }

  /** Ends it, and all that it has started. */
  #kill(child: PipedChild, group: ControlGroup | null): void {
    child.signalGroup("SIGKILL");
    try {
      if (group !== null) return group.killAll();
    } catch (error) {
      this.#log.debug(`plugin ${this.manifest.name}: ${errorOf(error).message}`);
    }
    this.#ending = Promise.all([this.#ending, this.#killOnceSeen()]);
  }

  /** Once somebody can tell which processes there are, they are killed. */
  async #killOnceSeen(): Promise<void> {
    do {
      try {
        return void await this.#killMarked();
      } catch {
        await this.#pause(this.#times.backoff);
      }
    } while (!this.#closed);
  }

  /** Processes of a daemon that was killed: they may still be at work. */
  async #endEarlier(): Promise<void> {
    if (this.#cleaned) return;
    const { clock } = this.#parts;
    const end = clock.now() + this.#times.close;
    while (await this.#killMarked() > 0) {
      if (clock.now() > end) throw new Error("processes of an earlier daemon's plugin do not end");
      await this.#pause(POLL_MS);
    }
    this.#cleaned = true;
  }

  /** @returns how many there were */
  async #killMarked(): Promise<number> {
    const { table } = this.#parts;
    const pids = [...await table.withVariable(PLUGIN_VARIABLE)]
      .filter(([, value]) => value === this.#mark).map(([pid]) => pid);
    for (const pid of pids) table.signal(pid, "SIGKILL");
    return pids.length;
  }

  get #mark(): string {
    return `${this.#parts.owner}:${this.manifest.name}`;
  }

  #openGroup(): ControlGroup | null {
    if (this.#group !== null || this.#groupless) return this.#group;
    const { name } = this.manifest;
    try {
      const group = this.#parts.group ?? `xdevd-${hash(this.#parts.owner)}-${name}`;
      this.#group = this.#parts.makeGroup(group, this.#limits.processes ?? PROCESSES_MAX);
    } catch (error) {
      // There may be one as soon as there is a descriptor.
      if (SHORTAGES.has((error as { code?: string }).code)) throw error;
      this.#groupless = true;
      this.#log.info(
        `plugin ${name}: the number of its processes is not bounded here: ${
          errorOf(error).message
        }`,
      );
    }
    return this.#group;
  }

  async #pause(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => void this.#parts.clock.after(ms, resolve));
  }
}

function startError(error: unknown): string {
  const { code } = error as { code?: string };
  if (code === "ENOEXEC") return "it is no program and has no #! line";
  if (code === "ENOENT") return "the interpreter of its #! line does not exist";
  return errorOf(error).message;
}

/** Tells the groups of several daemons apart. */
function hash(text: string): string {
  let value = 0;
  for (const char of text) value = (value * 31 + char.codePointAt(0)!) >>> 0;
  return value.toString(36);
}
