/** Debian's C xenstored against the suite that the embedded server passes as well. */
import { conformance } from "../conformance/suite.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { startXenstored } from "./xenstored.ts";

if (requireReal("conformance of Debian's xenstored", { packages: xenstoredPackages })) {
  conformance("Debian's xenstored", () => startXenstored());
}
