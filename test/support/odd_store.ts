/**
 * A socket before a store: what goes through it can be stopped, as by a store that hangs, or cut, as
 * by one that dies.
 */
import { unlinkSync } from "node:fs";
import type { Socket } from "bun";
import { MessageParser } from "../../core/xenstore/codec.ts";

/** What becomes of the store. */
export type Oddity = "silent" | "gone";

/** A store's socket that turns odd. */
export interface OddStore {
  /** How many requests have been passed on. */
  readonly requests: number;
  /** From now on. */
  turn(oddity: Oddity): void;
  stop(): void;
}

/**
 * Listens at a path for the store behind another one.
 * @param after how many requests it turns odd by itself: `after` are passed on, the next is not
 */
export function listenOdd(
  path: string,
  store: string,
  oddity: Oddity = "silent",
  after = Infinity,
): OddStore {
  let requests = 0;
  let odd: Oddity | null = null;
  const clients = new Set<Socket<unknown>>();
  const turn = (how: Oddity) => {
    odd = how;
    if (how === "silent") return;
    for (const client of clients) client.end();
    // Nobody listens: a socket file is left, as by a store that was killed.
    server.stop(true);
  };
  const server = Bun.listen<{ parser: MessageParser; upstream: Promise<Socket<unknown>> }>({
    unix: path,
    socket: {
      open(client) {
        clients.add(client);
        const upstream = Bun.connect({
          unix: store,
          socket: {
            data(_, bytes) {
              if (odd === null) client.write(bytes);
            },
          },
        });
        client.data = { parser: new MessageParser(4096), upstream };
      },
      async data({ data: { parser, upstream } }, bytes) {
        if (odd !== null) return;
        // Requests that come together count one by one, and go on as they came.
        requests += parser.push(new Uint8Array(bytes)).length;
        if (requests > after) return turn(oddity);
        (await upstream).write(bytes);
      },
      async close(client) {
        clients.delete(client);
        (await client.data.upstream).end();
      },
    },
  });
  return {
    get requests() {
      return requests;
    },
    turn,
    stop() {
      server.stop(true);
      try {
        unlinkSync(path);
      } catch {
        // The server has done so.
      }
    },
  };
}
