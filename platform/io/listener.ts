/** Listening on unix sockets. */
import { linkStatusOf, removeAll } from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { sources } from "../runtime.ts";
import { connectStream, DescriptorStream } from "./stream.ts";
import { hasCode } from "../system_error.ts";
import type { ByteStream, Listener } from "../types.ts";

/**
 * Listens on a unix socket that only this user may connect to (mode 0600). A socket file left over
 * from a dead listener is replaced; a live one is not.
 * @throws SystemError, EADDRINUSE when another process listens there
 */
export async function listenUnix(
  path: string,
  accept: (stream: ByteStream) => void,
): Promise<Listener> {
  await removeDeadSocket(path);
  // The mode has to be right from the moment the file exists, hence the umask and no chmod. The
  // file is made within the call: the umask, which all share, is changed for no longer than that.
  const mask = sys.umask(0o177);
  try {
    const stop = sources.listen(path, (fd) => accept(new DescriptorStream(fd)));
    return {
      close() {
        // Connections outlive the listener.
        stop();
        removeAll(path);
        return Promise.resolve();
      },
    };
  } finally {
    sys.umask(mask);
  }
}

/** How long, in ms, a socket has to refuse to count as dead: one whose queue is full refuses too. */
const DEAD_AFTER_MS = 200;

async function removeDeadSocket(path: string): Promise<void> {
  // Other files refuse a connection as dead sockets do.
  if (!isSocket(path)) return;
  const end = performance.now() + DEAD_AFTER_MS;
  for (;;) {
    try {
      return (await connectStream(path)).close();
    } catch (error) {
      if (!hasCode(error, "ECONNREFUSED")) return;
    }
    if (performance.now() > end) return removeAll(path);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function isSocket(path: string): boolean {
  try {
    return linkStatusOf(path).kind === "socket";
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}
