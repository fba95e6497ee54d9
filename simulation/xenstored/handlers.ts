/** What the server does for each operation. */
import type { Handler } from "./call.ts";
import { control } from "./control.ts";
import {
  getDomainPath,
  introduce,
  isIntroduced,
  release,
  resume,
  setTarget,
} from "./domain_operations.ts";
import { directory, directoryPart, makeDirectory, read, remove, write } from "./node_operations.ts";
import { getPermissions, setPermissions } from "./permission_operations.ts";
import { endTransaction, startTransaction } from "./transaction_operations.ts";
import { resetWatches, unwatch, watch } from "./watch_operations.ts";

/** All operations by name; those of later Xen versions are unknown here, as to 4.17. */
export const handlers: Readonly<Record<string, Handler>> = {
  CONTROL: { privileged: true, run: control },
  DIRECTORY: { run: directory },
  DIRECTORY_PART: { run: directoryPart },
  READ: { run: read },
  GET_PERMS: { run: getPermissions },
  WATCH: { ignoresTransaction: true, run: watch },
  UNWATCH: { ignoresTransaction: true, run: unwatch },
  TRANSACTION_START: { run: startTransaction },
  TRANSACTION_END: { run: endTransaction },
  INTRODUCE: { privileged: true, run: introduce },
  RELEASE: { privileged: true, run: release },
  GET_DOMAIN_PATH: { run: getDomainPath },
  WRITE: { run: write },
  MKDIR: { run: makeDirectory },
  RM: { run: remove },
  SET_PERMS: { run: setPermissions },
  IS_DOMAIN_INTRODUCED: { privileged: true, run: isIntroduced },
  RESUME: { privileged: true, run: resume },
  SET_TARGET: { privileged: true, run: setTarget },
  RESET_WATCHES: { run: resetWatches },
};
