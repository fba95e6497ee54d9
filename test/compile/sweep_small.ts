/** Runs in the small binary, in place of the program. */
import { host } from "../../platform/quickjs/host.ts";
import { decoderSweep } from "./decoder_sweep.ts";

host.sys.write(1, new TextEncoder().encode(decoderSweep()));
host.exit(0);
