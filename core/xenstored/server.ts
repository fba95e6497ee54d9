/**
 * A xenstore server, compatible with the C daemon of Xen 4.17 as far as its conformance tests show.
 * For tests, demonstrations and development: it knows nothing of hypervisors, and domains are what
 * it is told.
 */
import type { ByteStream } from "../platform/types.ts";
import type { Message } from "../xenstore/codec.ts";
import { opName } from "../xenstore/operations.ts";
import { parentPath } from "../xenstore/paths.ts";
import { ServerConnection } from "./connection.ts";
import { Failure } from "./failure.ts";
import { handlers } from "./handlers.ts";
import { DEFAULT_QUOTAS, type Quotas } from "./quotas.ts";
import { grants, type NodePermission } from "./rights.ts";
import { descendants, type Node, removeChild, Tree } from "./tree.ts";

/** How a server behaves. */
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

/** A server. All its work is done in the callbacks of its connections' streams. */
export class XenstoreServer {
  readonly tree: Tree = new Tree();
  readonly quotas: Quotas;
  readonly special: Record<SpecialName, readonly NodePermission[]> = {
    "@introduceDomain": [{ domid: 0, access: "none" }],
    "@releaseDomain": [{ domid: 0, access: "none" }],
  };
  readonly #coalesce: boolean;
  readonly #connections = new Set<ServerConnection>();
  readonly #domains = new Set<number>([0]);
  readonly #targets = new Map<number, number>();
  readonly #listeners = new Set<DomainEvents>();

  constructor(options: ServerOptions = {}) {
    this.quotas = { ...DEFAULT_QUOTAS, ...options.quotas };
    this.#coalesce = options.coalesce ?? true;
  }

  /** Domains that are introduced; 0 always is. */
  get domains(): ReadonlySet<number> {
    return this.#domains;
  }

  /** Serves a client that acts for a domain (0 is privileged, others are not). */
  accept(stream: ByteStream, domid: number): void {
    const connection = new ServerConnection(stream, domid, this.#coalesce);
    connection.target = this.#targets.get(domid) ?? null;
    this.#connections.add(connection);
    connection.start(
      (message) => this.#handle(connection, message),
      () => this.#connections.delete(connection),
    );
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
    this.#targets.delete(domid);
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
    this.#targets.set(domid, target);
    for (const connection of this.#connections) {
      if (connection.domid === domid) connection.target = target;
    }
  }

  /** Cuts all connections. */
  close(): void {
    for (const connection of [...this.#connections]) connection.close();
  }

  /** Transactions and watches of all connections of a domain, which share its quota. */
  used(domid: number, what: "watches" | "transactions"): number {
    let count = 0;
    for (const connection of this.#connections) {
      if (connection.domid !== domid) continue;
      count += what === "watches" ? connection.watches.size : connection.transactions.size;
    }
    return count;
  }

  /**
   * Sends the events of one change to those who watch it and may know of it.
   * @param exact whether only watches on this very path are concerned (it went with its parent)
   * @param node the node as it is, or was before it was removed
   * @param before its permissions before they were changed, if they were
   */
  fire(path: string, exact: boolean, node: Node, before?: readonly NodePermission[]): void {
    for (const connection of this.#connections) {
      const watches = exact ? connection.watches.on(path) : connection.watches.above(path);
      if (watches.length === 0 || !this.#maySee(connection, path, node, before)) continue;
      for (const watch of watches) connection.event(path, watch);
    }
  }

  /** Fires a special watch, at those who may read it. */
  fireSpecial(name: SpecialName): void {
    for (const connection of this.#connections) {
      if (!grants(this.special[name], connection, "read")) continue;
      for (const watch of connection.watches.on(name)) connection.event(name, watch);
    }
  }

  #maySee(
    connection: ServerConnection,
    path: string,
    node: Node,
    before: readonly NodePermission[] | undefined,
  ): boolean {
    if (grants(node.permissions, connection, "read")) return true;
    if (before !== undefined && grants(before, connection, "read")) return true;
    const parent = this.tree.get(parentPath(path) ?? "/");
    return parent !== undefined && grants(parent.permissions, connection, "read");
  }

  #cut(domid: number): void {
    for (const connection of [...this.#connections]) {
      if (connection.domid === domid) connection.close();
    }
  }

  /** Tells all listeners; returns what they have yet to do. */
  #tell(of: (listener: DomainEvents) => void | Promise<void>): Promise<void>[] {
    return [...this.#listeners].map(of).filter((done) => done !== undefined);
  }

  #handle(connection: ServerConnection, message: Message): void | Promise<void> {
    const refuse = (error: unknown) => {
      if (!(error instanceof Failure)) throw error;
      connection.refuse(message, error.code);
    };
    try {
      const handler = handlers[opName(message.type)];
      if (handler === undefined) throw new Failure("ENOSYS");
      if (handler.privileged && !connection.privileged) throw new Failure("EACCES");
      const transaction = message.txId === 0 || handler.ignoresTransaction
        ? null
        : connection.transactions.get(message.txId);
      if (transaction === undefined) throw new Failure("ENOENT");
      return handler.run({ server: this, connection, message, transaction })?.catch(refuse);
    } catch (error) {
      refuse(error);
    }
  }

  /** Nodes that die with their owner are announced like any removal, and before `@releaseDomain`. */
  #forgetOwner(domid: number): void {
    for (const [path, node] of [...this.tree.entries()]) {
      if (this.tree.get(path) !== node) continue;
      if (node.permissions[0]?.domid === domid) {
        for (const child of descendants(this.tree, path)) {
          const was = this.tree.get(child)!;
          this.tree.drop(child);
          this.fire(child, true, was);
        }
        this.tree.drop(path);
        removeChild(this.tree, path);
        this.fire(path, false, node);
      } else if (node.permissions.some((entry) => entry.domid === domid)) {
        const permissions = withoutDomain(node.permissions, domid);
        this.tree.put(path, { value: node.value, children: node.children, permissions });
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

/** A permission list in which the entries of a domain are ignored. */
function withoutDomain(permissions: readonly NodePermission[], domid: number): NodePermission[] {
  return permissions.map((entry) => entry.domid === domid ? { ...entry, ignored: true } : entry);
}
