/** `xdevd xenstored`: the embedded store as a server of its own. */
import { systemClock } from "../../platform/clock.ts";
import { onTermination, printTo } from "../../platform/self.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import { StoreClient } from "../../core/xenstore/client.ts";
import { connectInProcess } from "../../simulation/xenstored/in_process.ts";
import { type ListeningStore, listenStore, socketPath } from "../../simulation/xenstored/listen.ts";
import { XenstoreServer } from "../../simulation/xenstored/server.ts";
import { prepareSocketDirectory } from "../devd/daemon_files.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";

/** The command's options, as parsed. */
export interface XenstoredOptions {
  readonly dir: string;
  readonly domain: readonly number[];
}

/** Serves until it is told to stop. */
export async function xenstored(options: XenstoredOptions): Promise<number> {
  const server = new XenstoreServer();
  const listening = await listen(server, options);
  const stop = Promise.withResolvers<void>();
  onTermination(() => stop.resolve());
  printTo(
    1,
    `xenstored for tests listens: ` +
      `${[0, ...options.domain].map((domid) => socketPath(options.dir, domid)).join(", ")}\n` +
      `XENSTORED_PATH=${socketPath(options.dir, 0)} leads Xen's tools to it\n`,
  );
  await stop.promise;
  await listening.close();
  return ExitCode.Success;
}

/**
 * Makes all sockets, or none. Who finds a domain's socket finds its nodes too.
 * @throws CodedError
 */
async function listen(server: XenstoreServer, options: XenstoredOptions): Promise<ListeningStore> {
  const { dir, domain } = options;
  await prepareSocketDirectory(dir);
  await makeDomains(server, domain);
  try {
    return await listenStore(server, dir);
  } catch (error) {
    const { code, message, address } = error as {
      code?: string;
      message: string;
      address?: string;
    };
    const why = code !== "EADDRINUSE"
      ? message
      : address === socketPath(dir, 0)
      ? "another server listens there"
      : "the name of a domain's socket is taken";
    throw new CodedError("failed", `cannot listen in ${dir}: ${why}`);
  }
}

/** Plays the toolstack. */
async function makeDomains(server: XenstoreServer, domids: readonly number[]): Promise<void> {
  const dom0 = await StoreClient.connect({
    clock: systemClock,
    connect: async () => connectInProcess(server, 0),
  });
  try {
    await createDomain0(dom0);
    for (const domid of domids) {
      // The store gives nodes only to domains that it knows.
      await server.introduce(domid);
      await createDomainHome(dom0, { domid, driverDomain: true });
    }
  } finally {
    dom0.close();
  }
}
