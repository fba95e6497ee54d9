/** The daemon's socket in the run directory: for root, who asks it for something. */
import { systemClock } from "../../platform/clock.ts";
import { listenUnix } from "../../platform/io/listener.ts";
import { effectiveUid } from "../../platform/self.ts";
import type { ByteStream, Listener } from "../../platform/types.ts";
import { openLog } from "../../core/log/log.ts";
import { Conversation } from "../../core/daemon/control/conversation.ts";
import { INTERFACE } from "../../core/daemon/control/interface.ts";
import { CONTROL_SOCKET } from "../../core/daemon/control/messages.ts";
import type { Controlled } from "../../core/daemon/control/methods.ts";

/** Most connections at a time, and how many of them may follow. */
export const CONNECTIONS_MAX = 16;
export const FOLLOWERS_MAX = 8;

/** The socket; `close` removes it. */
export interface ControlSocket {
  close(): void;
}

/**
 * Listens, in a moment. A daemon that cannot be asked serves all the same: what is in the way is a
 * warning.
 */
export function openControlSocket(runDir: string, daemon: Controlled): ControlSocket {
  const open = new Set<Conversation>();
  let closed = false;
  const path = `${runDir}/${CONTROL_SOCKET}`;
  const accept = (stream: ByteStream, uid: number | null) => {
    if (closed || open.size >= CONNECTIONS_MAX && !dismissOne(open)) return stream.close();
    const conversation: Conversation = new Conversation({
      ...{ stream, clock: systemClock, daemon },
      permitted: uid === 0 || uid !== null && uid === effectiveUid(),
      mayFollow: () =>
        [...open].filter(({ follows }) => follows).length < FOLLOWERS_MAX ? null : {
          error: `${INTERFACE}.TooManyFollowers`,
          parameters: { most: FOLLOWERS_MAX },
        },
      ended() {
        open.delete(conversation);
        daemon.asked?.();
      },
    });
    open.add(conversation);
  };
  const listening: Promise<Listener | null> = listenUnix(path, accept).catch((error: Error) => {
    openLog().warning(`nobody can ask this daemon for anything: ${path}: ${error.message}`);
    return null;
  });
  return {
    close() {
      closed = true;
      for (const conversation of open) conversation.close();
      void listening.then((listener) => listener?.close());
    },
  };
}

/** Makes room for another one: who has asked nothing for longest has to leave. */
function dismissOne(open: Set<Conversation>): boolean {
  let longest: { one: Conversation; since: number } | null = null;
  for (const one of open) {
    const since = one.follows ? null : one.idleSince;
    if (since !== null && (longest === null || since < longest.since)) longest = { one, since };
  }
  if (longest === null) return false;
  open.delete(longest.one);
  longest.one.close();
  return true;
}
