/** Connections within this process: no sockets, the same bytes. */
import type { ByteStream, ByteStreamHandlers } from "../../platform/types.ts";
import { SocketTransport } from "../../core/xenstore/socket_transport.ts";
import type { Transport } from "../../core/xenstore/transport.ts";
import type { XenstoreServer } from "./server.ts";

/** The two ends of a pipe in memory. */
export function streamPair(): [ByteStream, ByteStream] {
  const a = new MemoryStream();
  const b = new MemoryStream();
  a.peer = b;
  b.peer = a;
  return [a, b];
}

/** A transport to a server in this process, acting for a domain. */
export function connectInProcess(server: XenstoreServer, domid: number): Transport {
  const [client, served] = streamPair();
  server.accept(served, domid);
  return new SocketTransport(client, `embedded store as domain ${domid}`);
}

class MemoryStream implements ByteStream {
  peer: MemoryStream | null = null;
  #handlers: ByteStreamHandlers | null = null;
  /** Chunks that came before anybody listened. */
  #early: Uint8Array[] = [];
  #closed = false;
  readonly queued = 0;

  start(handlers: ByteStreamHandlers): void {
    this.#handlers = handlers;
    for (const chunk of this.#early.splice(0)) this.#deliver(chunk);
  }

  write(bytes: Uint8Array): void {
    const { peer } = this;
    if (this.#closed || peer === null) return;
    // A copy, as a socket would make.
    const copy = bytes.slice();
    if (peer.#handlers === null) peer.#early.push(copy);
    else peer.#deliver(copy);
  }

  close(): void {
    if (this.#closed) return;
    const { peer } = this;
    this.#end();
    if (peer !== null) peer.#end();
  }

  #deliver(chunk: Uint8Array): void {
    queueMicrotask(() => {
      if (!this.#closed) this.#handlers?.data(chunk);
    });
  }

  #end(): void {
    if (this.#closed) return;
    queueMicrotask(() => {
      if (this.#closed) return;
      this.#closed = true;
      this.#handlers?.closed(null);
    });
  }
}
