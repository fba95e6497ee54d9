/**
 * argv in, exit code out. The one place that knows which backends are built in. Everything is loaded
 * when it is needed: hotplug scripts call the xenstore tools dozens of times for one device.
 */
import { asksForVersion } from "./core/cli/version_question.ts";
import { toolCalled } from "./core/multicall/tool_called.ts";
import { calledAs } from "./core/platform/self.ts";
import { printLine } from "./core/platform/output.ts";
import { VERSION } from "./core/version.ts";

const args = process.argv.slice(2);
const tool = toolCalled(calledAs(), args);
if (tool !== null) {
  const { runTool } = await import("./core/multicall/tool.ts");
  process.exit(await runTool(tool));
}
const version = asksForVersion(args);
if (version === "line") {
  process.exit(await printLine(VERSION) ? 0 : 1);
}
if (args[0] === "devd" && (args.includes("-F") || args.includes("--foreground"))) {
  const { tuneBeforeStart } = await import("./core/platform/tuning.ts");
  tuneBeforeStart(args);
}
const { builtIns } = await import("./built_in.ts");
if (version === "json") {
  const { printVersion } = await import("./core/cli/version_info.ts");
  process.exit(printVersion(builtIns));
}
const { runProgram } = await import("./core/cli/program.ts");
process.exit(await runProgram(args, builtIns));
