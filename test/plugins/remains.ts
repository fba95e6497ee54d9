/** What a check has left on the machine. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** Loop devices, mounts, processes and control groups of checks in a directory, a line each. */
export async function remains(directory: string): Promise<string[]> {
  const left: string[] = [];
  for (const name of read(() => readdirSync("/sys/block"))) {
    const file = read(() => [readFileSync(`/sys/block/${name}/loop/backing_file`, "utf8")])[0] ??
      "";
    if (file.startsWith(`${directory}/`)) left.push(`${name} of ${file}`);
  }
  for (const line of readFileSync("/proc/self/mountinfo", "utf8").split("\n")) {
    if (line.includes(` ${directory}/`)) left.push(line);
  }
  for (const pid of readdirSync("/proc").filter((name) => /^\d+$/.test(name))) {
    const of = (file: string) =>
      read(() => [readFileSync(join("/proc", pid, file), "utf8")]).join();
    if (of("environ").includes(`${directory}/xdevd-check-`) || of("cmdline").includes("98765")) {
      left.push(`process ${pid}: ${of("cmdline")}`);
    }
  }
  return left;
}

/** What has gone meanwhile is not there. */
function read(look: () => string[]): string[] {
  try {
    return look();
  } catch {
    return [];
  }
}
