/** Nodes, and how operations see them. */
import type { Permission } from "../../core/xenstore/permissions.ts";

/** An entry of a node's list. */
export interface NodePermission extends Permission {
  /**
   * Whether it names a domain that did not exist when it was set, or has died since: it is still
   * told, but grants nothing, so that whoever gets the domid next gains nothing.
   */
  readonly ignored?: boolean;
}

/** A node. Never changed in place but for `children`, and that only while it is not `shared`. */
export interface Node {
  readonly value: Uint8Array;
  readonly permissions: readonly NodePermission[];
  /** Names, in the order of their creation. */
  readonly children: Set<string>;
  /** Moves with the value, the permissions and the set of children, not with grandchildren. */
  readonly generation: number;
  /** Whether a transaction holds on to this object. */
  shared: boolean;
}

/** Where operations read and write: the live tree, or a transaction's picture of it. */
export interface NodeView {
  get(path: string): Node | undefined;
  /** Replaces or creates one node; the parent is not touched. */
  put(path: string, node: Omit<Node, "generation" | "shared">): void;
  /** Forgets one node; parent and children are not touched. */
  drop(path: string): void;
}
