/** Storage is asked by helpers: this process has one thread. */
import { StorageHelpers } from "../storage/helpers.ts";

/** See `Far`. */
export const far = new StorageHelpers();
