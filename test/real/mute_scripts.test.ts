/**
 * Scripts that succeed without saying so in `hotplug-status`, on Debian's xenstored, real loop devices
 * and real interfaces in a network namespace. The kernel's backends are simulated.
 */
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { DeviceId } from "../../core/xen/device_id.ts";
import { systemClock } from "../../platform/clock.ts";
import { SimulatedFrontend } from "../../simulation/frontend.ts";
import { SimulatedKernel } from "../../simulation/kernel.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programCommand, runProgram } from "../support/daemon_process.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { NetworkNamespace } from "../support/network_namespace.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

setDefaultTimeout(60_000);

const DRIVER = 1;
const GUEST = 7;
const DONE = { code: 0, stdout: "", stderr: "" };

/** As the one that is compiled: the number of the device, and nothing else. */
const MUTE_DISK = `#!/bin/sh
set -eu
case $1 in
add)
  loop=$(losetup --find --show "$(xenstore-read "$XENBUS_PATH/params")")
  xenstore-write "$XENBUS_PATH/node" "$loop"
  xenstore-write "$XENBUS_PATH/physical-device" "$(stat -c %t:%T "$loop")"
  ;;
remove) losetup -d "$(xenstore-read "$XENBUS_PATH/node")" ;;
esac
`;
const PATH_ALONE = MUTE_DISK.replace(
  '"$XENBUS_PATH/physical-device" "$(stat -c %t:%T "$loop")"',
  '"$XENBUS_PATH/physical-device-path" "$loop"',
);
const NOTHING = "#!/bin/sh\nexit 0\n";
const CONTRADICTORY = '#!/bin/sh\nxenstore-write "$XENBUS_PATH/hotplug-error" "no luck" ' +
  '"$XENBUS_PATH/hotplug-status" error "$XENBUS_PATH/physical-device" 7:0\nexit 0\n';
const MUTE_VIF = '#!/bin/sh\n[ "$1" = online ] || exit 0\nip link set "$vif" up\n';

const SETUP = [
  "ip link add xenbr0 type bridge",
  "ip link add vif7.0 type veth peer name guest0",
  "ip link add vif7.1 type veth peer name guest1",
];

const needs = {
  packages: [...xenstoredPackages, "mount", "iproute2"],
  root: true,
};
if (requireReal("scripts that say nothing", needs)) {
  describe("a script that succeeds without hotplug-status", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let driver: StoreClient;
    let kernel: SimulatedKernel;
    let directory: string;
    let options: string[];
    let daemon: DaemonProcess;
    let network: NetworkNamespace;

    beforeAll(async () => {
      network = await NetworkNamespace.start(SETUP);
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      driver = await connectTo(store.socketPath(DRIVER));
      for (const domid of [DRIVER, GUEST]) await makeDomain(dom0, domid);
      kernel = new SimulatedKernel(driver, DRIVER, systemClock, { otherKinds: ["vbd3"] });
      await kernel.start();
      directory = fs.mkdtempSync(join(tmpdir(), "xdevd-mute-"));
      const scripts = join(directory, "scripts");
      fs.mkdirSync(scripts);
      for (
        const [name, text] of [
          ["block-mute", MUTE_DISK],
          ["block-path", PATH_ALONE],
          ["block-nothing", NOTHING],
          ["block-contradictory", CONTRADICTORY],
          ["vif-mute", MUTE_VIF],
          ["vif-nothing", NOTHING],
        ] as const
      ) fs.writeFileSync(join(scripts, name), text, { mode: 0o755 });
      options = ["--run-dir", join(directory, "run"), "--scripts", scripts];
      daemon = await DaemonProcess.start(["--store", store.socketPath(DRIVER), ...options], {
        command: network.command(programCommand()),
      });
    });

    afterAll(async () => {
      await daemon.stop();
      await network.stop();
      await kernel.stop();
      for (const client of [dom0, driver]) client.close();
      await store.stop();
      fs.rmSync(directory, { recursive: true });
    });

    const xdevd = (...args: string[]) =>
      runProgram([args[0]!, "--store", store.socketPath(0), ...args.slice(1)], {}, 40_000);

    function image(): string {
      const path = join(directory, crypto.randomUUID());
      fs.writeFileSync(path, new Uint8Array(64 * 1024));
      return path;
    }

    const path = (script: string) => join(directory, "scripts", script);

    const at = (kind: string, devid: number): DeviceId => ({
      ...{ backendDomid: DRIVER, kind, frontendDomid: GUEST, devid },
    });

    async function guest(kind: string, devid: number): Promise<() => Promise<void>> {
      const client = await connectTo(store.socketPath(GUEST));
      const frontend = new SimulatedFrontend(client, { domid: GUEST, kind, devid });
      await frontend.start();
      return async () => {
        await frontend.stop();
        client.close();
      };
    }

    const disk = (vdev: string, script: string) =>
      xdevd(
        ...["block-attach", "7", `vdev=${vdev},backend=1,script=${path(script)},target=${image()}`],
        ...["--timeout", "8"],
      );

    test("a disk: physical-device is enough, and what is missing is told once a script", async () => {
      expect(await disk("xvda", "block-mute")).toEqual(DONE);
      expect(await disk("xvdb", "block-mute")).toEqual(DONE);
      for (const devid of [51712, 51728]) {
        const device = new HandMadeDevice(dom0, at("vbd", devid));
        expect(await device.read("hotplug-status")).toBe("connected");
        expect(await device.read("physical-device")).toMatch(/^7:/);
        await daemon.says(new RegExp(`vbd/7/${devid}\\): connected`));
      }
      expect(daemon.lines("block-mute succeeded without")).toHaveLength(1);
      const stop = await guest("vbd", 51712);
      await new HandMadeDevice(dom0, at("vbd", 51712)).reaches("state", "4");
      expect(await xdevd("block-detach", "7", "xvda")).toEqual(DONE);
      expect(await xdevd("block-detach", "7", "xvdb", "--force")).toEqual(DONE);
      await stop();
    });

    test("a disk with its path alone: the number is that of the path", async () => {
      expect(await disk("xvda", "block-path")).toEqual(DONE);
      const device = new HandMadeDevice(dom0, at("vbd", 51712));
      expect(await device.read("physical-device")).toMatch(/^7:/);
      expect(await xdevd("block-detach", "7", "xvda", "--force")).toEqual(DONE);
    });

    test("a disk without either is none, whatever the script's end says", async () => {
      const { code, stderr } = await disk("xvda", "block-nothing");
      expect({ code, stderr }).toEqual({
        code: expect.any(Number),
        stderr: expect.stringContaining("succeeded but wrote no physical-device"),
      });
      expect(code).not.toBe(0);
      expect(daemon.lines("vbd/7/51712): connected")).toHaveLength(2);
    });

    test("one that says error, and ends as if all were well, has failed", async () => {
      const device = new HandMadeDevice(dom0, at("vbd", 51744));
      await device.create({ script: path("block-contradictory"), params: image() });
      await device.reaches("state", "6");
      await daemon.says(/vbd\/7\/51744\): .*hotplug-status says error: no luck/);
      expect(daemon.lines("vbd/7/51744): connected")).toEqual([]);
      await device.nuke();
    });

    test("vbd3: the path is enough; the number is none of its business", async () => {
      const device = new HandMadeDevice(dom0, at("vbd3", 51760));
      const script = join(directory, "scripts", "block-path");
      await device.create({ script, params: image(), type: "vbd3" });
      await device.reaches("hotplug-status", "connected");
      expect(await device.read("physical-device")).toBeUndefined();
      await device.nuke();
      await daemon.says(/vbd3\/7\/51760\): removed/);
    });

    test("a vif connects, and the warning says what is missing", async () => {
      for (const [devid, script] of ["vif-mute", "vif-nothing"].entries()) {
        const device = new HandMadeDevice(dom0, at("vif", devid));
        await device.create({
          ...{ script: path(script), type: "vif", handle: String(devid) },
          ...{ bridge: "xenbr0", "hotplug-status": "" },
        });
        await daemon.says(new RegExp(`vif/7/${devid}\\): connected`));
        expect(await device.read("hotplug-status")).toBe("connected");
        await dom0.write(`${device.frontend}/backend`, device.backend);
        const stop = await guest("vif", devid);
        await device.reaches("state", "4");
        await stop();
        await device.nuke();
      }
      const [up, ...more] = daemon.lines("vif-mute succeeded without");
      expect(more).toEqual([]);
      expect(up).toContain("vif7.0 is no port of xenbr0");
      expect(up).not.toContain("is down");
      expect(daemon.lines("vif-nothing succeeded without")[0]).toContain("vif7.1 is down");
    });

    test("where another daemon leaves it so, a disk that works is not taken away", async () => {
      await daemon.stop();
      const attach = (...args: string[]) =>
        xdevd(
          ...["block-attach", "7", `vdev=xvdd,backend=1,target=${image()}`],
          ...["--timeout", "4", ...args],
        );
      const device = new HandMadeDevice(dom0, at("vbd", 51760));
      const script = async () => {
        await dom0.waitUntil(`${device.backend}/state`, (state) => state === "2", {
          timeoutMs: 20_000,
        });
        await device.write("physical-device", "7:0");
      };
      // Without a guest's driver nothing proves it but the node, when nothing more has come.
      expect((await Promise.all([attach(), script()]))[0]).toEqual(DONE);
      await device.nuke();
      await dom0.removeOptional("/libxl/7");
      const attached = attach("--wait", "connected");
      await script();
      const stop = await guest("vbd", 51760);
      expect(await attached).toEqual(DONE);
      await stop();
      await device.nuke();
      await dom0.removeOptional("/libxl/7");
      expect((await attach()).code).toBe(12);
      await dom0.removeOptional("/libxl/7");
    });
  });
}
