/**
 * argv in, exit code out. The one place that knows which backends are built in. Everything is loaded
 * when it is needed: hotplug scripts call the xenstore tools dozens of times for one device.
 */
import { asksForVersion } from "./core/cli/version_question.ts";
import { toolCalled } from "./core/multicall/tool_called.ts";
import { printLine } from "./core/platform/output.ts";
import { calledAs, commandLine, exit } from "./core/platform/self.ts";
import { VERSION } from "./core/version.ts";

const args = commandLine();
const tool = toolCalled(calledAs(), args);
if (tool !== null) {
  const { runTool } = await import("./core/multicall/tool.ts");
  exit(await runTool(tool));
}
const version = asksForVersion(args);
if (version === "line") exit(printLine(VERSION) ? 0 : 1);
// What the program starts to ask storage for it; nobody types that.
if (args[0] === "storage-helper") {
  const { serveStorage } = await import("./core/platform/storage_server.ts");
  await serveStorage();
  exit(0);
}
if (args[0] === "devd" && (args.includes("-F") || args.includes("--foreground"))) {
  const { tuneBeforeStart } = await import("./core/platform/tuning.ts");
  tuneBeforeStart(args);
}
const { builtIns } = await import("./built_in.ts");
if (version === "json") {
  const { printVersion } = await import("./core/cli/version_info.ts");
  exit(printVersion(builtIns));
}
const { runProgram } = await import("./core/cli/program.ts");
exit(await runProgram(args, builtIns));
