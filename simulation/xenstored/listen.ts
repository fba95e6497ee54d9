/** The server on unix sockets: one for each domain. */
import { listenUnix } from "../../platform/io/listener.ts";
import type { Listener } from "../../platform/types.ts";
import type { XenstoreServer } from "./server.ts";

/** Where a domain's clients connect: domain 0 as to any xenstored, others to a socket of theirs. */
export function socketPath(directory: string, domid: number): string {
  return `${directory}/${domid === 0 ? "socket" : `domain-${domid}.sock`}`;
}

/** A server that listens. */
export interface ListeningStore {
  /** Introduces a domain; resolves when its socket is there. */
  introduce(domid: number): Promise<void>;
  /** Stops listening and cuts all connections. */
  close(): Promise<void>;
}

/**
 * Listens in a directory, which must exist. Domains get their sockets as they are introduced, and
 * lose them as they go.
 * @throws SystemError when a socket cannot be made
 */
export async function listenStore(
  server: XenstoreServer,
  directory: string,
): Promise<ListeningStore> {
  const listeners = new Map<number, Listener>();
  // One after the other: a socket that is on its way out would be in the way of its successor.
  let last: Promise<void> = Promise.resolve();
  const next = (work: () => Promise<void>): Promise<void> => {
    const done = last.then(work);
    last = done.catch(() => {});
    return done;
  };
  const open = (domid: number) =>
    next(async () => {
      const path = socketPath(directory, domid);
      listeners.set(domid, await listenUnix(path, (stream) => server.accept(stream, domid)));
    });
  const shut = (domid: number) =>
    next(async () => {
      const listener = listeners.get(domid);
      listeners.delete(domid);
      await listener?.close();
    });
  const shutAll = async () => {
    await last;
    for (const domid of [...listeners.keys()]) await shut(domid);
  };
  try {
    for (const domid of server.domains) await open(domid);
  } catch (error) {
    await shutAll();
    throw error;
  }
  const stopListening = server.onDomains({ introduced: open, released: shut });
  return {
    introduce: (domid) => server.introduce(domid),
    async close() {
      stopListening();
      await shutAll();
      server.close();
    },
  };
}
