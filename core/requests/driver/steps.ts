/** The driver domain's steps in the store, each one transaction that looks again. */
import { backendPath, backendRoot, type DeviceId } from "../../xen/device_id.ts";
import {
  DRIVER_WRITES,
  type DriverStep,
  type DriverWrite,
  mayWriteState,
  WITHDRAWN_EARLY,
} from "../protocol/driver_machine.ts";
import { ERROR_MAX, parseRequestState, readTree, REQUEST_MARK } from "../protocol/nodes.ts";
import {
  claimPath,
  claimRoot,
  type RequestId,
  requestKindOf,
  requestPath,
} from "../protocol/paths.ts";
import { isFrontendOf } from "../protocol/request.ts";
import type { Serving } from "../protocol/serve.ts";
import { printable } from "../../log/log.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { parentPath } from "../../xenstore/paths.ts";
import { closeBackend, requestClose } from "../../daemon/device/store_writer.ts";
import { type DriverLook, formatClaim, readClaim } from "./look.ts";

/** What the steps need besides the look that they follow from. */
interface StepParts {
  readonly store: StoreClient;
  readonly id: RequestId;
  readonly look: DriverLook;
  /** What is to serve it; null when it cannot be served. */
  readonly serving: Serving | null;
  /** Why it failed. */
  readonly error: string;
}

/** What a step found is not what it expects. Ends its transaction without a trace. */
class Missed extends Error {}

/** Steps that are transactions. */
type StoreStep = Exclude<DriverStep, "prepare" | "abort-prepare" | "unprepare">;

/** Does a step. @returns whether it was done @throws StoreError */
export async function performStoreStep(step: StoreStep, parts: StepParts): Promise<boolean> {
  if (step === "close") return await close(parts, false);
  if (step === "close-by-force") return await close(parts, true);
  try {
    await parts.store.transaction((t) => WORK[step](t, parts));
    return true;
  } catch (error) {
    if (error instanceof Missed) return false;
    throw error;
  }
}

type StateStep = Exclude<StoreStep, "close" | "close-by-force">;

const WORK: Readonly<Record<StateStep, (t: NodeAccess, parts: StepParts) => Promise<void>>> = {
  async claim(t, parts) {
    const { id, look, serving } = parts;
    await unchanged(t, parts);
    if (serving === null) throw new Missed();
    await setState(t, parts, "claim");
    await t.write(claimPath(id), formatClaim({ token: look.token, kind: serving.id.kind }));
  },

  async refuse(t, parts) {
    await unchanged(t, parts);
    await setState(t, parts, "refuse");
    await tellError(t, parts);
  },

  async reserve(t, parts) {
    const { id, serving } = parts;
    const claim = await setState(t, parts, "reserve");
    if (serving === null || serving.id.kind !== claim?.kind) throw new Missed();
    const directory = backendPath(serving.id);
    if (await absentOrHidden(t.read(directory)) !== undefined) {
      throw new Error(`there is a backend directory ${directory} already`);
    }
    await t.makeDirectory(directory);
    await t.setPermissions(directory, serving.permissions);
    for (const [name, value] of serving.nodes) await t.write(`${directory}/${name}`, value);
    await t.write(`${requestPath(id)}/backend`, directory);
  },

  async start(t, parts) {
    const { id } = parts;
    const claim = await setState(t, parts, "start");
    if (claim === null) throw new Missed();
    const directory = backendPath({ ...id, kind: claim.kind });
    const [mark, state, frontend] = await Promise.all([
      t.readVisible(`${directory}/${REQUEST_MARK}`),
      t.readVisible(`${directory}/state`),
      t.readVisible(`${requestPath(id)}/frontend`),
    ]);
    if (mark !== claim.token || state !== undefined) throw new Missed();
    if (frontend === undefined || !isFrontendOf(frontend, id)) throw new Missed();
    await t.write(`${directory}/state`, "1");
  },

  async "report-connected"(t, parts) {
    const { id } = parts;
    const claim = await setState(t, parts, "report-connected");
    const directory = backendPath({ ...id, kind: claim?.kind ?? id.kind });
    const device = await t.readVisible(`${directory}/physical-device-path`);
    await t.write(`${requestPath(id)}/hotplug-status`, "connected");
    if (device) await t.write(`${requestPath(id)}/pdev`, device);
  },

  async "report-error"(t, parts) {
    await setState(t, parts, "report-error");
    await tellError(t, parts);
  },

  async "begin-removal"(t, parts) {
    await setState(t, parts, "begin-removal");
  },

  async "report-disconnected"(t, parts) {
    const { id } = parts;
    await setState(t, parts, "report-disconnected", WITHDRAWN_EARLY);
    await t.write(`${requestPath(id)}/hotplug-status`, "disconnected");
    await dropClaim(t, id);
  },

  async "drop-claim"(t, { id }) {
    await dropClaim(t, id);
  },
};

/** The request is still, word for word, the one that was looked at. */
async function unchanged(t: NodeAccess, { id, look }: StepParts): Promise<void> {
  const nodes = await readTree(t, requestPath(id));
  const before = look.nodes;
  if (nodes === null || before === null) throw new Missed();
  const names = Object.keys(nodes);
  const same = names.length === Object.keys(before).length &&
    names.every((name) => nodes[name] === before[name]);
  if (!same) throw new Missed();
}

/** Writes node `state` if the rules allow it, and the request is the one that is meant. */
async function setState(
  t: NodeAccess,
  { id, look }: StepParts,
  step: StateStep,
  otherwise?: DriverWrite,
): ReturnType<typeof readClaim> {
  const path = requestPath(id);
  const [state, online, token, claim] = await Promise.all([
    t.readVisible(`${path}/state`),
    t.readVisible(`${path}/online`),
    t.readVisible(`${path}/token`),
    readClaim(t, id),
  ]);
  if (token === undefined || token !== (claim?.token ?? look.token)) throw new Missed();
  const now = { state: parseRequestState(state ?? "") ?? "odd" as const, online: online !== "0" };
  const write = [DRIVER_WRITES[step], otherwise].find((rule) =>
    rule !== undefined && mayWriteState(rule, now)
  );
  if (write === undefined) throw new Missed();
  await t.write(`${path}/state`, write.to);
  return claim;
}

async function tellError(t: NodeAccess, { id, error }: StepParts): Promise<void> {
  await t.write(`${requestPath(id)}/hotplug-status`, "error");
  await t.write(`${requestPath(id)}/error`, shortened(printable(error), ERROR_MAX));
}

/** At most so many bytes, and whole characters. */
function shortened(text: string, bytes: number): string {
  const { read } = new TextEncoder().encodeInto(text, new Uint8Array(bytes));
  return text.slice(0, read);
}

async function dropClaim(t: NodeAccess, id: RequestId): Promise<void> {
  await absentOrHidden(t.remove(claimPath(id)));
  await pruneOwn(t, claimPath(id), claimRoot(id.backendDomid));
}

/** Removes what is empty above a path, below a directory. */
async function pruneOwn(t: NodeAccess, path: string, root: string): Promise<void> {
  for (let above = parentPath(path); above !== null && above !== root; above = parentPath(above)) {
    const children = await absentOrHidden(t.list(above));
    if (children === undefined || children.length > 0) return;
    await absentOrHidden(t.remove(above));
  }
}

/** Tells the device's lane, by way of the store, to close and undo it. */
async function close({ store, look }: StepParts, force: boolean): Promise<boolean> {
  const { device, claim } = look;
  if (device === null || claim === null) return true;
  const directory = backendPath(device);
  const begun = await store.transaction(async (t) => {
    const [mark, state, online] = await Promise.all([
      t.readVisible(`${directory}/${REQUEST_MARK}`),
      t.readVisible(`${directory}/state`),
      t.readVisible(`${directory}/online`),
    ]);
    if (mark !== claim.token) return null;
    // Not begun yet: no kernel and no lane knows of it.
    if (state === undefined) {
      await t.remove(directory);
      await pruneOwn(t, directory, backendRoot(device.backendDomid));
      return null;
    }
    return state === "6" && online === "0" ? null : state;
  });
  if (begun === null) return true;
  await requestClose(store, device, null);
  // No backend has taken it up: there is nobody who would close it.
  if (force || begun === "1") await closeBackend(store, device, null);
  return true;
}

/**
 * Says `hotplug-status`=`disconnected` in both places: whoever watches the backend directory sees it
 * before that goes, whoever watches the request needs no more.
 */
export async function publishDisconnected(store: StoreClient, device: DeviceId): Promise<void> {
  const directory = backendPath(device);
  const request = requestPath({ ...device, kind: requestKindOf(device.kind) });
  // Devices without a request are the rule: one read for them.
  if (await absentOrHidden(store.read(`${directory}/${REQUEST_MARK}`)) === undefined) return;
  await store.transaction(async (t) => {
    const [mark, token] = await Promise.all([
      t.readVisible(`${directory}/${REQUEST_MARK}`),
      t.readVisible(`${request}/token`),
    ]);
    if (!mark) return;
    await t.write(`${directory}/hotplug-status`, "disconnected");
    if (mark === token) await t.write(`${request}/hotplug-status`, "disconnected");
  });
}
