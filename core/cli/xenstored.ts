/** `xdevd xenstored`: the embedded store as a server of its own. */
import { systemFiles } from "../platform/files.ts";
import { onTermination, printTo } from "../platform/self.ts";
import { type ListeningStore, listenStore, socketPath } from "../xenstored/listen.ts";
import { XenstoreServer } from "../xenstored/server.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";

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

/** Makes all sockets, or none. @throws CommandError */
async function listen(server: XenstoreServer, options: XenstoredOptions): Promise<ListeningStore> {
  const { dir } = options;
  let listening: ListeningStore | null = null;
  try {
    await systemFiles.makeDirectory(dir, 0o700);
    listening = await listenStore(server, dir);
    for (const domid of options.domain) await listening.introduce(domid);
    return listening;
  } catch (error) {
    await listening?.close();
    const { code, message } = error as { code?: string; message: string };
    const why = code !== "EADDRINUSE"
      ? message
      : listening === null
      ? "another server listens there"
      : "the name of a domain's socket is taken";
    throw new CommandError(`cannot listen in ${dir}: ${why}`);
  }
}
