/** Bad input, with the embedded store: runs everywhere. */
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { badInput } from "./bad_input.ts";

badInput("the embedded store", () => startEmbeddedStore([1, 7]));
