/** Listening on unix sockets. */
import * as fs from "node:fs";
import { loadLibc } from "./libc.ts";
import { connectStream, DescriptorStream } from "./stream.ts";
import { hasCode } from "./system_error.ts";
import type { ByteStream, Listener } from "./types.ts";

// asm-generic/fcntl.h
const F_DUPFD_CLOEXEC = 1030;

/**
 * Listens on a unix socket that only this user may connect to (mode 0600). A socket file left over
 * from a dead listener is replaced; a live one is not. Needs Bun's foreign function interface.
 * @throws SystemError, EADDRINUSE when another process listens there
 */
export async function listenUnix(
  path: string,
  accept: (stream: ByteStream) => void,
): Promise<Listener> {
  await removeDeadSocket(path);
  const libc = await loadLibc("listen");
  // The mode has to be right from the moment the file exists, hence the umask and no chmod. The
  // file is made within the call: the umask, which all share, is changed for no longer than that.
  const mask = process.umask(0o177);
  try {
    const listener = Bun.listen({
      unix: path,
      socket: {
        open(socket) {
          // The runtime accepts it; what is done with it after that is ours.
          const fd = libc.fcntl((socket as unknown as { fd: number }).fd, F_DUPFD_CLOEXEC, 0);
          socket.terminate();
          if (fd >= 0) accept(new DescriptorStream(fd, libc));
        },
        data() {},
      },
    });
    return {
      close() {
        // Connections outlive the listener.
        listener.stop();
        fs.rmSync(path, { force: true });
        return Promise.resolve();
      },
    };
  } finally {
    process.umask(mask);
  }
}

/** How long, in ms, a socket has to refuse to count as dead: one whose queue is full refuses too. */
const DEAD_AFTER_MS = 200;

async function removeDeadSocket(path: string): Promise<void> {
  // Other files refuse a connection as dead sockets do.
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const end = performance.now() + DEAD_AFTER_MS;
  for (;;) {
    try {
      return (await connectStream(path)).close();
    } catch (error) {
      if (!hasCode(error, "ECONNREFUSED")) return;
    }
    if (performance.now() > end) return fs.rmSync(path, { force: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}
