/** Programs that there is no other way around. */
import type { DeviceSystem } from "../../contract/v1/plugin.ts";

/** Where they may be. */
const DIRECTORIES = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** The path of a program; undefined if it is not installed. */
export async function findProgram(
  system: DeviceSystem,
  name: string,
): Promise<string | undefined> {
  for (const directory of DIRECTORIES) {
    const path = `${directory}/${name}`;
    if (await system.exists(path)) return path;
  }
  return undefined;
}
