/** Domains by name or domid, and what kind of guest one is. */
import { DOMID_MAX, parseDecimal } from "../../device/id.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import { quoted } from "../spec_error.ts";
import { ToolstackError } from "./error.ts";

/** How a guest is virtualised. */
export type GuestType = "pv" | "pvh" | "hvm";

const GUEST_TYPES: readonly GuestType[] = ["pv", "pvh", "hvm"];

/**
 * A domain's domid. A text of digits is a domid, as it is to `xl`.
 * @throws ToolstackError when there is no such domain, or more than one
 */
export async function resolveDomain(store: NodeAccess, text: string): Promise<number> {
  const domid = parseDecimal(text, DOMID_MAX);
  if (domid !== undefined) {
    if (await absentOrHidden(store.read(`/local/domain/${domid}`)) !== undefined) return domid;
    throw new ToolstackError("no domain", `there is no domain ${domid}`);
  }
  const found = await domainsNamed(store, text);
  const [first, ...others] = found;
  if (first === undefined) {
    throw new ToolstackError(
      "no domain",
      `there is no domain ${quoted(text)}; expected a domid or the name of a domain`,
    );
  }
  if (others.length > 0) {
    const list = found.join(", ");
    throw new ToolstackError("no domain", `several domains are called ${quoted(text)}: ${list}`);
  }
  return first;
}

async function domainsNamed(store: NodeAccess, name: string): Promise<number[]> {
  const texts = await absentOrHidden(store.list("/local/domain")) ?? [];
  const names = await Promise.all(
    texts.map((text) => absentOrHidden(store.readText(`/local/domain/${text}/name`))),
  );
  return texts.filter((_, index) => names[index] === name).map(Number);
}

/** A domain's name; its domid as a text when it has none, or one that is hidden. */
export async function domainName(store: NodeAccess, domid: number): Promise<string> {
  const name = await absentOrHidden(store.readText(`/local/domain/${domid}/name`));
  return name || String(domid);
}

/** All domains that are known, by domid. */
export async function knownDomains(store: NodeAccess): Promise<number[]> {
  const texts = await absentOrHidden(store.list("/local/domain")) ?? [];
  return texts.map((text) => parseDecimal(text, DOMID_MAX)).filter((domid) => domid !== undefined)
    .sort((a, b) => a - b);
}

/** As libxl has recorded it (libxl_create.c); `pv` where it has not. */
export async function guestTypeOf(store: NodeAccess, domid: number): Promise<GuestType> {
  const text = await absentOrHidden(store.readText(`/libxl/${domid}/type`));
  return GUEST_TYPES.find((type) => type === text) ?? "pv";
}
