/** What unprivileged domains may use. */
import type { Node } from "./node.ts";

/** Limits of each unprivileged domain; 0 means none. */
export interface Quotas {
  readonly nodes: number;
  /** Size of one node, in bytes (see {@link nodeSize}). */
  readonly nodeSize: number;
  /** 4.17 grants one more than it says, and so do we. */
  readonly watches: number;
  /** Transactions open at a time; one more than that is granted. */
  readonly transactions: number;
  /** Nodes looked at in one transaction. */
  readonly transactionNodes: number;
  /** Entries of one permission list. */
  readonly permissions: number;
  /**
   * Length of a path, in bytes, not counting a leading `/local/domain/N/`; for everybody. More than
   * 3072 in all it never is.
   */
  readonly pathLength: number;
}

/** The C daemon's defaults (tools/xenstore/xenstored_core.c in Xen 4.17). */
export const DEFAULT_QUOTAS: Quotas = {
  nodes: 1000,
  nodeSize: 2048,
  watches: 128,
  transactions: 10,
  transactionNodes: 1024,
  permissions: 5,
  pathLength: 2048,
};

/** Bytes of a record's header in the C daemon's database (`struct xs_tdb_record_hdr`). */
const RECORD_HEADER = 24;

/** Bytes of one permission entry there (`struct xs_permissions`). */
const RECORD_PERMISSION = 8;

/**
 * Size of a node as the C daemon counts it, in bytes.
 * @param child name of a child more than it has
 */
export function nodeSize(
  node: Pick<Node, "value" | "permissions" | "children">,
  child?: string,
): number {
  let size = RECORD_HEADER + RECORD_PERMISSION * node.permissions.length + node.value.length;
  for (const name of node.children) size += name.length + 1;
  if (child !== undefined) size += child.length + 1;
  return size;
}

/** Whether a count that is about to be reached is over a limit. */
export function exceeds(count: number, limit: number): boolean {
  return limit !== 0 && count > limit;
}
