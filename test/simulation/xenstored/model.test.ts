/**
 * The embedded store against a model that is as naive as can be: a transaction copies each node when
 * it first looks at it, and a commit compares, path by path, what was looked at.
 */
import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { systemClock } from "../../../platform/clock.ts";
import type { NodeAccess } from "../../../core/xenstore/access.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { Connection } from "../../../core/xenstore/connection.ts";
import { splitText, toText } from "../../../core/xenstore/codec.ts";
import { isServerError } from "../../../core/xenstore/errors.ts";
import { Op } from "../../../core/xenstore/operations.ts";
import { parentPath } from "../../../core/xenstore/paths.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";

/** What the model knows of a node. */
interface ModelNode {
  readonly value: string;
  readonly children: readonly string[];
  /** Changes whenever value or children are set. */
  readonly version: number;
}

type Picture = Map<string, ModelNode>;

let versions = 0;

class ModelView {
  readonly picture: Picture;
  /** Version at the first look; 0 for absent. Null outside transactions. */
  readonly seen: Map<string, number> | null;
  readonly changed = new Set<string>();
  readonly #live: Picture;

  /** @param picture null for a transaction, which begins with an empty one */
  constructor(live: Picture, picture: Picture | null) {
    this.#live = live;
    this.picture = picture ?? new Map();
    this.seen = picture === null ? new Map() : null;
  }

  look(path: string): ModelNode | undefined {
    if (this.seen !== null && !this.seen.has(path)) {
      const node = this.#live.get(path);
      this.seen.set(path, node?.version ?? 0);
      if (node !== undefined) this.picture.set(path, node);
    }
    return this.picture.get(path);
  }

  set(path: string, node: Omit<ModelNode, "version"> | undefined): void {
    this.look(path);
    this.changed.add(path);
    if (node === undefined) this.picture.delete(path);
    else this.picture.set(path, { ...node, version: ++versions });
  }

  read(path: string): string {
    const node = this.look(path);
    if (node !== undefined) return node.value;
    this.lookUp(path);
    return "!ENOENT";
  }

  list(path: string): string {
    const node = this.look(path);
    if (node !== undefined) return node.children.join(",");
    this.lookUp(path);
    return "!ENOENT";
  }

  /** A missing node makes the server look for its nearest ancestor. */
  lookUp(path: string): string {
    let at = parentPath(path) ?? "/";
    while (this.look(at) === undefined) at = parentPath(at) ?? "/";
    return at;
  }

  write(path: string, value: string | null): string {
    const node = this.look(path);
    if (node !== undefined) {
      if (value !== null) this.set(path, { ...node, value });
      return "OK";
    }
    const missing = [path];
    const ancestor = this.lookUp(path);
    for (let at = parentPath(path) ?? "/"; at !== ancestor; at = parentPath(at) ?? "/") {
      missing.unshift(at);
    }
    for (const each of missing) {
      this.set(each, { value: each === path ? value ?? "" : "", children: [] });
      const parent = this.look(parentPath(each) ?? "/")!;
      const name = each.slice(each.lastIndexOf("/") + 1);
      this.set(parentPath(each) ?? "/", { ...parent, children: [...parent.children, name] });
    }
    return "OK";
  }

  remove(path: string): string {
    const node = this.look(path);
    if (node === undefined) {
      this.lookUp(path);
      return this.look(parentPath(path) ?? "/") === undefined ? "!ENOENT" : "OK";
    }
    const drop = (at: string) => {
      for (const name of this.look(at)?.children ?? []) drop(`${at}/${name}`);
      this.set(at, undefined);
    };
    drop(path);
    const up = parentPath(path) ?? "/";
    const parent = this.look(up)!;
    const name = path.slice(path.lastIndexOf("/") + 1);
    this.set(up, { ...parent, children: parent.children.filter((child) => child !== name) });
    return "OK";
  }

  /** Whether a commit can only fail: what it sees is then a mixture, and nobody's business. */
  get doomed(): boolean {
    for (const [path, version] of this.seen ?? []) {
      if ((this.#live.get(path)?.version ?? 0) !== version) return true;
    }
    return false;
  }

  commitTo(live: ModelView): string {
    if (this.doomed) return "!EAGAIN";
    for (const path of this.changed) live.set(path, this.picture.get(path));
    return "OK";
  }
}

const paths = fc.constantFrom("/a", "/b", "/a/a", "/a/b", "/b/a", "/a/a/a", "/a/b/a", "/b/a/b/a");
const commands = fc.array(
  fc.record({
    /** 0 works outside transactions. */
    where: fc.integer({ min: 0, max: 3 }),
    op: fc.constantFrom("read", "list", "write", "mkdir", "remove", "commit", "abort"),
    path: paths,
    value: fc.constantFrom("", "x", "y"),
  }),
  { minLength: 1, maxLength: 40 },
);

test("random operations in and out of transactions agree with the model", async () => {
  await fc.assert(
    fc.asyncProperty(commands, async (script) => {
      const server = new XenstoreServer();
      const connection = new Connection(connectInProcess(server, 0), {
        event: () => {},
        closed: () => {},
      }, systemClock);
      const ask = async (type: number, payload: string, txId: number): Promise<string> => {
        try {
          const bytes = new TextEncoder().encode(payload);
          const reply = await connection.request({ type, payload: bytes, txId });
          return toText(reply.payload);
        } catch (error) {
          if (isServerError(error, "ENOENT", "EAGAIN", "EINVAL")) return `!${error.code}`;
          throw error;
        }
      };
      const picture: Picture = new Map([
        ["/", { value: "", children: ["tool"], version: ++versions }],
      ]);
      const live = new ModelView(picture, picture);
      const open = new Map<number, { id: number; view: ModelView }>();
      for (const { where, op, path, value } of script) {
        let transaction = open.get(where);
        if (where > 0 && transaction === undefined) {
          const id = Number((await ask(Op.TRANSACTION_START, "\0", 0)).replace("\0", ""));
          transaction = { id, view: new ModelView(live.picture, null) };
          open.set(where, transaction);
        }
        const id = transaction?.id ?? 0;
        const view = transaction?.view ?? live;
        if (view.doomed && op !== "commit" && op !== "abort") {
          await ask(Op.WRITE, `${path}\0${value}`, id);
          continue;
        }
        switch (op) {
          case "read":
            expect(await ask(Op.READ, `${path}\0`, id)).toBe(view.read(path));
            break;
          case "list":
            expect(
              splitText(new TextEncoder().encode(await ask(Op.DIRECTORY, `${path}\0`, id))).join(
                ",",
              ),
            )
              .toBe(view.list(path));
            break;
          case "write":
            expect(await ask(Op.WRITE, `${path}\0${value}`, id)).toBe(
              `${view.write(path, value)}\0`,
            );
            break;
          case "mkdir":
            expect(await ask(Op.MKDIR, `${path}\0`, id)).toBe(`${view.write(path, null)}\0`);
            break;
          case "remove": {
            const outcome = view.remove(path);
            expect(await ask(Op.RM, `${path}\0`, id)).toBe(outcome === "OK" ? "OK\0" : outcome);
            break;
          }
          case "commit":
          case "abort": {
            if (transaction === undefined) break;
            open.delete(where);
            const outcome = op === "commit" ? view.commitTo(live) : "OK";
            const answer = await ask(Op.TRANSACTION_END, op === "commit" ? "T\0" : "F\0", id);
            expect(answer).toBe(outcome === "OK" ? "OK\0" : outcome);
            break;
          }
        }
      }
      // In the end both hold the same.
      for (const [path, node] of live.picture) {
        expect(await ask(Op.READ, `${path}\0`, 0)).toBe(node.value);
      }
      connection.close();
    }),
    { numRuns: 5_000 },
  );
}, 30_000);

test("concurrent additions through the client lose nothing", async () => {
  const server = new XenstoreServer();
  const clients = await Promise.all([1, 2, 3].map(() =>
    StoreClient.connect({
      clock: systemClock,
      connect: async () => connectInProcess(server, 0),
    })
  ));
  await clients[0]!.write("/sum", "0");
  const addOne = (client: StoreClient) =>
    client.transaction(async (t: NodeAccess) => {
      await t.write("/sum", String(Number(await t.readText("/sum")) + 1));
    });
  await Promise.all(clients.flatMap((client) => Array.from({ length: 20 }, () => addOne(client))));
  expect(await clients[0]!.readText("/sum")).toBe("60");
  for (const client of clients) client.close();
});

test("DIRECTORY_PART agrees with DIRECTORY, whatever the names", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(fc.stringMatching(/^[a-zA-Z0-9_@-]{1,300}$/), { maxLength: 60 }),
      async (names) => {
        const server = new XenstoreServer();
        const client = await StoreClient.connect({
          clock: systemClock,
          connect: async () => connectInProcess(server, 0),
        });
        await client.write("/d", "");
        for (const name of names) await client.write(`/d/${name}`, "");
        expect(await client.list("/d")).toEqual(names);
        client.close();
      },
    ),
    { numRuns: 100 },
  );
});
