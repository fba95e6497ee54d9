/**
 * A socket before a store, by which some requests fail: those that change something, some of them, each
 * with EIO and without effect.
 */
import { unlinkSync } from "node:fs";
import type { Socket } from "bun";
import {
  encodeMessage,
  type Message,
  MessageParser,
  nulTerminated,
} from "../../core/xenstore/codec.ts";
import { Op } from "../../core/xenstore/operations.ts";

/** What changes something by itself. The end of a transaction is one, too: it is turned into giving it up. */
const CHANGES: ReadonlySet<number> = new Set([Op.WRITE, Op.MKDIR, Op.RM, Op.SET_PERMS]);

/** Longest payload of a store's (XENSTORE_PAYLOAD_MAX). */
const PAYLOAD_MAX = 4096;

/** Sends all of it, in order, as far as the other side takes it. */
class Outgoing {
  readonly #socket: Promise<Socket<unknown>>;
  #queue: Uint8Array = new Uint8Array(0);

  constructor(socket: Promise<Socket<unknown>>) {
    this.#socket = socket;
  }

  async send(bytes: Uint8Array): Promise<void> {
    this.#queue = Buffer.concat([this.#queue, bytes]);
    await this.drain();
  }

  async drain(): Promise<void> {
    const socket = await this.#socket;
    if (this.#queue.length === 0) return;
    const bytes = this.#queue;
    this.#queue = new Uint8Array(0);
    const sent = socket.write(bytes);
    if (sent < bytes.length) {
      this.#queue = Buffer.concat([bytes.subarray(Math.max(0, sent)), this.#queue]);
    }
  }
}

interface Client {
  readonly parser: MessageParser;
  readonly upstream: Promise<Socket<unknown>>;
  readonly toStore: Outgoing;
  readonly toClient: Outgoing;
  /** Ends of transactions that are given up: of their replies, an error is made. */
  readonly givenUp: Set<number>;
}

/** A store's socket that fails now and then. */
export interface FailingStore {
  /** How many requests have failed. */
  readonly failed: number;
  stop(): void;
}

/**
 * Listens at a path for the store behind another one.
 * @param fails asked for each change whether it fails
 */
export function listenFailing(path: string, store: string, fails: () => boolean): FailingStore {
  let failed = 0;
  const server = Bun.listen<Client>({
    unix: path,
    socket: {
      open(client) {
        const givenUp = new Set<number>();
        const replies = new MessageParser(1024 * 1024);
        const toClient = new Outgoing(Promise.resolve(client as Socket<unknown>));
        const upstream = Bun.connect<undefined>({
          unix: store,
          socket: {
            data(_, bytes) {
              for (const reply of replies.push(new Uint8Array(bytes))) {
                const isGivenUp = givenUp.delete(reply.reqId) && reply.type === Op.TRANSACTION_END;
                void toClient.send(encodeMessage(isGivenUp ? failure(reply) : reply));
              }
            },
            drain: () => void toStore.drain(),
            close: () => void client.end(),
          },
        });
        upstream.catch(() => void client.end());
        const toStore = new Outgoing(upstream as Promise<Socket<unknown>>);
        const parser = new MessageParser(PAYLOAD_MAX);
        client.data = { parser, upstream, toStore, toClient, givenUp };
      },
      data({ data }, bytes) {
        const { parser, toStore, toClient, givenUp } = data;
        for (const request of parser.push(new Uint8Array(bytes))) {
          const commits = request.type === Op.TRANSACTION_END && request.payload[0] === COMMIT;
          if (!commits && !CHANGES.has(request.type) || !fails()) {
            void toStore.send(encodeMessage(request)).catch(() => {});
            continue;
          }
          failed++;
          if (commits) {
            givenUp.add(request.reqId);
            const abort = { ...request, payload: nulTerminated("F") };
            void toStore.send(encodeMessage(abort)).catch(() => {});
          } else void toClient.send(encodeMessage(failure(request)));
        }
      },
      drain: ({ data }) => void data.toClient.drain(),
      close: ({ data }) => void data.upstream.then((socket) => socket.end(), () => {}),
    },
  });
  return {
    get failed() {
      return failed;
    },
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

const COMMIT = "T".charCodeAt(0);

/** What a store answers to this request that fails. */
function failure({ reqId, txId }: Message): Message {
  return { type: Op.ERROR, reqId, txId, payload: nulTerminated("EIO") };
}
