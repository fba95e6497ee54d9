/** The embedded store on sockets, in this process. */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { listenStore, socketPath } from "../../simulation/xenstored/listen.ts";
import { type ServerOptions, XenstoreServer } from "../../simulation/xenstored/server.ts";

/** A running embedded store. */
export interface EmbeddedStore {
  readonly server: XenstoreServer;
  readonly dir: string;
  socketPath(domid: number): string;
  introduce(domid: number): Promise<void>;
  destroy(domid: number): Promise<void>;
  stop(): Promise<void>;
}

/** Starts it in a directory of its own, or in the one given, with these domains. */
export async function startEmbeddedStore(
  domains: readonly number[],
  options: ServerOptions = {},
  directory?: string,
): Promise<EmbeddedStore> {
  const dir = directory ?? await mkdtemp(join(tmpdir(), "xdevd-store-"));
  await mkdir(dir, { recursive: true });
  const server = new XenstoreServer(options);
  const listening = await listenStore(server, dir);
  for (const domid of domains) await listening.introduce(domid);
  return {
    server,
    dir,
    socketPath: (domid) => socketPath(dir, domid),
    introduce: (domid) => listening.introduce(domid),
    destroy: async (domid) => server.destroy(domid),
    async stop() {
      await listening.close();
      await rm(dir, { recursive: true });
    },
  };
}
