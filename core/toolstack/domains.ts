/** Domains by name or domid, and what kind of guest one is. */
import { CodedError } from "../messages/error.ts";
import { DOMID_MAX, parseDecimal } from "../xen/device_id.ts";
import { absent, type NodeAccess } from "../xenstore/access.ts";
import { isServerError } from "../xenstore/errors.ts";
import { quoted, visible } from "../log/quoted.ts";
import { deviceLabel, type Named, shownName } from "../xen/device_label.ts";
import { domainPath } from "../xenstore/paths.ts";

/** How a guest is virtualised. */
export type GuestType = "pv" | "pvh" | "hvm";

const GUEST_TYPES: readonly GuestType[] = ["pv", "pvh", "hvm"];

/**
 * A domain's domid. A text of digits is a domid, as it is to `xl`.
 * @throws CodedError `no domain` when there is none such, or more than one; `not permitted` in a
 *   domain that cannot see it
 */
export async function resolveDomain(store: NodeAccess, text: string): Promise<number> {
  if (/^\d+$/.test(text)) {
    // As `xl`, which also takes leading zeros.
    const domid = parseDecimal(text.replace(/^0+(?=\d)/, ""), DOMID_MAX);
    const known = domid !== undefined && await seen(text, store.read(`/local/domain/${domid}`));
    if (known) return domid;
    throw new CodedError("no-such-domain", `there is no domain ${visible(text.slice(0, 80))}`);
  }
  const found = text === "" ? [] : await domainsNamed(store, text);
  const [first, ...others] = found;
  if (first === undefined) {
    throw new CodedError(
      "no-such-domain",
      `there is no domain ${quoted(text)}; expected a domid or the name of a domain`,
    );
  }
  if (others.length > 0) {
    const list = found.join(", ");
    throw new CodedError(
      "no-such-domain",
      `several domains are called ${quoted(text)}: ${list}; expected one of these domids`,
    );
  }
  return first;
}

/** What is read of a domain. @throws CodedError when it is hidden */
async function seen<T>(text: string, reading: Promise<T>): Promise<T | undefined> {
  try {
    return await absent(reading);
  } catch (error) {
    if (!isServerError(error, "EACCES", "EPERM")) throw error;
    throw new CodedError(
      "not-permitted",
      `this domain cannot see whether there is a domain ${quoted(text)}: run it in the ` +
        "toolstack's, domain 0",
    );
  }
}

async function domainsNamed(store: NodeAccess, name: string): Promise<number[]> {
  const texts = await seen(name, store.list("/local/domain")) ?? [];
  const names = await Promise.all(
    texts.map((text) => store.readVisible(`/local/domain/${text}/name`)),
  );
  return texts.filter((_, index) => names[index] === name).map(Number);
}

/** A domain's name; its domid as a text when it has none, or one that is hidden. */
export async function domainName(store: NodeAccess, domid: number): Promise<string> {
  const name = await store.readVisible(`/local/domain/${domid}/name`);
  return name || String(domid);
}

/** All domains that are known, by domid. */
export async function knownDomains(store: NodeAccess): Promise<number[]> {
  const texts = await absent(store.list("/local/domain")) ?? [];
  return texts.map((text) => parseDecimal(text, DOMID_MAX)).filter((domid) => domid !== undefined)
    .sort((a, b) => a - b);
}

/** As libxl has recorded it (libxl_create.c); `pv` where it has not. */
export async function guestTypeOf(store: NodeAccess, domid: number): Promise<GuestType> {
  const text = await store.readVisible(`/libxl/${domid}/type`);
  return GUEST_TYPES.find((type) => type === text) ?? "pv";
}

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

/** A domain's name; undefined when it has none, or one that cannot be read. */
export async function nameIn(store: NodeAccess, domid: number): Promise<string | undefined> {
  return await store.readVisible(`${domainPath(domid)}/name`).catch(() => undefined) || undefined;
}
