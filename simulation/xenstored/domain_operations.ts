/** What a toolstack tells the store of domains, and asks about them. */
import { toText } from "../../core/xenstore/codec.ts";
import { domainPath } from "../../core/xenstore/paths.ts";
import { type Answer, answerStrings, type Call, DONE, onlyString, strings } from "./call.ts";
import { Failure, require } from "./failure.ts";
import { unsignedInt } from "./numbers.ts";

/** DOMID_SELF (xen/include/public/xen.h). */
const DOMID_SELF = 0x7ff0;

/** At least so many strings, decoded; 4.17 takes more, but not fewer. @throws Failure EINVAL */
function atLeast(call: Call, count: number): string[] {
  const found = strings(call).map(toText);
  require(found.length >= count, "EINVAL");
  return found;
}

/** The home of a domain, which need not exist. */
export function getDomainPath(call: Call): Answer {
  return answerStrings(domainPath(unsignedInt(onlyString(call))));
}

/** The acknowledgement means that the domain's clients can connect. */
export async function introduce(call: Call): Promise<Answer> {
  const [domid, , port] = atLeast(call, 3);
  // An unsigned number, hence only 0 is too small.
  require(unsignedInt(port!) !== 0, "EINVAL");
  try {
    await call.store.introduce(unsignedInt(domid!));
  } catch {
    throw new Failure("EIO");
  }
  return DONE;
}

/** A domain other than the store's own, that is known. @throws Failure EINVAL, ENOENT */
function guestArgument(call: Call): number {
  const domid = unsignedInt(onlyString(call));
  require(domid !== 0, "EINVAL");
  require(call.store.domains.has(domid), "ENOENT");
  return domid;
}

/** The acknowledgement means that the domain's clients can connect no more. */
export async function release(call: Call): Promise<Answer> {
  const domid = guestArgument(call);
  try {
    await call.store.destroy(domid);
  } catch {
    throw new Failure("EIO");
  }
  return DONE;
}

/** Whether a domain is known. */
export function isIntroduced(call: Call): Answer {
  const domid = unsignedInt(onlyString(call));
  const known = domid === DOMID_SELF || call.store.domains.has(domid);
  return answerStrings(known ? "T" : "F");
}

/** A domain that had shut down runs again. */
export function resume(call: Call): Answer {
  guestArgument(call);
  return DONE;
}

/** A domain gets the rights of another. */
export function setTarget(call: Call): Answer {
  const [domid, target] = atLeast(call, 2).map(unsignedInt);
  require(call.store.domains.has(domid!) && call.store.domains.has(target!), "ENOENT");
  call.store.setTarget(domid!, target!);
  return DONE;
}
