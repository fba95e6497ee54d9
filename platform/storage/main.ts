/** A storage helper as a program of its own, where the program is run from source. */
import { exit } from "../self.ts";
import { serveStorage } from "./server.ts";

await serveStorage();
exit(0);
