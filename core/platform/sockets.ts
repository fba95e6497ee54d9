/** Unix stream sockets on `node:net`, which Bun and Deno share. */
import * as fs from "node:fs";
import * as net from "node:net";
import type { ByteStream, ByteStreamHandlers, Listener } from "./types.ts";

/**
 * Connects to a unix socket.
 * @throws SystemError (ENOENT, ECONNREFUSED, EAGAIN, EACCES, …) when that fails
 */
export function connectUnix(path: string): Promise<ByteStream> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(path);
    socket.once("error", reject);
    socket.once("connect", () => {
      socket.off("error", reject);
      resolve(wrapSocket(socket));
    });
  });
}

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
  const server = net.createServer((socket) => accept(wrapSocket(socket)));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    // The mode has to be right from the moment the file exists, hence the umask and no chmod. The
    // file is made within the call: the umask, which all share, is changed for no longer than that.
    const mask = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(mask);
    }
  });
  return {
    close: () =>
      new Promise((resolve) => {
        // Connections outlive the listener, so its own callback is not waited for.
        server.close();
        fs.rmSync(path, { force: true });
        resolve();
      }),
  };
}

/** How long, in ms, a socket has to refuse to count as dead: one whose queue is full refuses too. */
const DEAD_AFTER_MS = 200;

async function removeDeadSocket(path: string): Promise<void> {
  // Other files refuse a connection as dead sockets do.
  if (!fs.lstatSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const end = performance.now() + DEAD_AFTER_MS;
  for (;;) {
    try {
      return (await connectUnix(path)).close();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ECONNREFUSED") return;
    }
    if (performance.now() > end) return fs.rmSync(path, { force: true });
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

function wrapSocket(socket: net.Socket): ByteStream {
  let handlers: ByteStreamHandlers | null = null;
  let failure: Error | null = null;
  let ended = false;
  let backlogged = false;
  const finish = () => {
    if (ended || handlers === null) return;
    ended = true;
    handlers.closed(failure);
  };
  socket.on("error", (error) => failure = error);
  socket.on("close", finish);
  socket.on("drain", () => {
    backlogged = false;
    handlers?.drained?.();
  });
  socket.pause();
  return {
    start(given) {
      handlers = given;
      socket.on("data", (chunk) => given.data(chunk as Uint8Array));
      socket.on("end", () => socket.destroy());
      socket.resume();
      if (socket.destroyed) queueMicrotask(finish);
    },
    write(bytes) {
      if (!ended && !socket.destroyed && !socket.write(bytes)) backlogged = true;
    },
    get queued() {
      return backlogged ? socket.writableLength : 0;
    },
    close() {
      socket.destroy();
    },
  };
}
