/** Creating a device in the store, as libxl does: one transaction (libxl_device.c). */
import { CodedError } from "../messages/error.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { isServerError } from "../xenstore/errors.ts";
import { domainPath } from "../xenstore/paths.ts";
import { carryOut, type CreationPlan, creationSteps } from "./nodes/plan.ts";
import { namesOf } from "./domains.ts";

/**
 * Carries a plan out, all of it or nothing.
 * @throws CodedError `exists` when there is such a device already; `no domain` when one of the
 *   domains is gone by now; `not permitted` where this domain may not make one; StoreError when the
 *   store refuses
 */
export async function createDevice(store: StoreClient, plan: CreationPlan): Promise<void> {
  const steps = creationSteps(plan);
  const { record, id } = plan;
  const [frontendDomid, devid] = [2, -1].map((at) => Number(record.path.split("/").at(at)));
  const device = { frontendDomid: frontendDomid!, devid: devid! };
  const domids = [device.frontendDomid, ...(id === null ? [] : [id.backendDomid])];
  try {
    await store.transaction(async (t) => {
      if (await t.exists(plan.record.path)) {
        const names = await namesOf(store, { ...device, kind: plan.frontendKind });
        throw new CodedError("device-exists", `${names.device}: the guest has it already`);
      }
      // Nobody would ever clean up what is made for a domain that has died meanwhile.
      for (const domid of domids) {
        if (await t.exists(domainPath(domid))) continue;
        throw new CodedError("no-such-domain", `there is no domain ${domid} any more`);
      }
      await carryOut(t, steps);
    });
  } catch (error) {
    if (!isServerError(error, "EACCES", "EPERM")) throw error;
    throw new CodedError(
      "not-permitted",
      `this domain may not create devices (${error.message}): run it in the toolstack's, domain 0`,
    );
  }
}

/**
 * Makes a device with a devid that is free, if none is given: with another one when somebody else has
 * taken it meanwhile.
 * @param make throws CodedError `exists` if the devid is taken
 */
export async function withFreeDevid<T>(
  given: number | null,
  store: StoreClient,
  { frontendDomid, frontendKind }: { frontendDomid: number; frontendKind: string },
  make: (devid: number) => Promise<T>,
): Promise<T> {
  if (given !== null) return await make(given);
  for (let last = -1;;) {
    const devid = await lowestFreeDevid(store, frontendDomid, frontendKind);
    try {
      return await make(devid);
    } catch (error) {
      const taken = error instanceof CodedError && error.messageCode === "device-exists";
      // The same one once more: it is not free for a reason that the records do not show.
      if (!taken || devid === last) throw error;
      last = devid;
    }
  }
}

/** The lowest devid that no device of a guest has. @param frontendKind kind of its frontends */
export async function lowestFreeDevid(
  store: StoreClient,
  frontendDomid: number,
  frontendKind: string,
): Promise<number> {
  const taken = new Set(await store.listOptional(`/libxl/${frontendDomid}/device/${frontendKind}`));
  let devid = 0;
  while (taken.has(String(devid))) devid++;
  return devid;
}
