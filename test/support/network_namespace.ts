/** Programs in a network namespace of their own, with interfaces made for the test. */

/**
 * A command that runs another one there. Scripts look into /sys, which shows the interfaces of the
 * namespace that mounted it; so it is mounted anew.
 * @param setup command lines of the shell, run first
 */
export function inNamespace(
  setup: readonly string[],
  command: readonly string[],
): [string, ...string[]] {
  const script = ["set -e", "mount -t sysfs sysfs /sys", ...setup, 'exec "$0" "$@"'].join("\n");
  return ["unshare", "--net", "--mount", "sh", "-c", script, ...command];
}

/**
 * Runs a command line in the namespaces of a process.
 * @returns what it printed
 * @throws Error with its line when it fails
 */
export async function runWithin(pid: number, line: string): Promise<string> {
  const argv = ["nsenter", "-t", String(pid), "--net", "--mount", "sh", "-c", line];
  const child = Bun.spawn(argv, { stdio: ["ignore", "pipe", "pipe"] });
  const [text, complaint] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  if (await child.exited !== 0) throw new Error(`${line} failed: ${complaint.trim()}`);
  return text.trimEnd();
}
