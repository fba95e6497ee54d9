/** `xdevd --version --json`. */
import type { BuiltIn } from "../core/daemon/plugin/host.ts";
import { BUILD } from "../core/build_info.ts";
import { machineName, printTo, runtimeVersion } from "../platform/self.ts";
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
  printTo(1, `${JSON.stringify(info, null, 2)}\n`);
  return 0;
}
