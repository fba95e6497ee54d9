/** WATCH, UNWATCH, RESET_WATCHES. */
import { toText } from "../xenstore/codec.ts";
import { domainPath } from "../xenstore/paths.ts";
import { acknowledge, type Call, pathArgument, strings } from "./call.ts";
import type { ServerWatch } from "./connection.ts";
import { require } from "./failure.ts";

/** What WATCH and UNWATCH name: a watch, be it registered or not. */
function watchArguments(call: Call): ServerWatch {
  const [pathBytes, token, ...more] = strings(call);
  require(pathBytes !== undefined && token !== undefined && more.length === 0, "EINVAL");
  const text = toText(pathBytes);
  if (text.startsWith("@")) {
    const { pathLength } = call.server.quotas;
    require(pathLength === 0 || text.length <= pathLength, "EINVAL");
    return { path: text, token, relative: 0 };
  }
  const home = domainPath(call.connection.domid);
  const relative = text.startsWith("/") ? 0 : home.length + 1;
  return { path: pathArgument(call, text), token, relative };
}

function indexOf(watches: readonly ServerWatch[], { path, token }: ServerWatch): number {
  return watches.findIndex((other) => other.path === path && equal(other.token, token));
}

/** Tokens are any bytes, hence no text to compare. */
function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, at) => byte === b[at]);
}

/** Registers a watch: first the acknowledgement, then its first event. */
export function watch(call: Call): void {
  const { connection, server } = call;
  const wanted = watchArguments(call);
  require(indexOf(connection.watches, wanted) < 0, "EEXIST");
  if (!connection.privileged) {
    const { watches: limit } = server.quotas;
    // 4.17 refuses only once the limit has been passed: one more than it says.
    require(limit === 0 || server.used(connection.domid, "watches") <= limit, "E2BIG");
  }
  // A copy: what came is a view of a larger buffer.
  const added = { ...wanted, token: wanted.token.slice() };
  connection.watches.push(added);
  acknowledge(call);
  connection.event(added.path, added);
}

/** Ends a watch. */
export function unwatch(call: Call): void {
  const { watches } = call.connection;
  const index = indexOf(watches, watchArguments(call));
  require(index >= 0, "ENOENT");
  watches.splice(index, 1);
  acknowledge(call);
}

/** Ends all watches, and with them the transactions, of the caller's connection. */
export function resetWatches(call: Call): void {
  call.connection.watches.length = 0;
  call.connection.transactions.clear();
  acknowledge(call);
}
