/** The toolstack's steps, each one transaction that looks again at what it depends on. */
import { backendPath } from "../../xen/device_id.ts";
import { REQUEST_MARK } from "../protocol/nodes.ts";
import { backendKindsFor, type RequestId } from "../protocol/paths.ts";
import { mayStep, type ToolstackStep } from "../protocol/toolstack_machine.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Transaction } from "../../xenstore/transaction.ts";
import { carryOut } from "../../toolstack/carry_out.ts";
import { removeAndPrune } from "../../toolstack/prune.ts";
import { devicePaths, lookAtRequest, type RequestLook } from "./look.ts";
import { type DeviceRequest, publishSteps, requestSteps } from "./plan.ts";

/** What `create` needs. */
export interface Creation {
  readonly request: DeviceRequest;
  readonly token: string;
  readonly hold: boolean;
}

/**
 * Does a step, unless what it expects is no more.
 * @param token of the request that is meant; null: whichever there is
 * @returns whether it was done
 */
export async function performStep(
  store: StoreClient,
  id: RequestId,
  step: ToolstackStep,
  token: string | null,
  creation?: Creation,
): Promise<boolean> {
  return await store.transaction(async (t) => {
    const look = await lookAtRequest(t, id);
    if (!mayStep(step, look.seen)) return false;
    if (step !== "create" && token !== null && look.token !== token) return false;
    await STEPS[step](t, id, look, creation);
    return true;
  });
}

type Work = (
  t: Transaction,
  id: RequestId,
  look: RequestLook,
  creation: Creation | undefined,
) => Promise<void>;

const STEPS: Readonly<Record<ToolstackStep, Work>> = {
  async create(t, id, _, creation) {
    if (creation === undefined) throw new TypeError("nothing to create");
    const { request, token, hold } = creation;
    await carryOut(t, requestSteps(request, devicePaths(id).record, token, hold));
  },

  async publish(t, id, { report, nodes }) {
    if (report.device === undefined) throw new TypeError("no credible backend");
    await carryOut(t, publishSteps(id, report.device, nodes, devicePaths(id)));
  },

  async withdraw(t, id) {
    await t.write(`${devicePaths(id).request}/online`, "0");
  },

  async force(t, id, { seen }) {
    const { request, frontend } = devicePaths(id);
    await t.write(`${request}/online`, "0");
    await t.write(`${request}/force`, "1");
    if (seen.record === "ours") await removeAndPrune(t, frontend);
  },

  clean: removeAll,

  async abandon(t, id, look) {
    for (const kind of backendKindsFor(id.kind)) {
      const directory = backendPath({ ...id, kind });
      const mark = await t.readVisible(`${directory}/${REQUEST_MARK}`);
      if (mark === look.token) await removeAndPrune(t, directory);
    }
    await removeAll(t, id, look);
  },
};

async function removeAll(t: Transaction, id: RequestId, { seen }: RequestLook): Promise<void> {
  const { frontend, record, request } = devicePaths(id);
  if (seen.record === "ours") {
    await removeAndPrune(t, frontend);
    await removeAndPrune(t, record);
  }
  await removeAndPrune(t, request);
}
