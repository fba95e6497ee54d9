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
  /** The node before it was removed, for the permission filter of its events. */
  last: Node | undefined;
}

/** An event that a commit causes. */
export interface Announcement {
  readonly path: string;
  readonly exact: boolean;
  readonly node: Node;
}

/** Remembers every node looked at with its generation; commits only if none has moved since. */
export class ServerTransaction implements NodeView {
  readonly id: number;
  readonly #tree: Tree;
  readonly #limit: number;
  readonly #seen = new Map<string, Access>();
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
    access.node = { ...node, generation: access.generation, shared: true };
    access.modified = true;
  }

  drop(path: string): void {
    const access = this.#access(path);
    access.last = access.node;
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

  /** How many nodes more a domain owns when this is committed; negative for fewer. */
  gainedBy(domid: number): number {
    const owns = (node: Node | undefined) => node?.permissions[0]?.domid === domid ? 1 : 0;
    let gained = 0;
    for (const { first, node } of this.#seen.values()) gained += owns(node) - owns(first);
    return gained;
  }

  /**
   * Applies everything to the live tree.
   * @returns what to announce, in the order in which the paths were first looked at
   * @throws Failure EAGAIN when a node that was looked at has changed
   */
  commit(): Announcement[] {
    for (const [path, { generation }] of this.#seen) {
      if ((this.#tree.get(path)?.generation ?? 0) !== generation) throw new Failure("EAGAIN");
    }
    const announcements: Announcement[] = [];
    for (const [path, access] of this.#seen) {
      if (access.modified) {
        if (access.node === undefined) this.#tree.drop(path);
        else this.#tree.put(path, { ...access.node, children: new Set(access.node.children) });
      }
      const node = access.node ?? access.last;
      if (access.announce !== "no" && node !== undefined) {
        announcements.push({ path, exact: access.announce === "exact", node });
      }
    }
    return announcements;
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
        last: undefined,
      };
      this.#seen.set(path, access);
    }
    return access;
  }
}
