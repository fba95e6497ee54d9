/** The daemon's socket in the run directory: for root, who asks it for something. */
import { systemClock } from "../../platform/clock.ts";
import { listenUnix } from "../../platform/io/listener.ts";
import type { ByteStream, Listener } from "../../platform/types.ts";
import { openLog } from "../../core/log/log.ts";
import {
  CONTROL_SOCKET,
  encodeMessage,
  MESSAGE_MAX,
  MessageSplitter,
} from "../../core/daemon/control/messages.ts";
import { answerTo, type ControlledDevices } from "../../core/daemon/control/methods.ts";

/** Most connections at a time, and how long each may last, in ms. */
const CONNECTIONS_MAX = 8;
const CONNECTION_MS = 30_000;

/** The socket; `close` removes it. */
export interface ControlSocket {
  close(): void;
}

/**
 * Listens, in a moment. A daemon that cannot be asked serves all the same: what is in the way is a
 * warning.
 */
export function openControlSocket(runDir: string, devices: ControlledDevices): ControlSocket {
  const open = new Set<ByteStream>();
  let closed = false;
  const path = `${runDir}/${CONTROL_SOCKET}`;
  const listening: Promise<Listener | null> = listenUnix(path, (stream) => {
    if (closed || open.size >= CONNECTIONS_MAX) return stream.close();
    open.add(stream);
    converse(stream, devices, () => open.delete(stream));
  }).catch((error: Error) => {
    openLog().warning(`nobody can ask this daemon for anything: ${path}: ${error.message}`);
    return null;
  });
  return {
    close() {
      closed = true;
      for (const stream of open) stream.close();
      void listening.then((listener) => listener?.close());
    },
  };
}

function converse(stream: ByteStream, devices: ControlledDevices, ended: () => void): void {
  const splitter = new MessageSplitter();
  const cancel = systemClock.after(CONNECTION_MS, () => stream.close());
  stream.start({
    data(chunk) {
      try {
        for (const message of splitter.push(chunk)) {
          stream.write(encodeMessage(answerTo(message, devices)));
          // Whoever asks and does not read is not waited for.
          if (stream.queued > MESSAGE_MAX) return stream.close();
        }
      } catch {
        // It speaks something else.
        stream.close();
      }
    },
    closed() {
      cancel();
      ended();
    },
  });
}
