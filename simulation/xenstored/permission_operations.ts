/** GET_PERMS, SET_PERMS. */
import { toText } from "../../core/xenstore/codec.ts";
import { formatPermission } from "../../core/xenstore/permissions.ts";
import {
  type Answer,
  answerStrings,
  type Call,
  DONE,
  pathArgument,
  strings,
  viewOf,
} from "./call.ts";
import { require } from "./failure.ts";
import type { NodePermission } from "./node.ts";
import { checkSize, target } from "./node_operations.ts";
import { permissionArgument } from "./numbers.ts";
import { exceeds } from "./quotas.ts";
import { find, grants } from "./rights.ts";
import type { SpecialName } from "./store.ts";
import { change } from "./tree.ts";

/** Tells a node's permissions, also of domains that are gone. */
export function getPermissions(call: Call): Answer {
  const { permissions } = target(call, "read").node;
  return answerStrings(...permissions.map(formatPermission));
}

/** Replaces a node's permissions. What they say is checked before it is asked who says it. */
export function setPermissions(call: Call): Answer {
  const { connection, store } = call;
  const [pathBytes, ...texts] = strings(call);
  require(pathBytes !== undefined && texts.length > 0, "EINVAL");
  const { permissions: limit } = store.quotas;
  require(connection.privileged || !exceeds(texts.length, limit), "ENOSPC");
  const permissions: NodePermission[] = texts.map(permissionArgument).map((entry) =>
    store.domains.has(entry.domid) ? entry : { ...entry, ignored: true }
  );
  const owner = permissions[0]!;
  require(!owner.ignored, "ENOENT");
  const name = toText(pathBytes);
  if (name.startsWith("@")) return setSpecialPermissions(call, name, permissions);
  const path = pathArgument(call, name);
  const view = viewOf(call);
  const node = find(view, path, connection, "own");
  require(connection.privileged || owner.domid === node.permissions[0]?.domid, "EPERM");
  checkSize(call, { ...node, permissions });
  change(view, path, node, { permissions });
  if (call.transaction !== null) call.transaction.announce(path, false);
  else store.fire(path, false, view.get(path)!, node.permissions);
  return DONE;
}

/**
 * Who hears of domains. An owner other than domain 0 may even give that away. 4.17 refuses with
 * whatever errno is left over from before: ENOENT for an unknown name, as a rule. For a guest that may
 * not, that is nothing at times, and 4.17 dies of it; EACCES is what is meant.
 */
function setSpecialPermissions(call: Call, name: string, permissions: NodePermission[]): Answer {
  const { connection, store } = call;
  require(name === "@introduceDomain" || name === "@releaseDomain", "ENOENT");
  const special: SpecialName = name;
  require(grants(store.special[special], connection, "own"), "EACCES");
  store.special[special] = permissions;
  return DONE;
}
