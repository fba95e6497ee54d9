/** `xdevd doctor`, with the embedded store: runs everywhere. */
import { startEmbeddedStore } from "../support/embedded_store.ts";
import { doctorFinds } from "./doctor.ts";

doctorFinds("the embedded store", () => startEmbeddedStore([1, 7]), { together: true });
