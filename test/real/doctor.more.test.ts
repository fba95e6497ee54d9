/** `xdevd doctor`, with Debian's xenstored. */
import { doctorFinds } from "../integration/doctor.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { startXenstored } from "./xenstored.ts";

if (requireReal("the doctor on Debian's xenstored", { packages: xenstoredPackages })) {
  const args = ["--entry-nb=4000"];
  const start = () => startXenstored({ domains: [1, 7], args });
  doctorFinds("Debian's xenstored", start, { devices: 200 });
}
