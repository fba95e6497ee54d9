/**
 * A xenstore server, compatible with the C daemon of Xen 4.17 as far as its conformance tests show.
 * For tests, demonstrations and development.
 */
import { own } from "../../contract/v1/own.ts";
import type { ByteStream } from "../../platform/types.ts";
import type { Message } from "../../core/xenstore/codec.ts";
import { opName, PAYLOAD_MAX } from "../../core/xenstore/operations.ts";
import type { Answer } from "./call.ts";
import { ServerConnection } from "./connection.ts";
import { Failure, require } from "./failure.ts";
import { handlers } from "./handlers.ts";
import { type ServerOptions, Store } from "./store.ts";

export type { ServerOptions };

/** A store that serves. All its work is done in the callbacks of its connections' streams. */
export class XenstoreServer extends Store {
  /** Serves a client that acts for a domain (0 is privileged, others are not). */
  accept(stream: ByteStream, domid: number): void {
    const connection = new ServerConnection(stream, domid, this.coalesce);
    connection.target = this.targets.get(domid) ?? null;
    this.connections.add(connection);
    connection.start(
      (message) => this.#handle(connection, message),
      () => this.connections.delete(connection),
    );
  }

  #handle(connection: ServerConnection, message: Message): void | Promise<void> {
    const answer = ({ payload, after }: Answer) => {
      require(payload.length <= PAYLOAD_MAX, "E2BIG");
      connection.reply(message, payload);
      after?.();
    };
    const refuse = (error: unknown) => {
      if (!(error instanceof Failure)) throw error;
      connection.refuse(message, error.code);
    };
    try {
      const handler = own(handlers, opName(message.type));
      if (handler === undefined) throw new Failure("ENOSYS");
      if (handler.privileged && !connection.privileged) throw new Failure("EACCES");
      const transaction = message.txId === 0 || handler.ignoresTransaction
        ? null
        : connection.transactions.get(message.txId);
      if (transaction === undefined) throw new Failure("ENOENT");
      const answered = handler.run({ store: this, connection, message, transaction });
      if (answered instanceof Promise) return answered.then(answer).catch(refuse);
      answer(answered);
    } catch (error) {
      refuse(error);
    }
  }
}
