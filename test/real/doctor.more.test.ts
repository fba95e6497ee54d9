/** `xdevd doctor`, with Debian's xenstored. */
import { doctorFinds } from "../integration/doctor.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { startXenstored } from "./xenstored.ts";

if (requireReal("the doctor on Debian's xenstored", { packages: xenstoredPackages })) {
  doctorFinds("Debian's xenstored", () => startXenstored({ domains: [1, 7] }));
}
