/** As conformance_random.test.ts, ten times as many and others: the seeds do not overlap. */
import { test } from "bun:test";
import { compareServers } from "../conformance/differential.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

if (requireReal("50,000 random requests on both xenstoreds", { packages: xenstoredPackages })) {
  test(
    "50,000 random requests: both servers answer the same and send the same events",
    () => compareServers(50_000, 1_000),
    600_000,
  );
}
