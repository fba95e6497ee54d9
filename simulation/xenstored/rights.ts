/** Who may do what with a node (C: `perm_for_conn`, `errno_from_parents`). */
import { mayRead, mayWrite } from "../../core/xenstore/permissions.ts";
import { parentPath } from "../../core/xenstore/paths.ts";
import { Failure } from "./failure.ts";
import type { Node, NodePermission, NodeView } from "./node.ts";

/** What an operation needs. */
export type Right = "read" | "write" | "own";

/** Who asks. */
export interface Caller {
  readonly domid: number;
  /** Whether everything is allowed and no quota applies. */
  readonly privileged: boolean;
  /** A domain whose rights the caller has besides its own, or null. */
  readonly target: number | null;
}

/** Whether a permission list grants a right. The first entry that names the caller decides. */
export function grants(
  permissions: readonly NodePermission[],
  caller: Caller,
  right: Right,
): boolean {
  const isCaller = (domid: number) => domid === caller.domid || domid === caller.target;
  const [owner, ...others] = permissions;
  if (owner === undefined || caller.privileged || isCaller(owner.domid)) return true;
  if (right === "own") return false;
  const { access } = others.find((entry) => !entry.ignored && isCaller(entry.domid)) ?? owner;
  return right === "read" ? mayRead(access) : mayWrite(access);
}

/**
 * Finds a node for an operation.
 * @throws Failure EACCES, or ENOENT only for a caller who has the right on the nearest ancestor that
 *   exists: others must not learn what is there and what is not
 */
export function find(view: NodeView, path: string, caller: Caller, right: Right): Node {
  const node = view.get(path);
  if (node !== undefined && grants(node.permissions, caller, right)) return node;
  // Whoever may write a directory may know what is in it, though it takes an owner to do more.
  const toKnow = right === "own" ? "write" : right;
  for (let parent = parentPath(path); parent !== null; parent = parentPath(parent)) {
    const ancestor = view.get(parent);
    if (ancestor === undefined) continue;
    if (!grants(ancestor.permissions, caller, toKnow)) throw new Failure("EACCES");
    break;
  }
  throw new Failure(node === undefined ? "ENOENT" : "EACCES");
}
