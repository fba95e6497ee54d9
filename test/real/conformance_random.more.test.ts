/** Random scripts on Debian's C xenstored and on the embedded server: they have to do the same. */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { GUESTS, play, scripts } from "../conformance/random_script.ts";
import type { ServerUnderTest } from "../conformance/bench.ts";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { startXenstored } from "./xenstored.ts";

/** Scripts in a run of the tests. More of them, and other ones: XDEVD_SCRIPTS=1000 XDEVD_SEED=7. */
const SCRIPTS = Number(process.env["XDEVD_SCRIPTS"] ?? 150);
const SEED = Number(process.env["XDEVD_SEED"] ?? 1);

/** After so many scripts comes a fresh server: an old one throttles its guests more and more. */
const SCRIPTS_EACH = 60;

if (requireReal("random scripts on both xenstoreds", { packages: xenstoredPackages })) {
  test("random scripts: both servers answer the same and send the same events", async () => {
    let count = 0;
    let servers: ServerUnderTest[] = [];
    const stop = async () => {
      for (const server of servers) await server.stop();
    };
    const start = async () => {
      const embedded = await startEmbeddedStore(GUESTS);
      servers = [
        { ...embedded, shutdown: async (domid) => embedded.server.shutDown(domid) },
        await startXenstored({ domains: GUESTS }),
      ];
    };
    try {
      await fc.assert(
        fc.asyncProperty(scripts, async (script) => {
          if (count++ % SCRIPTS_EACH === 0) {
            await stop();
            await start();
          }
          const records: string[][] = [];
          for (const server of servers) records.push(await play(server, script, count));
          expect(records[0]).toEqual(records[1]!);
        }),
        { numRuns: SCRIPTS, seed: SEED },
      );
    } finally {
      await stop();
    }
  }, 30_000 + SCRIPTS * 500);
}
