/** `xdevd store …`: looking at and changing the store by hand, and from scripts. */
import { printTo } from "../../platform/self.ts";
import { toText } from "../../core/xenstore/codec.ts";
import { createDomainHome } from "../../simulation/domains.ts";
import { domainPath, joinPath } from "../../core/xenstore/paths.ts";
import { printable } from "../../core/log/log.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { formatPermission, parsePermissions } from "../../core/xenstore/permissions.ts";
import { connectStore } from "../../machine/connect.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";

/** Something done with a store; returns the exit status. */
export type StoreAction = (store: StoreClient) => Promise<number>;

/** Connects, acts, and disconnects. */
export async function withStore(path: string | undefined, action: StoreAction): Promise<number> {
  const { store } = await connectStore(path);
  try {
    return await store.whileConnected(action(store));
  } finally {
    store.close();
  }
}

function print(line: string): void {
  printTo(1, `${line}\n`);
}

/** Prints the values of nodes, a line each. */
export function readNodes(paths: readonly string[]): StoreAction {
  return async (store) => {
    const values = await Promise.all(paths.map((path) => store.read(path)));
    for (const value of values) print(toText(value));
    return ExitCode.Success;
  };
}

/** Writes nodes, all or nothing; arguments alternate between path and value. */
export function writeNodes(pairs: readonly string[]): StoreAction {
  if (pairs.length === 0 || pairs.length % 2 !== 0) {
    throw new CodedError("usage", "expected pairs of PATH and VALUE");
  }
  return async (store) => {
    await store.transaction(async (t) => {
      for (let at = 0; at < pairs.length; at += 2) await t.write(pairs[at]!, pairs[at + 1]!);
    });
    return ExitCode.Success;
  };
}

/** Prints the names of a node's children, a line each. */
export function listNode(path: string): StoreAction {
  return async (store) => {
    for (const name of await store.list(path)) print(name);
    return ExitCode.Success;
  };
}

/** Prints everything below a node: paths, values, and with `permissions` who may do what. */
export function listTree(path: string, permissions: boolean): StoreAction {
  return async (store) => {
    const walk = async (node: string): Promise<void> => {
      for (const name of await store.list(node)) {
        const child = joinPath(node, name);
        const value = await store.readOptional(child);
        if (value === undefined) continue;
        const who = permissions
          ? ` (${(await store.getPermissions(child)).map(formatPermission).join(",")})`
          : "";
        print(`${child} = "${printable(value)}"${who}`);
        await walk(child);
      }
    };
    await walk(path);
    return ExitCode.Success;
  };
}

/** Removes nodes with all below them. */
export function removeNodes(paths: readonly string[]): StoreAction {
  return async (store) => {
    await store.transaction(async (t) => {
      for (const path of paths) await t.remove(path);
    });
    return ExitCode.Success;
  };
}

/** Exits with 0 if all nodes exist, else with 1. */
export function nodesExist(paths: readonly string[]): StoreAction {
  return async (store) => {
    const all = await Promise.all(paths.map((path) => store.exists(path)));
    return all.every(Boolean) ? ExitCode.Success : ExitCode.Failure;
  };
}

/** Replaces a node's permissions. */
export function setPermissions(path: string, permissions: readonly string[]): StoreAction {
  const entries = parsePermissions(permissions.join(" "));
  return async (store) => {
    await store.setPermissions(path, entries);
    return ExitCode.Success;
  };
}

/** Tells the store of a new domain: with `xdevd xenstored`, it gets a socket, and its nodes. */
export function introduceDomain(domid: number): StoreAction {
  return async (store) => {
    // The embedded server has no use for the ring's frame and port; they must not be 0.
    await store.introduceDomain(domid, 1, 1);
    if (!await store.exists(domainPath(domid))) {
      await createDomainHome(store, { domid, driverDomain: true });
    }
    return ExitCode.Success;
  };
}

/** Makes the store forget a domain, as if it had died: what it owned is deleted. */
export function releaseDomain(domid: number): StoreAction {
  return async (store) => {
    await store.releaseDomain(domid);
    return ExitCode.Success;
  };
}

/** Prints the path of each change at or below a node; ends after `count` lines, if given. */
export function watchNode(path: string, count: number | undefined): StoreAction {
  return async (store) => {
    const done = Promise.withResolvers<number>();
    done.promise.catch(() => {});
    let seen = 0;
    await store.watch(path, (changed) => {
      try {
        print(changed);
      } catch (error) {
        done.reject(error);
      }
      seen++;
      if (seen === count) done.resolve(ExitCode.Success);
    });
    return await done.promise;
  };
}
