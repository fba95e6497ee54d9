/** Rules about what goes wrong: errors, crashes, aborted calls, odd configuration. */
import { OBEY_MS } from "./rig.ts";
import { mustAdd, mustRemove, onTrial, type Rule, type RuleContext, withTrial } from "./rule.ts";
import type { Use } from "./trial.ts";

/** Most places of a call at which a fault is tried. */
const PLACES_MAX = 16;

/** Longest message of an error, in characters: the guest's administrator reads it in a node. */
const MESSAGE_MAX = 512;

/** What a fault is, and what then must hold, for people. */
const FAULT = "this failure was made up by the check";

/** Values that a node may have by mistake or malice. */
const ODD_VALUES: readonly string[] = [
  "",
  "\n",
  "../../../etc/passwd",
  "$(touch /nowhere)",
  "-1",
  "\u202e\u0001",
  "x".repeat(2000),
];

export const FAULT_RULES: readonly Rule[] = [
  onTrial(
    "record-first",
    "when the undo record cannot be written, add fails, and nothing was done",
    async (trial, context) => {
      const before = await context.rig.inventory(trial.id);
      let asked = false;
      let acquired: string[] = [];
      trial.before = async (capability) => {
        if (capability !== "recordUndo" || asked) return;
        asked = true;
        acquired = await context.rig.changesSince(before, trial.id);
        throw new Error(FAULT);
      };
      const { error } = await trial.add();
      trial.before = () => {};
      const faults = acquired.map((line) => `before the first record, ${line}`);
      if (asked && error === null) faults.push("add succeeds without its undo record");
      const left = await context.rig.changesSince(before, trial.id);
      if (asked) faults.push(...left.map((line) => `without a record, ${line}`));
      await trial.remove();
      return [...new Set(faults)];
    },
  ),
  {
    name: "failed-add",
    claim: "whatever fails during an add, the remove after it leaves nothing behind",
    run: (context) =>
      atEachPlace(context, "add", async (place, name) =>
        await withTrial(context, async (trial) => {
          const before = await context.rig.inventory(trial.id);
          trial.before = failAt(place);
          await trial.add();
          trial.before = () => {};
          await mustRemove(trial, `when ${name} has failed during add`);
          const left = await context.rig.changesSince(before, trial.id);
          return left.map((line) => `when ${name} fails during add, after the remove ${line}`);
        })),
  },
  {
    name: "failed-remove",
    claim: "whatever fails during a remove, the next remove leaves nothing behind",
    run: (context) =>
      atEachPlace(
        context,
        "remove",
        async (place, name) =>
          await withTrial(context, async (trial) => {
            const before = await context.rig.inventory(trial.id);
            await mustAdd(trial);
            trial.before = failAt(place);
            await trial.remove();
            trial.before = () => {};
            await mustRemove(trial, `when ${name} has failed during an earlier remove`);
            const left = await context.rig.changesSince(before, trial.id);
            return left.map((line) => `when ${name} fails during remove, after the next ${line}`);
          }),
      ),
  },
  {
    name: "crash",
    claim: "wherever the daemon is killed during an add, a new one's remove leaves nothing behind",
    run: (context) =>
      atEachPlace(context, "add", async (place, name) =>
        await withTrial(context, async (trial) => {
          const before = await context.rig.inventory(trial.id);
          const reached = Promise.withResolvers<void>();
          const never = new Promise<void>(() => {});
          let dead = false;
          const kill = at(place, () => {
            dead = true;
            reached.resolve();
            return never;
          });
          // What it does besides ends with it.
          trial.before = async () => dead ? await never : await kill();
          await Promise.race([trial.add(), reached.promise]);
          await trial.restart();
          await mustRemove(trial, `after a crash before ${name}`);
          const left = await context.rig.changesSince(before, trial.id);
          return left.map((line) => `after a crash before ${name} and a remove, ${line}`);
        })),
  },
  {
    name: "abort",
    claim: "a call that is told to stop ends soon, and the remove after it leaves nothing behind",
    run: (context) =>
      atEachPlace(context, "add", async (place, name) =>
        await withTrial(context, async (trial) => {
          const before = await context.rig.inventory(trial.id);
          const abort = new AbortController();
          let at_ = 0;
          trial.before = at(place, () => {
            at_ = performance.now();
            queueMicrotask(() => abort.abort(new Error("the device is no longer wanted")));
            return new Promise(() => {});
          });
          await trial.add(abort.signal);
          const took = at_ === 0 ? 0 : performance.now() - at_;
          trial.before = () => {};
          await mustRemove(trial, `when add was told to stop at ${name}`);
          const left = await context.rig.changesSince(before, trial.id);
          return [
            ...took >= OBEY_MS
              ? [`told to stop at ${name}, it goes on: left behind after ${took.toFixed(0)} ms`]
              : [],
            ...left.map((line) => `told to stop at ${name}, after the remove ${line}`),
          ];
        })),
  },
  onTrial(
    "deadline",
    "add and remove end in time, and when their time is up",
    async (trial, context) => {
      const { operationMs } = context.rig;
      const faults: string[] = [];
      for (const call of ["add", "remove"] as const) {
        const { ms, error } = await trial[call]();
        if (ms < operationMs) continue;
        const how = ms < operationMs + OBEY_MS
          ? "ends when its time is up"
          : "does not even end when its time is up";
        faults.push(`${call} ${how} (${ms.toFixed(0)} ms): ${error?.message ?? "done"}`);
      }
      return faults;
    },
  ),
  {
    name: "errors",
    claim: `an add that fails says why, in one line of at most ${MESSAGE_MAX} characters`,
    run: (context) =>
      atEachPlace(context, "add", async (place, name) =>
        await withTrial(context, async (trial) => {
          trial.before = failAt(place);
          trial.thrown = null;
          const { error } = await trial.add();
          trial.before = () => {};
          await trial.remove();
          if (error === null) return [];
          const { thrown } = trial;
          const text = thrown instanceof Error ? thrown.message : null;
          const wrong = text === null
            ? `it throws ${typeof thrown}, no Error`
            : text.trim() === ""
            ? "its error says nothing"
            : text.includes("\n")
            ? "its error has more than one line"
            : text.length > MESSAGE_MAX
            ? `its error has ${text.length} characters`
            : null;
          return wrong === null ? [] : [`when ${name} fails, ${wrong}`];
        })),
  },
  {
    name: "odd-config",
    claim: "whatever its nodes say, add ends, and the remove after it leaves nothing behind",
    run: async (context) => {
      const faults: string[] = [];
      for (const node of context.rig.sampleNodes) {
        for (const value of ODD_VALUES) {
          const shown = JSON.stringify(value.slice(0, 24));
          faults.push(
            ...await withTrial(context, async (trial) => {
              const before = await context.rig.inventory(trial.id);
              const { ms, error } = await trial.add();
              await mustRemove(trial, `with node ${node} ${shown}`);
              const left = await context.rig.changesSince(before, trial.id);
              return [
                ...ms >= context.rig.operationMs
                  ? [`with node ${node} ${shown}, add does not end: ${error?.message}`]
                  : [],
                ...left.map((line) => `with node ${node} ${shown}, after the remove ${line}`),
              ];
            }, { [node]: value }),
          );
          if (faults.length > 0) return faults;
        }
      }
      return faults;
    },
  },
];

/** Fails at the n-th use of a capability. */
function failAt(place: number) {
  return at(place, () => Promise.reject(new Error(FAULT)));
}

function at(place: number, what: () => Promise<void>) {
  let count = 0;
  return async () => {
    if (count++ === place) await what();
  };
}

/** Tries something at the uses of capabilities that an undisturbed call makes. */
async function atEachPlace(
  context: RuleContext,
  call: "add" | "remove",
  attempt: (place: number, name: string) => Promise<string[]>,
): Promise<string[]> {
  const uses = await withTrial(context, async (trial) => {
    const added = await trial.add();
    const removed = await trial.remove();
    return (call === "add" ? added : removed).uses;
  });
  const faults: string[] = [];
  for (const place of placesOf(uses)) {
    faults.push(...await attempt(place, `${uses[place]!.capability} (use ${place + 1})`));
    // One says enough; the others would say the same again.
    if (faults.length > 0) break;
  }
  return faults;
}

/** The first and the last use of each capability, and others spread evenly. */
function placesOf(uses: readonly Use[]): number[] {
  const chosen = new Set<number>();
  const capabilities = uses.map(({ capability }) => capability);
  for (const capability of new Set(capabilities)) {
    chosen.add(capabilities.indexOf(capability));
    chosen.add(capabilities.lastIndexOf(capability));
  }
  const step = Math.max(1, Math.ceil(uses.length / PLACES_MAX));
  for (let place = 0; place < uses.length && chosen.size < PLACES_MAX; place += step) {
    chosen.add(place);
  }
  return [...chosen].sort((a, b) => a - b);
}
