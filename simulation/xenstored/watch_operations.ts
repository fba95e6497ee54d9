/** WATCH, UNWATCH, RESET_WATCHES. */
import { toText } from "../../core/xenstore/codec.ts";
import { absolutePath, domainPath } from "../../core/xenstore/paths.ts";
import { type Answer, type Call, DONE, pathArgument, strings } from "./call.ts";
import { require } from "./failure.ts";
import type { ServerWatch } from "./watches.ts";

/** The path and the token that WATCH and UNWATCH name. @throws Failure EINVAL */
function watchArguments(call: Call): { text: string; token: Uint8Array } {
  const [pathBytes, token, ...more] = strings(call);
  require(pathBytes !== undefined && token !== undefined && more.length === 0, "EINVAL");
  return { text: toText(pathBytes), token };
}

/** A watch that can be registered. @throws Failure EINVAL */
function newWatch(call: Call): ServerWatch {
  const { text, token } = watchArguments(call);
  if (text.startsWith("@")) {
    const { pathLength } = call.store.quotas;
    require(pathLength === 0 || text.length <= pathLength, "EINVAL");
    return { path: text, token, relative: 0 };
  }
  const home = domainPath(call.connection.domid);
  const relative = text.startsWith("/") ? 0 : home.length + 1;
  return { path: pathArgument(call, text), token, relative };
}

/** Registers a watch: first the acknowledgement, then its first event. */
export function watch(call: Call): Answer {
  const { connection, store } = call;
  const wanted = newWatch(call);
  require(!connection.watches.has(wanted), "EEXIST");
  if (!connection.privileged) {
    const { watches: limit } = store.quotas;
    // 4.17 refuses only once the limit has been passed: one more than it says.
    require(limit === 0 || store.used(connection.domid, "watches") <= limit, "E2BIG");
  }
  // A copy: what came is a view of a larger buffer.
  const added = { ...wanted, token: wanted.token.slice() };
  connection.watches.add(added);
  return { ...DONE, after: () => connection.event(added.path, added) };
}

/** Ends a watch. Whether its path is one that can be watched is not asked. */
export function unwatch(call: Call): Answer {
  const { text, token } = watchArguments(call);
  const path = absolutePath(text, domainPath(call.connection.domid));
  require(call.connection.watches.remove({ path, token }), "ENOENT");
  return DONE;
}

/** Ends all watches, and with them the transactions, of the caller's connection. */
export function resetWatches(call: Call): Answer {
  call.connection.watches.clear();
  call.connection.transactions.clear();
  return DONE;
}
