/** The conformance suite: every rule, one after the other. */
import { systemClock } from "../../platform/clock.ts";
import { checkContract } from "../../core/daemon/plugin/manifest.ts";
import type { Device, PluginOperations } from "../../contract/v1/plugin.ts";
import { errorOf, intercept } from "../../core/daemon/plugin/guard.ts";
import type { PluginHost } from "../../core/daemon/plugin/host.ts";
import { placeOf } from "../../plugins/host/module_host.ts";
import { FAULT_RULES } from "./rules_faults.ts";
import { LIFE_RULES } from "./rules_life.ts";
import { HOSTILE_GUEST } from "./rule_hostile_guest.ts";
import type { Rule, Verdict } from "./rule.ts";
import { Rig, type RigOptions } from "./rig.ts";

/** How long a plugin may take to be loaded, in ms: a program has 10 s to introduce itself. */
const LOAD_MS = 12_000;

/** Rules that are looked at before anything is run. */
const LOADS: Rule = {
  name: "loads",
  claim: "it can be loaded, and is what its manifest says",
  run: async ({ rig }) => {
    checkContract(rig.manifest.api);
    const host = await rig.freshHost();
    const late = Promise.withResolvers<never>();
    const cancel = systemClock.after(
      LOAD_MS,
      () => late.reject(new Error(`it is not loaded within ${LOAD_MS / 1000} s`)),
    );
    await Promise.race([host.probe(), late.promise]).finally(cancel);
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
export const RULES: readonly Rule[] = [
  LOADS,
  ...LIFE_RULES,
  ...FAULT_RULES,
  HOSTILE_GUEST,
  PROTOCOL,
];

/** What a run needs. */
export interface SuiteOptions extends RigOptions {
  /** Names of the rules to run, which exist; they are run in the order of {@link RULES}. */
  readonly only: readonly string[];
  /** All that has been logged so far. */
  readonly log: readonly string[];
  now(): number;
  begin(rule: string): void;
  /** Called after each rule; what it awaits is waited for. */
  done(verdict: Verdict): Promise<void>;
  /** Told what the plugin is about to do: `add`, or `add: nodes.write`. */
  step(what: string): void;
}

/** Runs rules of the suite, until there are no more, or the plugin cannot be loaded. */
export async function runSuite(options: SuiteOptions): Promise<void> {
  const { only, log, now, begin, done, step } = options;
  const rig = await Rig.start({
    ...options,
    fresh: async () => watched(await options.fresh(), step),
  });
  let devid = DEVID;
  try {
    for (const rule of RULES.filter(({ name }) => only.includes(name))) {
      begin(rule.name);
      const start = now();
      const from = log.length;
      const context = {
        rig,
        nextDevid: () => devid++,
        get log() {
          return log.slice(from);
        },
      };
      const found = await rule.run(context).catch((error) => [errorOf(error).message]);
      const faults = found.slice(0, FAULTS_MAX).map((fault) => fault.slice(0, FAULT_MAX));
      if (found.length > FAULTS_MAX) faults.push(`and ${found.length - FAULTS_MAX} more`);
      await done({ rule: rule.name, claim: rule.claim, faults, ms: now() - start });
      // Nothing of the rest can work.
      if (rule === LOADS && faults.length > 0) break;
    }
  } finally {
    await rig.stop();
  }
}

/** The number of the first device: xvda's, which fits any kind. */
const DEVID = 51712;

/** What is told of a rule that does not hold: lines, and characters in each. */
const FAULTS_MAX = 20;
const FAULT_MAX = 1000;

/** The same plugin, which says what it is about to do. */
function watched(host: PluginHost, step: (what: string) => void): PluginHost {
  const of = async (): Promise<PluginOperations> => {
    step("loading");
    const plugin = await host.operations();
    const call = <T>(
      name: "add" | "remove" | "adopt" | "check",
      use: (device: Device) => Promise<T> | undefined,
    ) =>
    async (device: Device): Promise<T | undefined> => {
      step(name);
      return await use(intercept(device, (capability) => {
        // Called by the plugin's own code.
        const place = placeOf(new Error(), host.origin);
        step(`${name}: ${capability}${place === null ? "" : ` (${place})`}`);
      }));
    };
    return {
      add: (device, signal) => call("add", (seen) => plugin.add(seen, signal))(device),
      remove: (device, signal) => call("remove", (seen) => plugin.remove(seen, signal))(device),
      adopt: (device, signal) => call("adopt", (seen) => plugin.adopt?.(seen, signal))(device),
      check: async (device, signal) =>
        await call("check", (seen) => plugin.check?.(seen, signal))(device) ?? null,
    };
  };
  return {
    manifest: host.manifest,
    origin: host.origin,
    settings: host.settings,
    operations: of,
    probe: () => {
      step("loading");
      return host.probe();
    },
    close: () => host.close(),
  };
}
