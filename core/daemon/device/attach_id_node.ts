/**
 * The node that marks the directory of one attach, in every backend directory that we serve: only it
 * tells a directory from another one of the same name and content.
 */
import { backendPath, type DeviceId } from "../../xen/device_id.ts";
import type { NodeAccess } from "../../xenstore/access.ts";

/** Its name. */
export const ATTACH_ID_NODE = "xdevd-attach";

/** The attach id of a directory; undefined without one, or without directory. */
export async function readAttachId(store: NodeAccess, id: DeviceId): Promise<string | undefined> {
  return await store.readVisible(`${backendPath(id)}/${ATTACH_ID_NODE}`);
}
