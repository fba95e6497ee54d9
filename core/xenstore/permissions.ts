/**
 * Permission lists of nodes (docs/misc/xenstore.txt): entry 0 names the owner and the default for
 * everybody else, further entries name single domains. Pure.
 */
import { own } from "../../contract/v1/own.ts";
import { ArgumentError, ProtocolError } from "./errors.ts";

/** What an entry grants: nothing, reading, writing, or both. */
export type Access = "none" | "read" | "write" | "both";

/** One entry of a permission list. */
export interface Permission {
  /** 0 … 65535; as told by a store, any 32-bit number, signed. In entry 0 the owner. */
  readonly domid: number;
  /** In entry 0 what domains get that no other entry names. */
  readonly access: Access;
}

const letters: Readonly<Record<Access, string>> = { none: "n", read: "r", write: "w", both: "b" };
const accesses: Readonly<Record<string, Access>> = { n: "none", r: "read", w: "write", b: "both" };

/** Text form as on the wire, such as `r7`. */
export function formatPermission(permission: Permission): string {
  return letters[permission.access] + permission.domid;
}

/** @throws ArgumentError unless the text is a letter of `nrwb` and a decimal domid 0 … 65535 */
export function parsePermission(text: string): Permission {
  const match = /^([nrwb])(\d{1,5})$/.exec(text);
  const domid = Number(match?.[2]);
  const access = own(accesses, match?.[1] ?? "");
  if (access === undefined || !(domid <= 0xffff)) {
    throw new ArgumentError(
      `invalid permission ${JSON.stringify(text)}: expected n, r, w or b and a domid, such as r7`,
    );
  }
  return { domid, access };
}

/**
 * An entry as stores tell it: the C daemon takes any 32-bit number from whoever owns the node, which
 * others have to be able to read.
 * @throws ProtocolError
 */
export function toldPermission(text: string): Permission {
  const match = /^([nrwb])(-?\d{1,10})$/.exec(text);
  const access = own(accesses, match?.[1] ?? "");
  if (access === undefined) {
    throw new ProtocolError(`the store tells of a permission ${JSON.stringify(text)}`);
  }
  return { domid: Number(match?.[2]), access };
}

/** Several entries, separated by commas or blanks, such as `n1,r7`. */
export function parsePermissions(text: string): Permission[] {
  return text.split(/[\s,]+/).filter((word) => word !== "").map(parsePermission);
}

export function mayRead(access: Access): boolean {
  return access === "read" || access === "both";
}

export function mayWrite(access: Access): boolean {
  return access === "write" || access === "both";
}
