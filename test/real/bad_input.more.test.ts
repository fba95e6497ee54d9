/** Bad input, with Debian's xenstored. */
import { badInput } from "../integration/bad_input.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { startXenstored } from "./xenstored.ts";

if (requireReal("bad input on Debian's xenstored", { packages: xenstoredPackages })) {
  badInput("Debian's xenstored", () => startXenstored({ domains: [1, 7] }));
}
