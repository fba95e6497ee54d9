/** Storage may not answer: it is asked by helpers, never by this process. */
import { systemPipedChildren } from "./io/child.ts";
import { program } from "./runtime.ts";
import { StorageHelpers } from "./storage/helpers.ts";
import { placeOf } from "./storage/place.ts";

/** The machine's storage. */
export const storage: StorageHelpers = new StorageHelpers({
  start: (complaint) => systemPipedChildren.start({ ...program.storageHelper, complaint }),
  placeOf,
  keepMs: program.storageHelper.keepMs,
});
