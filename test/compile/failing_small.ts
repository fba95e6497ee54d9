/** Runs in the small binary, in place of the program: ends by a fault, of the kind that the argument names. */
import { host } from "../../platform/quickjs/host.ts";
import { after } from "../../platform/quickjs/loop.ts";

function fail(): never {
  throw new Error("planned");
}

const kind = new TextDecoder().decode(host.args[1]);
if (kind === "exception") fail();
if (kind === "timer") after(1, fail);
if (kind === "rejection") void Promise.resolve().then(fail);
if (kind === "reason") void Promise.reject("a text");
if (kind === "handled") {
  const promise = Promise.reject(new Error("handled later, in the same turn"));
  void Promise.resolve().then(() => promise.catch(() => {}));
  after(1, () => host.exit(0));
}
