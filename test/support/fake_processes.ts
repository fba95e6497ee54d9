/** Processes made up for a test, that do what they are told to. */
import type { ProcessTable } from "../../platform/linux/process_table.ts";
import type { Child, ChildExit, ChildSpec, Processes } from "../../platform/types.ts";

/** One process. */
export interface FakeProcess {
  readonly pid: number;
  readonly identity: string;
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Signals it was sent. */
  readonly signals: string[];
  /** Signals that do not end it. */
  readonly ignores: Set<string>;
  alive: boolean;
  /** Prints a line. */
  print(line: string): void;
  /** Ends it. */
  exit(how?: ChildExit): void;
}

/** A machine's processes: to be started, found, and sent signals. */
export class FakeProcesses implements Processes, ProcessTable {
  readonly all: FakeProcess[] = [];
  /** Called for each one that is started. */
  onStart: (started: FakeProcess) => void = () => {};
  /** Why none can be started. */
  refusal: string | null = null;
  #lastPid = 1000;
  #lastStart = 5000;

  /** Those that run. */
  get alive(): FakeProcess[] {
    return this.all.filter(({ alive }) => alive);
  }

  async start(spec: ChildSpec): Promise<Child> {
    if (this.refusal !== null) throw new Error(this.refusal);
    const { promise, resolve } = Promise.withResolvers<ChildExit>();
    const started = this.add(spec.argv, spec.env, ++this.#lastPid, (line) => {
      spec.output?.(line, "stderr");
    }, resolve);
    this.onStart(started);
    return {
      pid: started.pid,
      exited: promise,
      signalGroup: (signal) => this.signal(started.pid, signal),
    };
  }

  /** Puts one there that nobody here has started. */
  add(
    argv: readonly string[],
    env: Readonly<Record<string, string>>,
    pid = ++this.#lastPid,
    print: (line: string) => void = () => {},
    resolve: (exit: ChildExit) => void = () => {},
  ): FakeProcess {
    const made: FakeProcess = {
      pid,
      identity: `${pid}:${++this.#lastStart}`,
      argv,
      env,
      signals: [],
      ignores: new Set(),
      alive: true,
      print,
      exit(how = { code: 1, signal: null }) {
        if (!this.alive) return;
        this.alive = false;
        resolve(how);
      },
    };
    this.all.push(made);
    return made;
  }

  async withVariable(name: string): Promise<Map<number, string>> {
    return new Map(
      this.alive.flatMap(({ pid, env }) => env[name] === undefined ? [] : [[pid, env[name]]]),
    );
  }

  async identityOf(pid: number): Promise<string | undefined> {
    return this.alive.find((one) => one.pid === pid)?.identity;
  }

  async commandLineOf(pid: number): Promise<string[]> {
    return [...this.alive.find((one) => one.pid === pid)?.argv ?? []];
  }

  signal(pid: number, signal: "SIGHUP" | "SIGTERM" | "SIGKILL"): boolean {
    const found = this.alive.find((one) => one.pid === pid);
    if (found === undefined) return false;
    found.signals.push(signal);
    if (!found.ignores.has(signal)) found.exit({ code: null, signal });
    return true;
  }
}
