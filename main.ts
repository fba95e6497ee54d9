/**
 * argv in, exit code out. The one place that knows which backends are built in. Everything is loaded
 * when it is needed: hotplug scripts call the xenstore tools dozens of times for one device.
 */
import { asksForVersion } from "./commands/version_question.ts";
import { toolCalled } from "./commands/store/tools/tool_called.ts";
import { printLine } from "./platform/io/output.ts";
import { calledAs, commandLine, exit } from "./platform/self.ts";
import { VERSION } from "./core/version.ts";

const args = commandLine();
const tool = toolCalled(calledAs(), args);
if (tool !== null) {
  const { runTool } = await import("./commands/store/tools/tool.ts");
  exit(await runTool(tool));
}
const version = asksForVersion(args);
if (version === "line") exit(printLine(VERSION) ? 0 : 1);
// What the program starts to ask storage for it; nobody types that.
if (args[0] === "storage-helper") {
  const { serveStorage } = await import("./platform/storage/server.ts");
  await serveStorage();
  exit(0);
}
// What the daemon starts for a device that this program serves itself.
if (args[0] === "device-server" && args[1] !== undefined) {
  const { serveDevice } = await import("./commands/device_server/serve.ts");
  const { builtIns } = await import("./built_in.ts");
  await serveDevice([args[1], args[2]], builtIns);
  exit(0);
}
if (args[0] === "devd" && (args.includes("-F") || args.includes("--foreground"))) {
  const { tuneBeforeStart } = await import("./platform/tuning.ts");
  tuneBeforeStart(args);
}
const { builtIns } = await import("./built_in.ts");
if (version === "json") {
  const { printVersion } = await import("./commands/version_info.ts");
  exit(printVersion(builtIns));
}
const { runProgram } = await import("./commands/program.ts");
exit(await runProgram(args, builtIns));
