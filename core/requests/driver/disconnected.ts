/** The last word on a device of a request, before its directory is deleted. */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import { REQUEST_MARK } from "../protocol/nodes.ts";
import { requestKindOf, requestPath } from "../protocol/paths.ts";
import { absentOrHidden } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";

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
