/**
 * What the daemon does with what nobody should have written. The same cases run on the embedded
 * store and on Debian's.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmod, chown, mkdir, mkdtemp, readdir, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, until } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";

const DRIVER = 1;
const GUEST = 7;

/** A store with the domains 1 and 7. */
export interface StoreUnderTest {
  socketPath(domid: number): string;
  stop(): Promise<void>;
}

/** Registers the cases. */
export function badInput(name: string, startStore: () => Promise<StoreUnderTest>): void {
  describe(`bad input on ${name}`, () => {
    let store: StoreUnderTest;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let scripts: string;
    let nextDevid = 51712;

    beforeAll(async () => {
      store = await startStore();
      dom0 = await connectTo(store.socketPath(0));
      await makeDomain(dom0, DRIVER);
      await makeDomain(dom0, GUEST);
      directory = await mkdtemp(join(tmpdir(), "xdevd-bad-input-"));
      scripts = join(directory, "scripts");
      await mkdir(scripts, { mode: 0o755 });
      await script("good", 'echo "$XENBUS_PATH $1" >> "$(dirname "$0")/../ran"; exit 0');
      daemon = await DaemonProcess.start([
        ...["--store", store.socketPath(DRIVER), "--run-dir", join(directory, "run")],
        ...["--scripts", scripts, "--script-timeout", "0.5"],
      ]);
    });

    afterAll(async () => {
      // After all that has happened to it.
      expect(daemon.running).toBeTrue();
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
      await rm(directory, { recursive: true });
    });

    async function script(file: string, body: string, mode = 0o755): Promise<string> {
      const path = join(scripts, file);
      await writeFile(path, body.startsWith("#!") ? body : `#!/bin/sh\n${body}\n`);
      await chmod(path, mode);
      return path;
    }

    function device(): HandMadeDevice {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: nextDevid };
      nextDevid += 16;
      return new HandMadeDevice(dom0, id);
    }

    /** What every failed attach must look like, from the outside. */
    async function fails(nodes: Record<string, string>, error: RegExp): Promise<HandMadeDevice> {
      const bad = device();
      await bad.create(nodes);
      await bad.write("state", "2");
      await bad.reaches("hotplug-error", error);
      await bad.reaches("hotplug-status", "error");
      // The guest and the toolstack see the end.
      await bad.reaches("state", "6");
      const errors = () =>
        daemon.lines(`vbd/${GUEST}/${bad.id.devid}`).filter((line) => line.includes(" error "));
      // What it prints may arrive behind what it writes to the store.
      await until(() => errors().length > 0, () => "no error was printed");
      const about = errors();
      expect(about).toHaveLength(1);
      expect(about[0]).toMatch(error);
      await bad.detach();
      await bad.gone();
      return bad;
    }

    test("a script that is missing", async () => {
      await fails({ script: join(scripts, "absent") }, /script ".*\/absent" does not exist/);
    });

    test("no script at all", async () => {
      await fails({}, /the backend names no script/);
    });

    test("a script that is not executable", async () => {
      await fails(
        { script: await script("plain", "exit 0", 0o644) },
        /is not executable \(mode 0644\)/,
      );
    });

    test("a script that everybody can write", async () => {
      await fails(
        { script: await script("open", "exit 0", 0o777) },
        /is writable by others \(mode 0777/,
      );
    });

    test("a script in a directory that everybody can write", async () => {
      await mkdir(join(scripts, "open-directory"));
      await chmod(join(scripts, "open-directory"), 0o777);
      const path = await script("open-directory/script", "exit 0");
      await fails({ script: path }, /its directory .* is writable by others/);
    });

    test("a script of somebody else's", async () => {
      if (process.getuid?.() !== 0) {
        console.error("NOT RUN: a script of somebody else's: only root can make one");
        return;
      }
      const path = await script("foreign", "exit 0");
      await chown(path, 12345, 12345);
      await fails({ script: path }, /belongs to uid 12345/);
    });

    test("a script outside the allowed directory, plainly and through a link", async () => {
      await fails({ script: "/bin/true" }, /"\/bin\/true" is outside the allowed directory/);
      await fails({ script: `${scripts}/../evil` }, /has a \.\. in its path/);
      await symlink("/bin/true", join(scripts, "link"));
      await fails({ script: join(scripts, "link") }, /is outside the allowed directory/);
    });

    test("a script that is a directory", async () => {
      await mkdir(join(scripts, "directory"));
      await fails({ script: join(scripts, "directory") }, /is a directory, not a regular file/);
    });

    test("a script with control characters in its name", async () => {
      await fails({ script: `${scripts}/a\x1b[31mb` }, /has control characters in its name/);
      expect(daemon.log).not.toContain("\x1b");
    });

    test("a script whose interpreter is missing", async () => {
      const path = await script("no-interpreter", "#!/does/not/exist\n");
      await fails({ script: path }, /cannot be started: .*#! line, does not exist/);
    });

    test("a script that fails, and says why", async () => {
      const path = await script("fails", "echo this is why >&2; exit 3");
      await fails({ script: path }, /fails add: exited with status 3/);
      expect(daemon.lines("this is why").length).toBeGreaterThan(0);
    });

    test("a script that hangs is killed with all it started", async () => {
      const path = await script(
        "hangs",
        '[ "$1" = remove ] && exit 0; trap "" TERM; sleep 3456 & echo $! > "$0.pid"; sleep 3456',
      );
      await fails({ script: path }, /did not end within 0.5 s and was killed/);
      const pid = Number(await Bun.file(`${path}.pid`).text());
      await until(() => ended(pid), () => `grandchild ${pid} still runs`);
    });

    test("a script that is killed", async () => {
      const path = await script("killed", '[ "$1" = remove ] && exit 0; kill -9 $$');
      await fails({ script: path }, /was killed by SIGKILL/);
    });

    test("a script that succeeds without a result", async () => {
      const path = await script("no-result", "exit 0");
      await fails({ script: path }, /succeeded but wrote no physical-device/);
    });

    test("frontend-id and frontend that do not match the path", async () => {
      const good = join(scripts, "good");
      await fails({ script: good, "frontend-id": "8" }, /frontend-id is "8"; its path says 7/);
      await fails({ script: good, "frontend-id": "7\n8" }, /frontend-id is "7\\n8"/);
      await fails(
        { script: good, frontend: "/local/domain/8/device/vbd/51712" },
        /frontend is "\/local\/domain\/8.*expected \/local\/domain\/7/,
      );
      expect(await Bun.file(join(directory, "ran")).exists()).toBeFalse();
    });

    test("garbage in state and online is ignored, said once, and overcome", async () => {
      const odd = device();
      await odd.create({ script: join(scripts, "good"), state: "banana" });
      await daemon.says(new RegExp(`vbd/7/${odd.id.devid}\\)?: node state is "banana"`));
      for (let round = 0; round < 5; round++) await odd.write("state", "banana");
      await odd.write("state", "\x1b[2J");
      await daemon.says(/node state is "\\u001b\[2J"/);
      await odd.write("state", "9".repeat(1500));
      await daemon.says(/node state is "9{80}…"/);
      await odd.write("online", "perhaps");
      await odd.write("state", "2");
      await daemon.says(/node online is "perhaps"; expected 0 or 1/);
      expect(daemon.lines('state is "banana"')).toHaveLength(1);
      await odd.write("physical-device", "3f:0");
      await odd.write("online", "1");
      await daemon.says(new RegExp(`vbd/7/${odd.id.devid}\\)?: connected`));
      await odd.detach();
      await odd.gone();
    });

    test("directories that name no device are ignored", async () => {
      const root = `/local/domain/${DRIVER}/backend`;
      await dom0.write(`${root}/vbd/007/1/state`, "2");
      await dom0.write(`${root}/vbd/7/-1/state`, "2");
      await dom0.write(`${root}/vbd/99999/1/state`, "2");
      await dom0.write(`${root}/averyveryverylongkind/7/1/state`, "2");
      await dom0.write(`${root}/UPPER/7/1/state`, "2");
      await dom0.write(`${root}/nosuchkind/7/1/state`, "2");
      await daemon.says(/no plugin serves kind nosuchkind \(there are vbd, vbd3, vif, qdisk.*\)/);
      await dom0.write(`${root}/nosuchkind/7/2/state`, "2");
      await dom0.removeOptional(`${root}/nosuchkind`);
      await works();
      expect(daemon.lines("no plugin serves")).toHaveLength(1);
    });

    test("a device deleted while its script runs", async () => {
      const path = await script(
        "slow",
        '[ "$1" = remove ] && exit 0; echo > "$0.started"; sleep 30',
      );
      const doomed = device();
      await doomed.create({ script: path });
      await doomed.write("state", "2");
      await until(() => Bun.file(`${path}.started`).exists(), () => "the script never started");
      await doomed.nuke();
      await daemon.says(new RegExp(`vbd/7/${doomed.id.devid}\\)?: removed`));
      expect(await dom0.exists(doomed.backend)).toBeFalse();
    });

    test("after all that, a good device is served", () => works());

    async function works(): Promise<void> {
      const path = await script(
        "result",
        'echo "$XENBUS_PATH $1" >> "$(dirname "$0")/../results"; sleep 0.3; exit 0',
      );
      const good = device();
      // A disk of this machine's that is in use here.
      await good.create({ script: path, mode: "w!" });
      await good.write("state", "2");
      await daemon.says(new RegExp(`vbd/7/${good.id.devid}\\)?: wanted`));
      // As if the script had written it: it has no tools for that here.
      await good.write("physical-device", await someDisk());
      await daemon.says(new RegExp(`vbd/7/${good.id.devid}\\)?: connected`));
      await good.detach();
      await good.gone();
      const relative = `backend/vbd/7/${good.id.devid}`;
      const results = await Bun.file(join(directory, "results")).text();
      expect(results).toContain(`${relative} add\n${relative} remove\n`);
    }
  });
}

/** A block device of this machine that nobody takes away: no loop device. */
async function someDisk(): Promise<string> {
  for (const name of await readdir("/sys/block")) {
    if (/^(loop|nbd|zram)/.test(name)) continue;
    const [major, minor] = (await Bun.file(`/sys/block/${name}/dev`).text()).trim().split(":");
    return `${Number(major).toString(16)}:${Number(minor).toString(16)}`;
  }
  return "3f:0";
}

function ended(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return false;
  } catch {
    return true;
  }
}
