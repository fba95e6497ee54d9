/** Plays random scripts on two servers, and compares what they have written down. */
import { expect } from "bun:test";
import * as fc from "fast-check";
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { startXenstored } from "../real/xenstored.ts";
import type { ServerUnderTest } from "./bench.ts";
import { GUESTS, play, scripts } from "./random_script.ts";

/** After so many scripts come fresh servers: an old C one throttles its guests more and more. */
const SCRIPTS_EACH = 60;

/**
 * Draws scripts, and plays each on Debian's C xenstored and on the embedded server, until they have
 * made so many requests of each (and some more, to look). Other ones: `XDEVD_SEED=7`.
 * @throws Error with the shortest script that the two play differently, as far as it was found
 */
export async function compareServers(requests: number, firstSeed = 1): Promise<void> {
  let [scriptCount, stepCount] = [0, 0];
  let servers: ServerUnderTest[] = [];
  const stop = async () => {
    for (const server of servers) await server.stop();
    servers = [];
  };
  const start = async () => {
    const embedded = await startEmbeddedStore(GUESTS);
    servers = [
      { ...embedded, shutdown: async (domid) => embedded.server.shutDown(domid) },
      await startXenstored({ domains: GUESTS }),
    ];
  };
  const compare = async (script: Parameters<typeof play>[1]) => {
    if (scriptCount++ % SCRIPTS_EACH === 0) {
      await stop();
      await start();
    }
    stepCount += script.length;
    const records: string[][] = [];
    for (const server of servers) records.push(await play(server, script, scriptCount));
    expect(records[0]).toEqual(records[1]!);
  };
  try {
    // A round is a property of its own, so that the number of requests can be looked at.
    let seed = Number(process.env["XDEVD_SEED"] ?? firstSeed);
    while (stepCount < requests) {
      await fc.assert(fc.asyncProperty(scripts, compare), { numRuns: 50, seed: seed++ });
    }
  } finally {
    await stop();
  }
}
