/** A short form of the crash test; `npm run test:crash` has the long one. */
import { expect, test } from "bun:test";
import { crashRun } from "./crash.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

const needs = { packages: [...xenstoredPackages, "xen-utils-common", "mount"], root: true };
const seed = Date.now() % 1_000_000;
const none = { lost: [], left: [], twice: [] };

if (requireReal("the daemon killed at random under a real workload", needs)) {
  test(
    `the daemon killed 12 times at random: nothing lost, left or run twice (seed ${seed})`,
    async () => {
      const report = await crashRun({ kills: 12, seed });
      expect(report.faults).toEqual(none);
      expect(report.attaches).toBeGreaterThan(10);
      console.log(
        `${report.attaches} attaches, ${report.detaches} detaches, ${report.adopted} adopted, ` +
          `${report.redone} redone`,
      );
    },
    120_000,
  );

  test(`one effect of ten fails, and descriptors are few: the same (seed ${seed})`, async () => {
    const report = await crashRun({ kills: 12, seed, failures: 10, descriptors: 60 });
    expect(report.faults).toEqual(none);
    expect(report.madeToFail).toBeGreaterThan(10);
    console.log(
      `${report.attaches} attaches, ${report.refused} refused, ${report.madeToFail} failures`,
    );
  }, 240_000);

  test(`xenstored killed 4 times under load, the daemon too: the same (seed ${seed})`, async () => {
    const report = await crashRun({ kills: 4, storeKills: 4, seed });
    expect(report.faults).toEqual(none);
    console.log(`${report.attaches} attaches, ${report.detaches} detaches, 4 stores`);
  }, 120_000);
}
