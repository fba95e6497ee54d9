/** What devices and domains are called in what people are told; read when there is something to tell. */
import { deviceLabel, type Named, shownName } from "../xen/device_label.ts";
import type { NodeAccess } from "../xenstore/access.ts";
import { domainPath } from "../xenstore/paths.ts";

/** A device and the domains that it is between. */
export interface Names {
  /** `web: xvdb (vbd/7/51728)`. */
  readonly device: string;
  /** `domain web (7)`, or `domain 7`. */
  readonly guest: string;
  readonly driver: string;
}

/** Names of a device; of what cannot be read, its number is the name. */
export async function namesOf(
  store: NodeAccess,
  id: Named & { readonly backendDomid?: number },
): Promise<Names> {
  const { frontendDomid, backendDomid } = id;
  const [guest, driver] = await Promise.all(
    [frontendDomid, backendDomid].map((domid) =>
      domid === undefined ? undefined : nameIn(store, domid)
    ),
  );
  return {
    device: deviceLabel(id, guest),
    guest: numbered(frontendDomid, guest),
    driver: backendDomid === undefined ? "its driver domain" : numbered(backendDomid, driver),
  };
}

/** A domain: `domain web (7)`, or `domain 7`. */
export async function nameOfDomain(store: NodeAccess, domid: number): Promise<string> {
  return numbered(domid, await nameIn(store, domid));
}

function numbered(domid: number, name: string | undefined): string {
  return name === undefined ? `domain ${domid}` : `domain ${shownName(name)} (${domid})`;
}

async function nameIn(store: NodeAccess, domid: number): Promise<string | undefined> {
  return await store.readVisible(`${domainPath(domid)}/name`).catch(() => undefined) || undefined;
}
