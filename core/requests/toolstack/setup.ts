/** What a driver domain needs to take requests, and who takes them. */
import { CodedError } from "../../messages/error.ts";
import { backendRoot } from "../../xen/device_id.ts";
import { readable, writable } from "../protocol/nodes.ts";
import { presencePath, type RequestId, requestOfPath, requestRoot } from "../protocol/paths.ts";
import { readRequest } from "./run.ts";
import { line, parseReport, type RequestReport } from "../protocol/request.ts";
import { type NodeAccess } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { domainPath } from "../../xenstore/paths.ts";
import type { Permission } from "../../xenstore/permissions.ts";

/** Value of the root of backends. */
const KEPT = "requests";

const PRIVATE: Permission[] = [{ domid: 0, access: "none" }];

/**
 * Grants a driver domain what it needs; may be done again at any time.
 * @throws CodedError `no domain`; StoreError
 */
export async function setUpRequests(store: StoreClient, backendDomid: number): Promise<void> {
  await store.transaction(async (t) => {
    if (!await t.exists(domainPath(backendDomid))) {
      throw new CodedError("no-such-domain", `there is no domain ${backendDomid}`);
    }
    await grant(t, "/hotplug", PRIVATE);
    await grant(t, "/hotplug/domain", PRIVATE);
    await grant(t, requestRoot(backendDomid), readable(backendDomid));
    await grant(t, presencePath(backendDomid), writable(backendDomid));
    const root = backendRoot(backendDomid);
    await grant(t, root, writable(backendDomid));
    // With a value it stays when the last device goes (libxl_xshelp.c, `libxl__xs_path_cleanup`).
    if (await t.readText(root) === "") await t.write(root, KEPT);
    // What a toolstack has made there before is not the driver domain's to write.
    for (const kind of await t.list(root)) {
      await grant(t, `${root}/${kind}`, writable(backendDomid));
      for (const guest of await t.list(`${root}/${kind}`)) {
        await grant(t, `${root}/${kind}/${guest}`, writable(backendDomid));
      }
    }
  });
}

async function grant(t: NodeAccess, path: string, permissions: Permission[]): Promise<void> {
  await t.makeDirectory(path);
  const now = await t.getPermissions(path);
  // What the driver domain has made itself is its own.
  if (now[0]?.domid !== 0) return;
  await t.setPermissions(path, permissions);
}

/** What a driver domain's daemon says of itself; undefined when none takes requests. */
export async function requestDaemon(
  store: StoreClient,
  backendDomid: number,
): Promise<string | undefined> {
  return line(await store.readVisible(presencePath(backendDomid)));
}

/** A request, and what its driver domain says of it. */
export interface ListedRequest {
  readonly id: RequestId;
  readonly online: boolean;
  readonly report: RequestReport;
}

/** All requests to a driver domain, or to all. */
export async function listRequests(
  store: StoreClient,
  backendDomid?: number,
): Promise<ListedRequest[]> {
  const domids = backendDomid === undefined
    ? await store.listOptional("/hotplug/domain")
    : [String(backendDomid)];
  const found: ListedRequest[] = [];
  for (const domid of domids) {
    const root = requestRoot(Number(domid));
    for (const kind of await store.listOptional(root)) {
      // Its own: it may have put anything below it.
      if (`${root}/${kind}` === presencePath(Number(domid))) continue;
      for (const guest of await store.listOptional(`${root}/${kind}`)) {
        for (const devid of await store.listOptional(`${root}/${kind}/${guest}`)) {
          const id = requestOfPath(`${root}/${kind}/${guest}/${devid}`, root, Number(domid));
          if (id === undefined) continue;
          const nodes = await readRequest(store, id);
          if (nodes === null) continue;
          found.push({ id, online: nodes["online"] !== "0", report: parseReport(nodes, id) });
        }
      }
    }
  }
  return found;
}
