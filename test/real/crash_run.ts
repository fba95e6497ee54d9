/** The crash test, as long as one likes. `--help` tells how. */
import { commandLine, refuse, wholeNumber } from "../../tools/command_line.ts";
import { crashRun, type Failing, FAILURES } from "./crash.ts";

const help = `npm run test:crash [-- OPTIONS]

Kills the daemon, and xenstored, under load. Prints its counts; the status is 1 if one that should be
zero is not, 2 for a wrong command line. Without --kills and --store-kills there are two runs: 300 kills of
the daemon, then 60 of each.

  --kills N        of the daemon (default: 300)
  --store-kills N  of xenstored (default: 0)
  --ulimit N       descriptors that the daemon may have (default: as many as this process)
  --failures N     how many of 100 effects fail (default: 0)
  --failing WHAT   which effects, with commas between (default: ${FAILURES.join(",")})
  --seed N         of what is done when (default: another one each time)
  --log FILE       keeps the daemon's log
  --help           this
`;

const { values } = commandLine("crash_run", help, {
  options: {
    kills: { type: "string" },
    "store-kills": { type: "string" },
    ulimit: { type: "string" },
    failures: { type: "string", default: "0" },
    failing: { type: "string", default: FAILURES.join(",") },
    log: { type: "string" },
    seed: { type: "string", default: String(Date.now() % 1_000_000) },
  },
});

const given = values.kills !== undefined || values["store-kills"] !== undefined;
const { kills = "300", "store-kills": storeKills = "0" } = values;
const runs = given ? [[kills, storeKills]] : [["300", "0"], ["60", "60"]];
const failing = values.failing.split(",") as Failing[];
const unknown = failing.find((one) => !FAILURES.includes(one));
if (unknown !== undefined) {
  refuse("crash_run", `--failing ${unknown}: expected some of ${FAILURES.join(", ")}`);
}
const common = {
  failing,
  seed: wholeNumber("crash_run", "--seed", values.seed),
  failures: wholeNumber("crash_run", "--failures", values.failures),
  ...(values.ulimit === undefined
    ? {}
    : { descriptors: wholeNumber("crash_run", "--ulimit", values.ulimit) }),
  ...(values.log === undefined ? {} : { logFile: values.log }),
  progress: (line: string) => console.log(`  ${line}`),
};
const plans = runs.map(([ofDaemon, ofStore]) => ({
  ...common,
  kills: wholeNumber("crash_run", "--kills", ofDaemon!),
  storeKills: wholeNumber("crash_run", "--store-kills", ofStore!),
}));
for (const plan of plans) {
  const start = performance.now();
  const report = await crashRun(plan);
  const { lost, left, twice } = report.faults;
  console.log(
    `seed ${values.seed}: ${report.kills} kills of the daemon, ${report.storeKills} of xenstored, in ` +
      `${((performance.now() - start) / 1000).toFixed(0)} s\n` +
      `${report.attaches} attaches, ${report.detaches} detaches, ${report.scriptRuns} script runs, ` +
      `${report.adopted} adopted, ${report.redone} undone and redone\n` +
      `${report.refused} refused as they had to be, ${report.refusedLate} after they had said connected; ` +
      `${report.madeToFail} effects failed beside the scripts', ${report.failedUndos} tries at undoing that failed\n` +
      `lost ${lost.length}, left ${left.length}, run twice ${twice.length}`,
  );
  for (const fault of [...lost, ...left, ...twice]) console.log(`  ${fault}`);
  if (lost.length + left.length + twice.length > 0) process.exit(1);
}
process.exit(0);
