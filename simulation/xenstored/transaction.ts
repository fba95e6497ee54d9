/** One transaction: a picture of the tree, and what it changes. */
import { Failure } from "./failure.ts";
import type { Node, NodeView } from "./node.ts";
import { exceeds } from "./quotas.ts";
import type { Tree } from "./tree.ts";

/** What a transaction knows of a path it has looked at. */
interface Access {
  /** Generation at the first look; 0 for a node that did not exist. */
  readonly generation: number;
  /** The node at the first look. */
  readonly first: Node | undefined;
  /** How the transaction sees it. */
  node: Node | undefined;
  modified: boolean;
  /** Whether its change is announced at the commit, and to whom: only to watches on this very path? */
  announce: "no" | "exact" | "below";
}

/** Tells of one node that a commit has just changed. */
export type Announce = (
  path: string,
  /** Whether only watches on this very path are concerned. */
  exact: boolean,
  /** The node as the transaction saw it first, if it existed. */
  before: Node | undefined,
) => void;

/** Remembers every node looked at with its generation; commits only if none has moved since. */
export class ServerTransaction implements NodeView {
  readonly id: number;
  readonly #tree: Tree;
  readonly #limit: number;
  readonly #seen = new Map<string, Access>();
  /**
   * Domains that have become or ceased to be the owner of a node here, and how many nodes more each
   * owns if this is committed; 0 or fewer is possible.
   */
  readonly owners = new Map<number, number>();
  /** Whether a node was created here, be it there any more or not. */
  created = false;
  /** A quota was hit: the commit will fail with this. */
  broken: string | null = null;

  /** @param limit nodes that may be looked at, 0 for any number */
  constructor(id: number, tree: Tree, limit: number) {
    this.id = id;
    this.#tree = tree;
    this.#limit = limit;
  }

  get(path: string): Node | undefined {
    return this.#access(path).node;
  }

  put(path: string, node: Omit<Node, "generation" | "shared">): void {
    const access = this.#access(path);
    if (access.node === undefined) this.created = true;
    if (access.node?.permissions !== node.permissions) {
      this.#count(access.node, -1);
      this.#count(node, 1);
    }
    access.node = { ...node, generation: access.generation, shared: true };
    access.modified = true;
  }

  drop(path: string): void {
    const access = this.#access(path);
    this.#count(access.node, -1);
    access.node = undefined;
    access.modified = true;
  }

  /** Notes that a path's change is to be announced at the commit. */
  announce(path: string, exact: boolean): void {
    const access = this.#access(path);
    if (access.announce !== "below") access.announce = exact ? "exact" : "below";
  }

  /** @throws Failure ENOMEM when a quota was hit, after which it cannot be committed */
  checkWhole(): void {
    if (this.broken !== null) throw new Failure(this.broken);
  }

  /**
   * Applies everything to the live tree, node by node, in the order in which the paths were first
   * looked at. Each change is told at once, as the C daemon does it: who may know of it depends on
   * what the tree is like between this node and the next.
   * @throws Failure EAGAIN when a node that was looked at has changed
   */
  commit(announce: Announce): void {
    for (const [path, { generation }] of this.#seen) {
      if ((this.#tree.get(path)?.generation ?? 0) !== generation) throw new Failure("EAGAIN");
    }
    for (const [path, access] of this.#seen) {
      if (!access.modified) continue;
      if (access.node === undefined) this.#tree.drop(path);
      else this.#tree.put(path, { ...access.node, children: new Set(access.node.children) });
      if (access.announce !== "no") announce(path, access.announce === "exact", access.first);
    }
  }

  #count(node: Pick<Node, "permissions"> | undefined, change: 1 | -1): void {
    const owner = node?.permissions[0]?.domid;
    if (owner !== undefined) this.owners.set(owner, (this.owners.get(owner) ?? 0) + change);
  }

  #access(path: string): Access {
    let access = this.#seen.get(path);
    if (access === undefined) {
      if (exceeds(this.#seen.size + 1, this.#limit)) {
        this.broken = "ENOMEM";
        throw new Failure("ENOSPC");
      }
      const node = this.#tree.get(path);
      if (node !== undefined) node.shared = true;
      access = {
        generation: node?.generation ?? 0,
        first: node,
        node,
        modified: false,
        announce: "no",
      };
      this.#seen.set(path, access);
    }
    return access;
  }
}
