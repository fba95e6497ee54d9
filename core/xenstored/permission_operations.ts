/** GET_PERMS, SET_PERMS. */
import { nulTerminated, toText } from "../xenstore/codec.ts";
import { formatPermission } from "../xenstore/permissions.ts";
import { acknowledge, answer, type Call, pathArgument, strings, viewOf } from "./call.ts";
import { require } from "./failure.ts";
import { checkSize, target } from "./node_operations.ts";
import { permissionArgument } from "./numbers.ts";
import { exceeds } from "./quotas.ts";
import { find, grants, type NodePermission } from "./rights.ts";
import type { SpecialName } from "./server.ts";
import { change } from "./tree.ts";

/** Tells a node's permissions, also of domains that are gone. */
export function getPermissions(call: Call): void {
  const { permissions } = target(call, "read").node;
  answer(call, nulTerminated(...permissions.map(formatPermission)));
}

/** Replaces a node's permissions. What they say is checked before it is asked who says it. */
export function setPermissions(call: Call): void {
  const { connection, server } = call;
  const [pathBytes, ...texts] = strings(call);
  require(pathBytes !== undefined && texts.length > 0, "EINVAL");
  const { permissions: limit } = server.quotas;
  require(connection.privileged || !exceeds(texts.length, limit), "ENOSPC");
  const permissions: NodePermission[] = texts.map(permissionArgument).map((entry) =>
    server.domains.has(entry.domid) ? entry : { ...entry, ignored: true }
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
  else server.fire(path, false, view.get(path)!, node.permissions);
  acknowledge(call);
}

/**
 * Who hears of domains. An owner other than domain 0 may even give that away. 4.17 refuses with
 * whatever errno is left over from before (EINVAL and ENOENT were seen); these are the names meant.
 */
function setSpecialPermissions(call: Call, name: string, permissions: NodePermission[]): void {
  const { connection, server } = call;
  require(name === "@introduceDomain" || name === "@releaseDomain", "EINVAL");
  const special: SpecialName = name;
  require(grants(server.special[special], connection, "own"), "EACCES");
  server.special[special] = permissions;
  acknowledge(call);
}
