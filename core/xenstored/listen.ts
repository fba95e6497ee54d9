/** The server on unix sockets: one for each domain. */
import { listenUnix } from "../platform/sockets.ts";
import type { Listener } from "../platform/types.ts";
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
  const listeners = new Map<number, Promise<Listener>>();
  const open = (domid: number): Promise<Listener> => {
    const listener = listenUnix(
      socketPath(directory, domid),
      (stream) => server.accept(stream, domid),
    );
    listeners.set(domid, listener);
    return listener;
  };
  const shut = async (domid: number): Promise<void> => {
    const listener = listeners.get(domid);
    listeners.delete(domid);
    await (await listener)?.close();
  };
  await Promise.all([...server.domains].map(open));
  const stopListening = server.onDomains({
    introduced: (domid) => void open(domid).catch(() => listeners.delete(domid)),
    released: (domid) => void shut(domid).catch(() => {}),
  });
  return {
    async introduce(domid) {
      server.introduce(domid);
      await listeners.get(domid);
    },
    async close() {
      stopListening();
      await Promise.all([...listeners.keys()].map(shut));
      server.close();
    },
  };
}
