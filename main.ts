/** argv in, exit code out. The one place that knows which backends are built in. */
import { runProgram } from "./core/cli/program.ts";
import vbd from "./backends/vbd/plugin.ts";
import vif from "./backends/vif/plugin.ts";

process.exit(await runProgram(process.argv.slice(2), [vbd, vif]));
