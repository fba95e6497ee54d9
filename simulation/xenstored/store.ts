/**
 * What a server keeps: the tree, the domains, the connections; and who is told when they change. It
 * knows nothing of hypervisors: domains are what it is told.
 */
import { parentPath } from "../../core/xenstore/paths.ts";
import type { ServerConnection } from "./connection.ts";
import type { Node, NodePermission } from "./node.ts";
import { DEFAULT_QUOTAS, type Quotas } from "./quotas.ts";
import { grants } from "./rights.ts";
import { descendants, removeTree, Tree, withoutDomain } from "./tree.ts";

/** How a store behaves. */
export interface ServerOptions {
  readonly quotas?: Partial<Quotas>;
  /** Whether an event equal to one still waiting for its reader is dropped; default true, as C. */
  readonly coalesce?: boolean;
}

/** What happens to domains, for whoever offers sockets for them. A promise is waited for. */
export interface DomainEvents {
  introduced(domid: number): void | Promise<void>;
  released(domid: number): void | Promise<void>;
}

/** Special nodes that can be watched and have permissions. */
export type SpecialName = "@introduceDomain" | "@releaseDomain";

/** A store. Operations and connections are told of it; it answers no request itself. */
export class Store {
  readonly tree: Tree = new Tree();
  readonly quotas: Quotas;
  readonly special: Record<SpecialName, readonly NodePermission[]> = {
    "@introduceDomain": [{ domid: 0, access: "none" }],
    "@releaseDomain": [{ domid: 0, access: "none" }],
  };
  /** See {@link ServerOptions}. */
  protected readonly coalesce: boolean;
  protected readonly connections = new Set<ServerConnection>();
  readonly #domains = new Set<number>([0]);
  protected readonly targets = new Map<number, number>();
  readonly #listeners = new Set<DomainEvents>();

  constructor(options: ServerOptions = {}) {
    this.quotas = { ...DEFAULT_QUOTAS, ...options.quotas };
    this.coalesce = options.coalesce ?? true;
  }

  /** Domains that are introduced; 0 always is. */
  get domains(): ReadonlySet<number> {
    return this.#domains;
  }

  /** Tells of domains that come and go; returns how to stop that. */
  onDomains(events: DomainEvents): () => void {
    this.#listeners.add(events);
    return () => this.#listeners.delete(events);
  }

  /**
   * A domain comes into being, as by INTRODUCE. Introducing it again is its reboot: its connections
   * are cut, and nothing else happens.
   * @returns resolved when its clients can connect, which is also when `@introduceDomain` fires
   *   (at once if nobody offers sockets); rejected with what kept its socket from being made, and
   *   then the domain is not introduced
   */
  async introduce(domid: number): Promise<void> {
    if (this.#domains.has(domid)) {
      if (domid !== 0) this.#cut(domid);
      return;
    }
    this.#domains.add(domid);
    const waiting = this.#tell((listener) => listener.introduced(domid));
    try {
      if (waiting.length > 0) await Promise.all(waiting);
    } catch (error) {
      this.#domains.delete(domid);
      throw error;
    }
    this.fireSpecial("@introduceDomain");
  }

  /**
   * The store lets go of a domain, by RELEASE or because it died; it cannot tell the two apart. At
   * once its connections are cut, the nodes it owned are deleted, its entries in the permissions of
   * others are ignored from now on, and `@releaseDomain` fires.
   * @returns resolved when its clients can connect no more
   */
  async destroy(domid: number): Promise<void> {
    if (domid === 0 || !this.#domains.delete(domid)) return;
    this.targets.delete(domid);
    this.#cut(domid);
    this.#forgetOwner(domid);
    const waiting = this.#tell((listener) => listener.released(domid));
    this.fireSpecial("@releaseDomain");
    await Promise.all(waiting);
  }

  /** A domain shuts down or crashes, and goes on existing: only `@releaseDomain` fires. */
  shutDown(domid: number): void {
    if (this.#domains.has(domid)) this.fireSpecial("@releaseDomain");
  }

  /** Gives a domain the rights of another, from its next operation on. */
  setTarget(domid: number, target: number): void {
    this.targets.set(domid, target);
    for (const connection of this.connections) {
      if (connection.domid === domid) connection.target = target;
    }
  }

  /** Cuts all connections. */
  close(): void {
    for (const connection of [...this.connections]) connection.close();
  }

  /** Transactions and watches of all connections of a domain, which share its quota. */
  used(domid: number, what: "watches" | "transactions"): number {
    let count = 0;
    for (const connection of this.connections) {
      if (connection.domid !== domid) continue;
      count += what === "watches" ? connection.watches.size : connection.transactions.size;
    }
    return count;
  }

  /**
   * Sends the events of one change to those who watch it and may know of it.
   * @param exact whether only watches on this very path are concerned (it went with its parent)
   * @param node the node as it is, or was just before it was removed; undefined if it is known no
   *   more, and then only those hear of it that `before` lets read it
   * @param before its permissions before they were changed, if they were
   */
  fire(
    path: string,
    exact: boolean,
    node: Node | undefined,
    before?: readonly NodePermission[],
  ): void {
    for (const connection of this.connections) {
      const watches = exact ? connection.watches.on(path) : connection.watches.above(path);
      if (watches.length === 0 || !this.#maySee(connection, path, node, before)) continue;
      for (const watch of watches) connection.event(path, watch);
    }
  }

  /** Fires a special watch, at those who may read it. */
  fireSpecial(name: SpecialName): void {
    for (const connection of this.connections) {
      if (!grants(this.special[name], connection, "read")) continue;
      for (const watch of connection.watches.on(name)) connection.event(name, watch);
    }
  }

  #maySee(
    connection: ServerConnection,
    path: string,
    node: Node | undefined,
    before: readonly NodePermission[] | undefined,
  ): boolean {
    if (before !== undefined && grants(before, connection, "read")) return true;
    if (node === undefined) return false;
    if (grants(node.permissions, connection, "read")) return true;
    const parent = this.tree.get(parentPath(path) ?? "/");
    return parent !== undefined && grants(parent.permissions, connection, "read");
  }

  #cut(domid: number): void {
    for (const connection of [...this.connections]) {
      if (connection.domid === domid) connection.close();
    }
  }

  /** Tells all listeners; returns what they have yet to do. */
  #tell(of: (listener: DomainEvents) => void | Promise<void>): Promise<void>[] {
    return [...this.#listeners].map(of).filter((done) => done !== undefined);
  }

  /** Nodes that die with their owner are announced like any removal, and before `@releaseDomain`. */
  #forgetOwner(domid: number): void {
    for (const path of ["/", ...descendants(this.tree, "/")]) {
      const node = this.tree.get(path);
      if (node === undefined) continue;
      if (node.permissions[0]?.domid === domid) {
        removeTree(this.tree, path, (at, was) => this.fire(at, at !== path, was));
      } else if (node.permissions.some((entry) => entry.domid === domid)) {
        this.tree.ignoreDomain(path, domid);
      }
    }
    for (const name of ["@introduceDomain", "@releaseDomain"] as const) {
      // When their owner dies they are domain 0's again; what everybody may do stays.
      this.special[name] = withoutDomain(this.special[name], domid).map((entry, at) =>
        at === 0 && entry.domid === domid ? { domid: 0, access: entry.access } : entry
      );
    }
  }
}
