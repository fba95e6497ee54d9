/** Purging the Debian package, by its own script: in a mount namespace whose /run and /var/log are empty. */
import { beforeAll, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { requireReal } from "./requirements.ts";

/** What the script may find: no program that would change this machine. */
const PROGRAMS = ["grep", "ls", "rm", "rmdir"];

/** @param prepare what there is before, as a shell script in /run @returns what the script said, and what is there after */
function purge(prepare: string) {
  const script = `set -e
programs=$(mktemp -d)
for name in ${PROGRAMS.join(" ")}; do ln -s "$(command -v $name)" "$programs/$name"; done
mount -t tmpfs none /run
mount -t tmpfs none /var/log
mkdir -p /run/xdevd /var/log/xen
cd /run
${prepare}
cd /
if PATH=$programs /bin/sh "$POSTRM" purge; then echo ok; fi
[ ! -e /run/xdevd ] || find /run/xdevd | sort
rm -r "$programs"`;
  const { stdout, stderr, status } = spawnSync("unshare", ["-m", "sh", "-c", script], {
    encoding: "utf8",
    env: { ...process.env, POSTRM: `${process.cwd()}/packaging/debian/postrm` },
  });
  return { lines: stdout.trim().split("\n"), stderr, status };
}

const needs = { packages: ["util-linux"], root: true } as const;
if (requireReal("purging the package where something is mounted", needs)) {
  beforeAll(() => {
    if (existsSync("/usr/sbin/xdevd")) throw new Error("xdevd is installed on this machine");
  });

  test("all that the daemon had is gone", () => {
    const { lines, stderr, status } = purge("mkdir xdevd/journal; echo a >xdevd/journal/a");
    expect({ lines, stderr, status }).toEqual({ lines: ["ok"], stderr: "", status: 0 });
  });

  test.each([
    ["a file system of its own", "mount -t tmpfs none xdevd/work"],
    ["a directory of the same one", "mkdir other; mount --bind other xdevd/work"],
  ])("what is mounted there stays, and that is said: %s", (_, mount) => {
    const { lines, stderr, status } = purge(
      `mkdir xdevd/work; ${mount}; echo a >xdevd/work/precious; echo b >xdevd/b`,
    );
    expect(lines[0]).toBe("ok");
    expect(lines).toContain("/run/xdevd/work/precious");
    expect(stderr).toBe("xdevd: /run/xdevd stays: something is mounted in it\n");
    expect(status).toBe(0);
  });
}
