/**
 * The crash test, as long as one likes; prints its counts and exits with 1 if one that should be
 * zero is not.
 *
 *     bun test/real/crash_run.ts [--kills 300] [--store-kills 0] [--seed N] [--log FILE]
 */
import { parseArgs } from "node:util";
import { crashRun } from "./crash.ts";

const { values } = parseArgs({
  options: {
    kills: { type: "string", default: "300" },
    "store-kills": { type: "string", default: "0" },
    log: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});

const start = performance.now();
const report = await crashRun({
  kills: Number(values.kills),
  storeKills: Number(values["store-kills"]),
  seed: Number(values.seed),
  ...(values.log === undefined ? {} : { logFile: values.log }),
  progress: (line) => console.log(`  ${line}`),
});
const { lost, left, twice } = report.faults;
console.log(
  `seed ${values.seed}: ${report.kills} kills of the daemon, ${report.storeKills} of xenstored, in ` +
    `${((performance.now() - start) / 1000).toFixed(0)} s\n` +
    `${report.attaches} attaches, ${report.detaches} detaches, ${report.scriptRuns} script runs, ` +
    `${report.adopted} adopted, ${report.redone} undone and redone\n` +
    `lost ${lost.length}, left ${left.length}, run twice ${twice.length}`,
);
for (const fault of [...lost, ...left, ...twice]) console.log(`  ${fault}`);
process.exit(lost.length + left.length + twice.length === 0 ? 0 : 1);
