/** On what machine, and with which versions of everything, the benchmarks run. */
import { spawnSync } from "node:child_process";
import * as os from "node:os";
import { VERSION } from "../../core/version.ts";
import type { Environment } from "./result.ts";

/** Debian packages of peers. */
const PACKAGES = ["xen-utils-4.17", "xen-utils-common", "libxenstore4", "bash", "python3-minimal"];

/** As it is now. Packages that are not installed are left out. */
export function environment(): Environment {
  const processors = os.cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    processor: processors[0]?.model.trim() ?? os.arch(),
    processors: processors.length,
    load: Math.round(os.loadavg()[0]! * 100) / 100,
    kernel: `${os.type()} ${os.release()}`,
    versions: { xdevd: VERSION, bun: Bun.version, ...packageVersions() },
  };
}

function packageVersions(): Record<string, string> {
  const format = "${db:Status-Status} ${Package} ${Version}\n";
  const { stdout } = spawnSync("dpkg-query", ["-W", "-f", format, ...PACKAGES], {
    encoding: "utf8",
  });
  const installed = (stdout ?? "").split("\n").map((line) => line.split(" "))
    .filter(([status]) => status === "installed")
    .map(([, name, version]) => [name!, version!]);
  return Object.fromEntries(installed);
}
