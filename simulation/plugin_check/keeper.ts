/**
 * Keeps watch over the process in which a plugin is checked. Whatever that does (it ends, it hangs, it
 * prints without end), the other rules are run in a new one, what it left is taken away, and every
 * rule is accounted for.
 */
import { openLog } from "../../core/log/log.ts";
import type { Clock } from "../../platform/types.ts";
import type { ReportingChild } from "../../platform/io/reporting_child.ts";
import type { Cleaned } from "./clean.ts";
import { GO_ON, parseEvent } from "./events.ts";
import type { Verdict } from "./rule.ts";

export interface KeeperParts {
  readonly clock: Clock;
  /** Starts a process that runs these rules. */
  start(
    rules: readonly string[],
    heard: { report(line: string): void; printed(line: string): void },
  ): Promise<ReportingChild>;
  /** Takes away what is left. @param runs the process, if it goes on */
  clean(runs?: number): Promise<Cleaned>;
  /** How long the process may give no sign of life, and the plugin do nothing new, in ms. */
  readonly silentMs: number;
  readonly stuckMs: number;
  /** What rules claim, by name. */
  claimOf(rule: string): string;
  /** Called after each rule, with the last lines of log. */
  done(verdict: Verdict, log: readonly string[]): void;
}

/** How it all went. */
export interface Outcome {
  readonly verdicts: readonly Verdict[];
  /** Rules that were not run. */
  readonly notRun: readonly string[];
  /** Why they were not; empty if there are none. */
  readonly why: string;
  readonly cleaned: Cleaned;
}

/** How often the plugin may hang before no more rules are run: each time takes its time. */
const HANGS_MAX = 2;

/** Lines of log that are kept of a rule. */
const LOG_LINES = 5;

/** How long a process may take to end when it has nothing more to do, in ms. */
const END_MS = 5_000;

const POLL_MS = 200;

/** See the head of this file. */
export class Keeper {
  readonly #parts: KeeperParts;
  readonly #verdicts: Verdict[] = [];
  readonly #removed: string[] = [];
  readonly #left = new Set<string>();
  readonly #rules: number;
  #waiting: string[];
  #hangs = 0;
  #stopped: string | null = null;
  /** Why it is to be stopped when the process at hand has ended. */
  #exhausted: string | null = null;
  #child: ReportingChild | null = null;

  /** @param rules names of the rules, the one that loads the plugin first if it is among them */
  constructor(rules: readonly string[], parts: KeeperParts) {
    this.#waiting = [...rules];
    this.#rules = rules.length;
    this.#parts = parts;
  }

  /** Ends it before its time. @param why for people */
  stop(why: string): void {
    this.#stopped ??= why;
    this.#child?.kill();
  }

  async run(): Promise<Outcome> {
    for (let deaths = 0; this.#waiting.length > 0 && this.#stopped === null;) {
      if (await this.#runProcess() && ++deaths > this.#rules) {
        this.#stopped ??= `its process has ended ${deaths} times`;
      }
    }
    this.#note(await this.#parts.clean());
    const notRun = this.#waiting;
    const cleaned = { removed: this.#removed, left: [...this.#left] };
    return { verdicts: this.#verdicts, notRun, why: this.#stopped ?? "", cleaned };
  }

  /** Runs rules in one process until it ends. @returns whether it ended before it was done */
  async #runProcess(): Promise<boolean> {
    const { clock } = this.#parts;
    const started = clock.now();
    let [lastSign, lastStep] = [started, started];
    let rule: string | null = null;
    let latest: string | null = null;
    let [step, since] = ["", started];
    let log: string[] = [];
    let fault: string | null = null;
    let over = false;
    const note = (line: string) => {
      log.push(line);
      if (log.length > LOG_LINES) log.shift();
    };
    const done = async (verdict: Verdict) => {
      rule = null;
      latest = verdict.rule;
      this.#waiting = this.#waiting.filter((name) => name !== verdict.rule);
      this.#parts.done(verdict, log);
      this.#verdicts.push(verdict);
      this.#note(await this.#parts.clean(child.pid));
      const useless = verdict.rule === "loads" && verdict.faults.length > 0;
      if (useless) this.#stopped ??= "it cannot be loaded";
      over = this.#waiting.length === 0 || this.#stopped !== null;
      [lastSign, lastStep] = [clock.now(), clock.now()];
      child.tell(GO_ON);
    };
    const child = await this.#parts.start(this.#waiting, {
      printed: note,
      report(line) {
        const event = parseEvent(line);
        if (event === null) return;
        lastSign = clock.now();
        if (event.is === "beat") return;
        lastStep = clock.now();
        if (event.is === "begin") [rule, step, since, log] = [event.rule, "", clock.now(), []];
        else if (event.is === "step") step = event.what;
        else if (event.is === "log") note(event.line.trimEnd());
        else if (event.is === "fault") fault ??= event.reason;
        else {
          done(event.verdict).catch((error) => {
            openLog().error(`check: ${(error as Error).message}`);
            child.kill();
          });
        }
      },
    });
    this.#child = child;
    let ended = false;
    const exited = child.exited.then((exit) => {
      ended = true;
      return exit;
    });
    while (!ended) {
      await Promise.race([
        exited,
        new Promise<void>((resolve) => void clock.after(POLL_MS, resolve)),
      ]);
      const silence = clock.now() - lastSign;
      const idle = clock.now() - lastStep;
      if (fault === null && !ended && !over) {
        fault = silence > this.#parts.silentMs
          ? `it lets nothing else run for ${(silence / 1000).toFixed(0)} s: a loop that never ` +
            "waits, or a call that blocks"
          : idle > this.#parts.stuckMs
          ? `nothing happens for ${(idle / 1000).toFixed(0)} s`
          : null;
        if (fault !== null && ++this.#hangs >= HANGS_MAX) {
          this.#exhausted ??= `it has hung ${this.#hangs} times`;
        }
      }
      if (fault !== null || (over && idle > END_MS)) child.kill();
    }
    this.#child = null;
    // Who is told to stop has not failed.
    if (over || this.#stopped !== null) return false;
    const { code, signal } = await exited;
    const reason = fault ??
      `its process ends (${code === null ? signal : `exit status ${code}`})`;
    const during = step === "" ? "" : `, ${rule === null ? "after" : "during"} ${step}`;
    this.#fail(rule ?? latest ?? this.#waiting[0], `${reason}${during}`, clock.now() - since, log);
    this.#note(await this.#parts.clean());
    this.#stopped ??= this.#exhausted;
    return true;
  }

  /** A rule that has no verdict of its own: or, between two, what came after the last one's. */
  #fail(rule: string | undefined, fault: string, ms: number, log: readonly string[]): void {
    if (rule === undefined) return;
    const last = this.#verdicts.at(-1);
    this.#waiting = this.#waiting.filter((name) => name !== rule);
    const earlier = last?.rule === rule ? last : null;
    if (earlier !== null) this.#verdicts.pop();
    const faults = earlier === null ? [fault] : [...earlier.faults, `when it was over: ${fault}`];
    const verdict = { rule, claim: this.#parts.claimOf(rule), faults, ms: earlier?.ms ?? ms };
    this.#verdicts.push(verdict);
    this.#parts.done(verdict, log);
  }

  #note({ removed, left }: Cleaned): void {
    this.#removed.push(...removed);
    for (const one of left) this.#left.add(one);
  }
}
