/** Random requests on Debian's C xenstored and on the embedded server: they have to do the same. */
import { test } from "bun:test";
import { compareServers } from "../conformance/differential.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

if (requireReal("5,000 random requests on both xenstoreds", { packages: xenstoredPackages })) {
  test(
    "5,000 random requests: both servers answer the same and send the same events",
    () => compareServers(5_000),
    120_000,
  );
}
