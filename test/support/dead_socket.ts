/** A socket file that nobody listens on: what a server leaves that was killed. */

/** Makes one at a path. */
export async function makeDeadSocket(path: string): Promise<void> {
  const program = `require("node:net").createServer().listen(${JSON.stringify(path)}, ` +
    `() => process.kill(process.pid, "SIGKILL"))`;
  const child = Bun.spawn([process.execPath, "-e", program], {
    stdout: "ignore",
    stderr: "ignore",
  });
  await child.exited;
}
