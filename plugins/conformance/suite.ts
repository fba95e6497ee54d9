/** The conformance suite: every rule, one after the other. */
import { checkContract } from "../manifest.ts";
import type { PluginManifest } from "../contract.ts";
import type { PluginHost } from "../host/host.ts";
import { FAULT_RULES } from "./rules_faults.ts";
import { LIFE_RULES } from "./rules_life.ts";
import type { Rule } from "./rule.ts";
import { Rig } from "./rig.ts";

/** How a rule went. */
export interface Verdict {
  readonly rule: string;
  readonly claim: string;
  /** What is wrong, a line each; none when the rule holds. */
  readonly faults: readonly string[];
  readonly ms: number;
}

/** Rules that are looked at before anything is run. */
const LOADS: Rule = {
  name: "loads",
  claim: "it can be loaded, and is what its manifest says",
  run: async ({ rig }) => {
    checkContract(rig.manifest.api);
    await (await rig.freshHost()).probe();
    return [];
  },
};

/** A program that breaks the protocol is killed, which may look like an ordinary failure. */
const PROTOCOL: Rule = {
  name: "protocol",
  claim: "as a program, it keeps to the protocol and ends only when it is told to",
  run: async (context) => {
    const life = LIFE_RULES.filter(({ name }) => name === "again" || name === "check");
    for (const rule of life) await rule.run(context).catch(() => {});
    return context.log.filter((line) => /plugin [^ ]+: .*(killed|it ended \()/.test(line))
      .map((line) => line.trim().replace(/^\S+ \S+ +/, ""));
  },
};

/** All rules, in the order in which they are run. */
export const RULES: readonly Rule[] = [LOADS, ...LIFE_RULES, ...FAULT_RULES, PROTOCOL];

/** What a run needs. */
export interface SuiteOptions {
  /** A directory of its own, which exists. */
  readonly directory: string;
  readonly manifest: PluginManifest;
  /** Makes a host in which the plugin remembers nothing. */
  fresh(): Promise<PluginHost>;
  /** How long the plugin has for a call, in ms; 8000 by default. */
  readonly operationMs?: number;
  /** Names of the rules to run; all by default. */
  readonly only?: readonly string[];
  /** All that has been logged so far. */
  readonly log: readonly string[];
  now(): number;
  /** Called after each rule. */
  done?(verdict: Verdict): void;
}

/** Runs the suite. */
export async function runSuite(options: SuiteOptions): Promise<Verdict[]> {
  const { directory, manifest, fresh, only, log, now, done } = options;
  const rig = await Rig.start(directory, manifest, fresh, options.operationMs);
  const verdicts: Verdict[] = [];
  let devid = 51712;
  try {
    for (const rule of RULES) {
      if (only !== undefined && !only.includes(rule.name)) continue;
      const start = now();
      const from = log.length;
      const context = {
        rig,
        nextDevid: () => devid++,
        get log() {
          return log.slice(from);
        },
      };
      const faults = await rule.run(context).catch((error) => [(error as Error).message]);
      const verdict = { rule: rule.name, claim: rule.claim, faults, ms: now() - start };
      verdicts.push(verdict);
      done?.(verdict);
      // Nothing of the rest can work.
      if (rule === LOADS && faults.length > 0) break;
    }
  } finally {
    await rig.stop();
  }
  return verdicts;
}
