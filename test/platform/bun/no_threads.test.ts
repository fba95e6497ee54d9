/** A storage helper starts and answers where there can be no process, and no thread, but itself. */
import { expect, test } from "bun:test";
import { spawn } from "node:child_process";
import { program } from "../../../platform/bun/program.ts";
import { decodeLine, encodeLine } from "../../../platform/storage/frames.ts";
import { PidsGroup } from "../../support/pids_group.ts";
import { requireReal } from "../../real/requirements.ts";

if (requireReal("a helper without threads", { root: true })) {
  test("a storage helper needs no thread", async () => {
    const group = new PidsGroup(`xdevd-test-helper-${process.pid}`);
    group.limit(1);
    const [file, ...args] = program.storageHelper.argv;
    const enter = `echo $$ > ${group.procs}; exec "$@"`;
    const child = spawn("/bin/sh", ["-c", enter, "sh", file!, ...args], {
      env: { ...program.storageHelper.env, PATH: process.env["PATH"] },
      stdio: ["pipe", "pipe", "pipe"],
    });
    const killer = setTimeout(() => child.kill("SIGKILL"), 60_000);
    let [said, complained] = ["", ""];
    child.stdout.on("data", (chunk) => said += chunk);
    child.stderr.on("data", (chunk) => complained += chunk);
    child.stdout.once("data", () => child.stdin.end());
    child.stdin.write(encodeLine({ on: "files", call: "stat", args: ["/"] }));
    const ended = await new Promise((resolve) => {
      child.once("close", (code, signal) => resolve(code ?? signal));
    });
    clearTimeout(killer);
    expect([ended, complained]).toEqual([0, ""]);
    expect(decodeLine(said.trimEnd())).toMatchObject({ value: { kind: "directory" } });
    await group.remove();
  }, 90_000);
}
