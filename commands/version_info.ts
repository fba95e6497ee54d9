/** `xdevd --version --json`. */
import type { BuiltIn } from "../core/daemon/plugin/host.ts";
import { BUILD } from "../core/build_info.ts";
import { printJson } from "./json_output.ts";
import { machineName, runtimeVersion } from "../platform/self.ts";
import { VERSION } from "../core/version.ts";

/** Prints the version as JSON, with all that was built in. */
export function printVersion(builtIns: readonly BuiltIn[]): number {
  const plugins = builtIns.map(({ manifest }) => ({
    name: manifest.name,
    version: manifest.version,
    kinds: manifest.kinds,
  }));
  const { commit, target } = BUILD;
  const info = {
    name: "xdevd",
    version: VERSION,
    commit,
    target: target ?? machineName(),
    compiled: target !== null,
    runtime: runtimeVersion(),
    plugins,
  };
  printJson(info);
  return 0;
}
