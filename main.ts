/**
 * argv in, exit code out. The one place that knows which backends are built in. Everything is loaded
 * when it is needed: hotplug scripts call the xenstore tools dozens of times for one device.
 */
import { asksForVersion } from "./core/cli/version_question.ts";
import { toolCalled } from "./core/multicall/call.ts";
import { calledAs } from "./core/platform/invocation.ts";

const args = process.argv.slice(2);
const tool = toolCalled(calledAs(), args);
if (tool !== null) {
  const { runTool } = await import("./core/multicall/tool.ts");
  process.exit(await runTool(tool));
}
const loadBuiltIns = async () => (await import("./built_in.ts")).builtIns;
const version = asksForVersion(args);
if (version !== null) {
  const { printVersion } = await import("./core/cli/version_info.ts");
  process.exit(await printVersion(version, loadBuiltIns));
}
const { runProgram } = await import("./core/cli/program.ts");
process.exit(await runProgram(args, await loadBuiltIns()));
