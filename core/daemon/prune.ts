/** Empty directories of the store, which nobody else removes. */
import { isServerError } from "../xenstore/errors.ts";
import { parentPath } from "../xenstore/paths.ts";
import type { Transaction } from "../xenstore/transaction.ts";

/** Removes empty, valueless directories above `path`, at most `levels`; a refusal ends it quietly. */
export async function prune(t: Transaction, path: string, levels: number): Promise<void> {
  let parent = parentPath(path);
  for (let level = 0; level < levels && parent !== null && parent !== "/"; level++) {
    try {
      if ((await t.list(parent)).length > 0 || await t.readText(parent) !== "") return;
      await t.remove(parent);
    } catch (error) {
      if (isServerError(error, "EACCES", "EPERM", "ENOENT")) return;
      throw error;
    }
    parent = parentPath(parent);
  }
}
