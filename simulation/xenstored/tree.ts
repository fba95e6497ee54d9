/** The tree of nodes, and the generations that tell transactions of conflicts. */
import { baseName, joinPath, parentPath } from "../../core/xenstore/paths.ts";
import type { Node, NodePermission, NodeView } from "./node.ts";

/** Owner 0, and nobody else: what a fresh store gives its first nodes. */
const CONTROL_ONLY: readonly NodePermission[] = [{ domid: 0, access: "none" }];

/** The live tree. */
export class Tree implements NodeView {
  readonly #nodes = new Map<string, Node>();
  /** How many nodes each domain owns. */
  readonly #owned = new Map<number, number>();
  #generation = 0;

  /** A fresh store has `/`, `/tool` and `/tool/xenstored`, as the C daemon's. */
  constructor() {
    const empty = new Uint8Array(0);
    for (
      const [path, ...children] of [["/", "tool"], ["/tool", "xenstored"], ["/tool/xenstored"]]
    ) {
      this.put(path!, { value: empty, permissions: CONTROL_ONLY, children: new Set(children) });
    }
  }

  get(path: string): Node | undefined {
    return this.#nodes.get(path);
  }

  put(path: string, node: Omit<Node, "generation" | "shared">): void {
    const { value, permissions, children } = node;
    this.#count(this.#nodes.get(path), -1);
    this.#count(node, 1);
    const generation = ++this.#generation;
    this.#nodes.set(path, { value, permissions, children, generation, shared: false });
  }

  /**
   * Has the entries of a domain that has died ignored. To transactions that is no change: the C
   * daemon finds it out anew whenever it reads a node.
   */
  ignoreDomain(path: string, domid: number): void {
    const node = this.#nodes.get(path);
    if (node === undefined) return;
    const { value, children, generation } = node;
    const permissions = withoutDomain(node.permissions, domid);
    // A transaction that holds on to the old object holds on to its children, too.
    const own = node.shared ? new Set(children) : children;
    this.#nodes.set(path, { value, permissions, children: own, generation, shared: false });
  }

  drop(path: string): void {
    this.#count(this.#nodes.get(path), -1);
    this.#nodes.delete(path);
  }

  /** Nodes that a domain owns. */
  ownedBy(domid: number): number {
    return this.#owned.get(domid) ?? 0;
  }

  #count(node: Pick<Node, "permissions"> | undefined, change: 1 | -1): void {
    const owner = node?.permissions[0]?.domid;
    if (owner === undefined) return;
    const owned = this.ownedBy(owner) + change;
    if (owned === 0) this.#owned.delete(owner);
    else this.#owned.set(owner, owned);
  }
}

/** A permission list in which the entries of a domain are ignored. */
export function withoutDomain(
  permissions: readonly NodePermission[],
  domid: number,
): NodePermission[] {
  return permissions.map((entry) => entry.domid === domid ? { ...entry, ignored: true } : entry);
}

/** Replaces some properties of an existing node. */
export function change(
  view: NodeView,
  path: string,
  node: Node,
  what: Partial<Pick<Node, "value" | "permissions" | "children">>,
): void {
  view.put(path, {
    value: what.value ?? node.value,
    permissions: what.permissions ?? node.permissions,
    children: what.children ?? node.children,
  });
}

/** Enters a child into its parent, which must exist. */
export function addChild(view: NodeView, path: string): void {
  changeChildren(view, path, (children, name) => children.add(name));
}

/** Strikes a child from its parent, if that exists. */
export function removeChild(view: NodeView, path: string): void {
  changeChildren(view, path, (children, name) => children.delete(name));
}

function changeChildren(
  view: NodeView,
  path: string,
  edit: (children: Set<string>, name: string) => void,
): void {
  const parent = parentPath(path);
  const node = parent === null ? undefined : view.get(parent);
  if (parent === null || node === undefined) return;
  const children = node.shared ? new Set(node.children) : node.children;
  edit(children, baseName(path));
  change(view, parent, node, { children });
}

/**
 * Removes a node with all below it, innermost first: children before their parents.
 * @param removed told each node that is gone, as it was; its parent is still there
 */
export function removeTree(
  view: NodeView,
  path: string,
  removed: (path: string, node: Node) => void,
): void {
  // The C daemon looks at the parent before it looks below: that is the order of a commit's events.
  view.get(parentPath(path) ?? "/");
  const walk = (at: string): void => {
    const node = view.get(at);
    if (node === undefined) return;
    for (const name of node.children) walk(joinPath(at, name));
    view.drop(at);
    removed(at, node);
  };
  walk(path);
  removeChild(view, path);
}

/** Paths of a node's descendants, children first in their order, each followed by its own. */
export function descendants(view: NodeView, path: string): string[] {
  const found: string[] = [];
  const walk = (at: string) => {
    for (const name of view.get(at)?.children ?? []) {
      const child = joinPath(at, name);
      found.push(child);
      walk(child);
    }
  };
  walk(path);
  return found;
}
