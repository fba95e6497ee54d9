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
 * @param accept gets each connection, and whose process has made it; null: the kernel does not tell
 * @param withhold which bits of the mode it has not
 * @throws SystemError, EADDRINUSE when another process listens there
 */
export async function listenUnix(
  path: string,
  accept: (stream: ByteStream, uid: number | null) => void,
  withhold = 0o177,
): Promise<Listener> {
  await removeDeadSocket(path);
  // The mode has to be right from the moment the file exists, hence the umask and no chmod. The
  // file is made within the call: the umask, which all share, is changed for no longer than that.
  const mask = sys.umask(withhold);
  try {
    const stop = sources.listen(path, (fd) => accept(new DescriptorStream(fd), peerUid(fd)));
    return {
      async close() {
        // Connections outlive the listener.
        stop();
        removeAll(path);
      },
    };
  } finally {
    sys.umask(mask);
  }
}

// asm-generic/socket.h; struct ucred of linux/socket.h: pid, uid, gid, 32 bits each.
const [SOL_SOCKET, SO_PEERCRED] = [1, 17];

/** The user of the process at the other end, as it was when that connected. */
function peerUid(fd: number): number | null {
  const credentials = new Uint8Array(12);
  const length = sys.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, credentials);
  return length < credentials.length ? null : new DataView(credentials.buffer).getUint32(4, true);
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
