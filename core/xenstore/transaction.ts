/** Transactions: all or nothing, repeated when they conflict. */
import { type Message, nulTerminated, splitText, toText } from "./codec.ts";
import { NodeAccess } from "./access.ts";
import type { Connection, RequestOptions } from "./connection.ts";
import { ProtocolError } from "./errors.ts";
import { Op } from "./operations.ts";

export interface TransactionOptions extends RequestOptions {
  /** Runs before a conflict is reported to the caller; 1 means no retry. Default 100. */
  readonly attempts?: number;
}

/** Runs of a conflicting transaction before giving up. */
export const DEFAULT_ATTEMPTS = 100;

/** Longest pause before a conflicting transaction is repeated, in ms; the first is a 32nd of it. */
export const RETRY_PAUSE_MAX_MS = 64;

/** Pause before repetition number `attempt` (from 1), in ms; `random` is in [0, 1). */
export function retryPauseMs(attempt: number, random: number): number {
  return Math.min(RETRY_PAUSE_MAX_MS, 2 ** attempt) * (0.5 + random / 2);
}

/**
 * The store inside one transaction: reads see a snapshot and the transaction's own writes; nobody
 * else sees them before the commit.
 */
export class Transaction extends NodeAccess {
  /** The store's id of it, never 0. */
  readonly id: number;
  readonly #send: Sender;
  readonly #options: RequestOptions;

  constructor(id: number, send: Sender, options: RequestOptions) {
    super();
    this.id = id;
    this.#send = send;
    this.#options = options;
  }

  protected override send(
    type: number,
    payload: Uint8Array,
    path: string | undefined,
    options: RequestOptions | undefined,
  ): Promise<Message> {
    return this.#send(type, payload, this.id, path, options ?? this.#options);
  }
}

/** Sends a request within a transaction. */
export type Sender = (
  type: number,
  payload: Uint8Array,
  txId: number,
  path: string | undefined,
  options: RequestOptions | undefined,
) => Promise<Message>;

/** A transaction met another one; the cause is the store's answer. */
export class Conflict extends Error {
  override readonly cause: Error;

  constructor(cause: Error) {
    super(cause.message);
    this.cause = cause;
  }
}

function transactionId(reply: Message): number {
  const id = Number(splitText(reply.payload)[0]);
  if (!Number.isInteger(id) || id <= 0 || id > 0xffffffff) {
    throw new ProtocolError(`invalid transaction id ${JSON.stringify(toText(reply.payload))}`);
  }
  return id;
}

/** Commits it, or drops what it did. */
export async function endTransaction(
  connection: Connection,
  id: number,
  commit: boolean,
  options: RequestOptions,
): Promise<void> {
  // Never with id 0: the kernel device would swallow the answer.
  await connection.request({
    type: Op.TRANSACTION_END,
    payload: nulTerminated(commit ? "T" : "F"),
    txId: id,
  }, options);
}

/** Begins one. @returns its id */
export async function beginTransaction(
  connection: Connection,
  options: RequestOptions,
): Promise<number> {
  const abandon = async (late: Message) => {
    await endTransaction(connection, transactionId(late), false, {});
  };
  const reply = await connection.request({
    type: Op.TRANSACTION_START,
    payload: nulTerminated(""),
    // Nobody wants it any more: an open transaction would disturb others.
    late: (late) => {
      abandon(late).catch(() => {});
    },
  }, options);
  return transactionId(reply);
}
