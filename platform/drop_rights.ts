/** A process of root's that becomes nobody, for good. */
import { sys } from "./kernel.ts";
import { must, systemError } from "./system_error.ts";

// linux/prctl.h
const PR_SET_NO_NEW_PRIVS = 38;

/**
 * Becomes a user, and a group of the same number, in no other group and without capabilities.
 * @throws SystemError, also when root's rights would not be gone
 */
export function becomeUser(user: number): void {
  must(() => sys.setgroups(), "setgroups");
  must(() => sys.setresgid(user), `setresgid ${user}`);
  must(() => sys.setresuid(user), `setresuid ${user}`);
  must(() => sys.prctl(PR_SET_NO_NEW_PRIVS, 1), "no_new_privs");
  if (sys.setresuid(0) >= 0) throw systemError("EPERM", "root's rights could not be given up");
}
