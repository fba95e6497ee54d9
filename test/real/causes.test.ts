/**
 * The cause of a failure reaches `hotplug-error`: on Debian's xenstored, with scripts that use
 * Debian's own helpers, which keep what goes wrong in a log of theirs.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { cp, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const HELPERS = '#!/bin/bash\ndir=$(dirname "$0")\n. "$dir/block-common.sh"\n';

const needs = { packages: [...xenstoredPackages, "xen-utils-common"], root: true };
if (requireReal("causes of failures, with Debian's helpers for scripts", needs)) {
  describe("a script that fails", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let daemon: DaemonProcess;
    let directory: string;
    let scripts: string;
    let devid = 51712;

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      await makeDomain(dom0, DRIVER);
      await makeDomain(dom0, GUEST);
      directory = await mkdtemp(join(tmpdir(), "xdevd-causes-"));
      scripts = join(directory, "scripts");
      await cp("/etc/xen/scripts", scripts, { recursive: true });
      const run = join(directory, "run");
      daemon = await DaemonProcess.start(
        ["--store", store.socketPath(DRIVER), "--run-dir", run, "--scripts", scripts],
      );
    });

    afterAll(async () => {
      expect(await daemon.stop()).toBe(0);
      dom0.close();
      await store.stop();
      await rm(directory, { recursive: true });
    });

    async function attach(body: string, params = "odd:target"): Promise<HandMadeDevice> {
      const script = join(scripts, `block-${devid}`);
      await writeFile(script, body, { mode: 0o755 });
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: devid++ };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script, params });
      await device.write("state", "2");
      return device;
    }

    /** What is left in the nodes when all of it is over. */
    async function failure(device: HandMadeDevice): Promise<{ status: string; error: string }> {
      await device.reaches("state", "6");
      const nodes = await device.nodes();
      await device.detach();
      await device.gone();
      return { status: nodes["hotplug-status"] ?? "", error: nodes["hotplug-error"] ?? "" };
    }

    test("by a command of its own: what that printed, from the helpers' log", async () => {
      const { status, error } = await failure(
        await attach(`${HELPERS}[ "$command" = remove ] || cat /absent/thing\n`),
      );
      expect(status).toBe("error");
      expect(error).toContain("failed; error detected.: cat: /absent/thing: No such file");
    });

    test("by do_or_die: the command, and what it printed", async () => {
      const body = `${HELPERS}[ "$command" = remove ] || do_or_die stat /absent/file\n`;
      const { error } = await failure(await attach(body));
      expect(error).toMatch(/stat \/absent\/file failed: stat: cannot statx? '\/absent\/file'/);
    });

    test("with words of its own: those, and nothing else", async () => {
      const body =
        `${HELPERS}[ "$command" = remove ] && exit 0\necho noise >&2; echo noise\nfatal "no such volume: a"\n`;
      expect(await failure(await attach(body)))
        .toEqual({ status: "error", error: "no such volume: a" });
    });

    test("without a word: where to look", async () => {
      const { error } = await failure(
        await attach(`${HELPERS}trap - ERR\n[ "$command" = remove ] && exit 0\nexit 3\n`),
      );
      expect(error).toEndWith("exited with status 3: see /var/log/xen/xen-hotplug.log");
    });

    test("without the helpers: the last line that it printed, as one harmless line", async () => {
      const body =
        "#!/bin/sh\n[ $1 = remove ] && exit 0\necho first\nprintf 'the \\033[31mlast\\r\\n\\n' >&2\nexit 4\n";
      const { error } = await failure(await attach(body));
      expect(error).toEndWith("exited with status 4: the \\x1b[31mlast");
      const { error: long } = await failure(
        await attach(
          "#!/bin/sh\n[ $1 = remove ] && exit 0\nhead -c 5000 /dev/zero | tr '\\0' y\nexit 4\n",
        ),
      );
      expect(long).toMatch(/exited with status 4: y{200,}…$/);
      expect(long.length).toBeLessThanOrEqual(512);
    });

    test("while another guest's does: nothing that may be the other one's", async () => {
      const slow = `${HELPERS}trap - ERR
[ "$command" = remove ] && exit 0
echo "a secret of guest $$" >&2
sleep 1
exit 3
`;
      const errors = await Promise.all(
        [await attach(slow, "one"), await attach(slow, "two")].map(async (device) =>
          await failure(device)
        ),
      );
      for (const { error } of errors) {
        expect(error).toEndWith("exited with status 3: see /var/log/xen/xen-hotplug.log");
      }
      // A person who may read the daemon's log is told all the same.
      expect(daemon.lines("others too: a secret of guest").length).toBeGreaterThanOrEqual(2);
    });

    test("its undo leaves cause and refusal as they are", async () => {
      const body = `${HELPERS}
if [ "$command" = add ]; then
  ebusy "Device /dev/x is mounted in a guest domain,
and so cannot be mounted now."
fi
fatal "nothing to remove"
`;
      const device = await attach(body);
      const { status, error } = await failure(device);
      expect(status).toBe("busy");
      expect(error).toStartWith("Device /dev/x is mounted in a guest domain,");
      const [line] = daemon.lines("undoing the failed setup failed too")
        .filter((text) => text.includes(`/${device.id.devid}`));
      // Its own words, and not those of the add once more.
      expect(line ?? daemon.log).toEndWith(
        "exited with status 1: nothing to remove [removal-failed]",
      );
    });

    test("a disk that is not there says what was looked for", async () => {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: devid++ };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: join(scripts, "block"), params: "vg/absent" });
      await device.write("state", "2");
      const { error } = await failure(device);
      expect(error).toContain('"vg/absent" does not exist: looked for "/dev/vg/absent"');
    });

    test("a script that is not there says where it was looked for", async () => {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: devid++ };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: "block-absent", params: "/x" });
      await device.write("state", "2");
      const { error } = await failure(device);
      expect(error).toBe(
        `script "block-absent" does not exist: looked for ${
          join(scripts, "block-absent")
        } [script-refused]`,
      );
    });

    test("a script elsewhere names the option that would allow it", async () => {
      const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: devid++ };
      const device = new HandMadeDevice(dom0, id);
      await device.create({ script: "/usr/bin/true", params: "/x" });
      await device.write("state", "2");
      const { error } = await failure(device);
      expect(error).toEndWith(
        `is outside the allowed directory ${scripts}: options --scripts ${scripts} --scripts ` +
          "/usr/bin of the daemon would allow it [script-refused]",
      );
    });
  });
}
