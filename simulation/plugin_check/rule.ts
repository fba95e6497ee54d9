/** What a rule of the conformance suite is. */
import type { Rig } from "./rig.ts";
import { Trial } from "./trial.ts";

/** What a rule finds a plugin with. */
export interface RuleContext {
  readonly rig: Rig;
  /** Lines that were logged since the rule began. */
  readonly log: readonly string[];
  /** Device numbers that nobody has used. */
  nextDevid(): number;
}

/** One thing that every plugin owes. */
export interface Rule {
  /** For people and for `--only`. */
  readonly name: string;
  /** What holds, in one sentence. */
  readonly claim: string;
  /** @returns what is wrong, a line each; none when the rule holds @throws Error likewise */
  run(context: RuleContext): Promise<string[]>;
}

/** How a rule went. */
export interface Verdict {
  readonly rule: string;
  readonly claim: string;
  /** What is wrong, a line each; none when the rule holds. */
  readonly faults: readonly string[];
  readonly ms: number;
}

/** Runs a trial to its end. @param more nodes of the backend in place of the sample's */
export async function withTrial<T>(
  { rig, nextDevid }: RuleContext,
  work: (trial: Trial) => Promise<T>,
  more: Readonly<Record<string, string>> = {},
): Promise<T> {
  const trial = await Trial.open(rig, nextDevid(), more);
  try {
    return await work(trial);
  } finally {
    await trial.close();
  }
}

/** A rule that takes one trial. @param judge returns what is wrong, or throws it */
export function onTrial(
  name: string,
  claim: string,
  judge: (trial: Trial, context: RuleContext) => Promise<string[]>,
): Rule {
  return { name, claim, run: (context) => withTrial(context, (trial) => judge(trial, context)) };
}

/** Adds, which has to work. @throws Error */
export async function mustAdd(trial: Trial): Promise<void> {
  const { error } = await trial.add();
  if (error !== null) throw new Error(`add fails: ${error.message}`);
}

/** Removes, which has to work. @throws Error */
export async function mustRemove(trial: Trial, when: string): Promise<void> {
  const { error } = await trial.remove();
  if (error !== null) throw new Error(`remove fails ${when}: ${error.message}`);
}
