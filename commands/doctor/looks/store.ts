/** The store: whether it answers, what this domain may do there, and how much room is left. */
import type { Transaction } from "../../../core/xenstore/transaction.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";
import { isServerError } from "../../../core/xenstore/errors.ts";
import { domainPath } from "../../../core/xenstore/paths.ts";
import { problemOf } from "../../../core/messages/error.ts";
import { MESSAGES } from "../../../core/messages/table.ts";
import { bounded, failure, type Finding, ok, orOk, unknown, warning } from "../finding.ts";
import { isFull, nodesLeft, ROOM } from "../node_room.ts";
import type { Here, SeenDevices, SeenStore } from "../here.ts";

/** So many empty directories are worth a word: each counts as a node for ever. */
const EMPTY_MAX = 100;

/** Nodes that a domain may have, unless xenstored was told otherwise (its option -E). */
const USUAL_NODES = 1000;

export async function lookAtStore(here: Here): Promise<Finding[]> {
  try {
    const { store, domid } = await here.store();
    return [ok(`${store.name} answers; this is domain ${domid}`)];
  } catch (error) {
    const { code, message } = problemOf(error);
    // Without Xen there is none, and none is missed, unless one was named.
    if (
      code === "store-unreachable" && here.options.store === undefined &&
      await here.isXen() !== true
    ) {
      return [unknown(message)];
    }
    return [failure(message, MESSAGES[code].repair)];
  }
}

/** What the toolstack has given this domain. */
export async function lookAtRights(here: Here): Promise<Finding[]> {
  const { store, domid } = await seen(here);
  const findings = await rightsOf(store, domid);
  const data = `${domainPath(domid)}/data/xdevd-doctor`;
  const refusal = await tried(store, (t) => t.write(data, ""));
  if (refusal !== null && !isFull(refusal)) {
    findings.push(failure(
      `this domain cannot write below ${domainPath(domid)}/data: ${refusal.message}`,
      "in domain 0, have the domain created by xl (libxl), or xenstore-chmod that directory n" +
        domid,
    ));
  }
  const { devices } = await here.devices();
  const owners = await Promise.all(
    devices.map(async ({ path }) => (await store.getPermissions(path).catch(() => []))[0]?.domid),
  );
  devices.forEach(({ id, path }, index) => {
    const owner = owners[index];
    if (owner === undefined || owner === domid) return;
    findings.push(failure(
      `${path} belongs to domain ${owner}, not to this one: its state cannot be written`,
      `in domain 0: xenstore-chmod ${path} n${domid} r${id.frontendDomid}, or attach the device again`,
    ));
  });
  return [...orOk(bounded(findings), "this domain may do what a driver domain does")];
}

/** Whether a domain was made a driver domain; to be seen from itself and from domain 0. */
export async function rightsOf(store: StoreClient, domid: number): Promise<Finding[]> {
  const missing: string[] = [];
  for (const node of ["libxl", "device-model"]) {
    const path = `${domainPath(domid)}/${node}`;
    const permissions = await store.getPermissions(path).catch((error) => {
      if (isServerError(error, "ENOENT", "EACCES")) return [];
      throw error;
    });
    if (permissions[0]?.domid !== domid) missing.push(path);
  }
  if (missing.length === 0) return [];
  return [warning(
    `it is not made a driver domain, so that QEMU cannot serve disks from it: ${
      missing.join(" and ")
    } is not its own`,
    MESSAGES["driver-domain-rights"].repair,
  )];
}

/** How many nodes more this domain can make. */
export async function lookAtQuota(here: Here): Promise<Finding[]> {
  const { store, domid } = await seen(here);
  const left = await nodesLeft(store, domid);
  const findings: Finding[] = [];
  if (left === 0) {
    const message =
      "this domain's quota of nodes in the store is used up: no device can be served any more";
    findings.push(failure(message, QUOTA_REPAIR));
  } else if (left < ROOM) {
    const message =
      `this domain can make ${left} more nodes in the store, and a device takes about 25`;
    findings.push(warning(message, QUOTA_REPAIR));
  }
  findings.push(...emptyOf(await here.devices()));
  return [...orOk(findings, `there is room for ${ROOM} more nodes, or above`)];
}

const QUOTA_REPAIR =
  `in domain 0, raise xenstored's quota (xenstored -E; ${USUAL_NODES} nodes by default), and remove what guests have left`;

/** Directories of guests that are gone. */
export function emptyOf({ empty }: SeenDevices): Finding[] {
  if (empty < EMPTY_MAX) return [];
  return [warning(
    `${empty} empty directories of guests that are gone count against the quota`,
    MESSAGES["empty-directories"].repair,
  )];
}

/** @throws Error that says that nobody can look */
export async function seen(here: Here): Promise<SeenStore> {
  try {
    return await here.store();
  } catch {
    throw new Error("there is no store to ask, see above");
  }
}

/** Something was only tried. */
class Tried extends Error {}

/** With what the store refuses something; null: it does not. Nothing of it is kept. */
async function tried(
  store: StoreClient,
  work: (t: Transaction) => Promise<void>,
): Promise<Error | null> {
  try {
    await store.transaction(async (t) => {
      await work(t);
      throw new Tried();
    });
    return null;
  } catch (error) {
    if (error instanceof Tried) return null;
    if (isServerError(error, "EACCES", "EPERM", "ENOENT", "ENOSPC", "EQUOTA")) {
      return error as Error;
    }
    throw error;
  }
}
