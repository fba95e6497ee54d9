/** argv in, exit code out. The one place that knows which backends are built in. */
import { runProgram } from "./core/cli/program.ts";
import { builtIns } from "./built_in.ts";

process.exit(await runProgram(process.argv.slice(2), builtIns));
