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
  const listening = await listen(server, options.dir);
  const stop = Promise.withResolvers<void>();
  onTermination(() => stop.resolve());
  for (const domid of options.domain) await listening.introduce(domid);
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

async function listen(server: XenstoreServer, directory: string): Promise<ListeningStore> {
  try {
    await systemFiles.makeDirectory(directory, 0o700);
    return await listenStore(server, directory);
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    const why = code === "EADDRINUSE" ? "another server listens there" : message;
    throw new CommandError(`cannot listen in ${directory}: ${why}`);
  }
}
