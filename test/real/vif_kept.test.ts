/**
 * Interfaces that were set up, by Debian's scripts and without them, and what becomes of them behind the
 * daemon's back: on Debian's xenstored, with real interfaces in a network namespace. A veth stands in for
 * netback's interface; the kernel's part in the store is played by hand.
 */
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  setDefaultTimeout,
  test,
} from "bun:test";
import * as fs from "node:fs";
import { join } from "node:path";
import { leftInData } from "../support/driver_data.ts";
import { programCommand, until } from "../support/daemon_process.ts";
import type { HandMadeDevice } from "../support/hand_made.ts";
import { NetworkNamespace } from "../support/network_namespace.ts";
import { DRIVER, GUEST, KeptDevice } from "./kept.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";

setDefaultTimeout(60_000);

const SCRIPTS = "/etc/xen/scripts";

const SETUP = [
  "ip link add eth0 type veth peer name eth0p",
  "ip link set eth0 up",
  "ip addr add 192.0.2.1/24 dev eth0",
];
const BRIDGE = "ip link add br0 type bridge; ip link add up0 type veth peer name up1; " +
  "ip link set up0 mtu 1400 master br0; ip link set br0 mtu 1400 up";
const VIF = "ip link add vif7.0 type veth peer name guest";

const needs = {
  packages: [...xenstoredPackages, "xen-utils-common", "iproute2", "net-tools"],
  root: true,
};
if (requireReal("interfaces that are kept", needs)) {
  describe("interfaces that are kept", () => {
    let kept: KeptDevice;
    let network: NetworkNamespace;
    let device: HandMadeDevice;

    beforeAll(async () => {
      kept = await KeptDevice.make("vif", 0, "packet-filter = false\n");
      ({ device } = kept);
      network = await NetworkNamespace.start(SETUP);
    });

    afterEach(async () => {
      await device.nuke();
      const isHeld = kept.daemon.running &&
        /vif\/7\/0\): (connected|was set up)/.test(kept.daemon.log);
      try {
        if (isHeld) await kept.daemon.says(/vif\/7\/0\): removed/);
      } finally {
        await kept.daemon.stop();
      }
      // What it has not come to undo is none of the next one's business.
      fs.rmSync(join(kept.directory, "run"), { recursive: true, force: true });
      for (const link of ["guest", "up0", "br0", "br1"]) {
        await network.run(`ip link del ${link} 2>/dev/null || :`);
      }
    });

    afterAll(async () => {
      await network.stop();
      await kept.stop();
    });

    const start = (native: "always" | "never") =>
      kept.start(native, [], { command: network.command(programCommand()) });

    async function create(script: string, nodes: Record<string, string> = {}): Promise<void> {
      await network.run(`${BRIDGE}; ${VIF}`);
      await device.create({
        ...{ script: `${SCRIPTS}/${script}`, type: "vif", handle: "0", "hotplug-status": "" },
        ...{ mac: "00:16:3e:00:00:01", bridge: "br0", ...nodes },
      });
      const mtu = `${device.frontend}/mtu`;
      await kept.dom0.write(mtu, "1500");
      await kept.dom0.setPermissions(mtu, [
        { domid: DRIVER, access: "none" },
        { domid: GUEST, access: "read" },
      ]);
      await device.write("state", "2");
    }

    async function attach(script: string, nodes: Record<string, string> = {}): Promise<void> {
      await create(script, nodes);
      await kept.connect();
    }

    const link = async (name: string) => await network.run(`ip -d link show ${name}`);
    const isPort = (bridge: string, name = "vif7.0") =>
      until(async () => (await link(name)).includes(`master ${bridge}`), () => kept.daemon.log);
    const adds = () => kept.daemon.lines("vif/7/0): attach").length;

    describe("a name of its own (vifname), with Debian's vif-bridge", () => {
      const nodes = { vifname: "lan0" };

      async function attached(): Promise<void> {
        await start("never");
        await attach("vif-bridge", nodes);
        expect(await link("lan0")).toMatch(/mtu 1400 .*master br0 .*state/);
        expect(await link("lan0")).toMatch(/<.*\bUP\b.*>/);
        expect(await kept.dom0.readText(`${device.frontend}/mtu`)).toBe("1400");
        expect(await leftInData(kept.dom0, DRIVER)).toEqual([]);
        expect(await device.read("vifname")).toBe("lan0");
        expect(await device.read("mtu")).toBeUndefined();
      }

      async function detached(): Promise<void> {
        await device.detach();
        await device.gone();
        expect(await link("vif7.0")).not.toMatch(/master|<.*\bUP\b.*>/);
      }

      test("is attached and detached, and attached again", async () => {
        await attached();
        await detached();
        await network.run("ip link del guest; ip link del up0; ip link del br0");
        await attach("vif-bridge", { ...nodes, mtu: "1300" });
        expect(await link("lan0")).toMatch(/mtu 1300 .*master br0/);
        expect(await kept.dom0.readText(`${device.frontend}/mtu`)).toBe("1300");
        expect(kept.daemon.lines("error")).toEqual([]);
      });

      test("is detached by the next daemon", async () => {
        await attached();
        await kept.daemon.stop("SIGKILL");
        await start("never");
        await kept.daemon.says(/was set up before: adopted/);
        await detached();
      });

      test("is undone when its directory is gone", async () => {
        await attached();
        await device.nuke();
        await kept.daemon.says(/vif\/7\/0\): removed/);
        expect(await link("vif7.0")).not.toMatch(/master|<.*\bUP\b.*>/);
      });

      test("fails with the script's reason where the name is taken, and is given back", async () => {
        await start("never");
        await network.run("ip link add lan0 type veth peer name lan0p");
        await create("vif-bridge", nodes);
        await device.reaches("hotplug-status", "error");
        expect(await device.read("hotplug-error")).toContain("lan0 already exists");
        await network.run("ip link del lan0");
        await device.reaches("state", "6");
        await device.detach();
        await device.gone();
        await network.run("ip link del guest; ip link del up0; ip link del br0");
        await attach("vif-bridge", nodes);
      });

      test("with vif-route too, whose routes stay", async () => {
        await start("never");
        await attach("vif-route", { ...nodes, ip: "10.1.0.7" });
        expect(await network.run("ip route show dev lan0")).toContain("10.1.0.7");
        await detached();
      });
    });

    describe("a state is no proof", () => {
      test("state 4 without hotplug-status: the script runs", async () => {
        await network.run(`${BRIDGE}; ${VIF}`);
        await device.create({
          ...{ script: `${SCRIPTS}/vif-bridge`, type: "vif", handle: "0", bridge: "br0" },
          ...{ mac: "00:16:3e:00:00:01", state: "4", mtu: "1300" },
        });
        await kept.dom0.write(`${device.frontend}/mtu`, "1500");
        await kept.dom0.setPermissions(`${device.frontend}/mtu`, [
          { domid: DRIVER, access: "none" },
          { domid: GUEST, access: "read" },
        ]);
        await start("never");
        await device.reaches("hotplug-status", "connected");
        expect(await link("vif7.0")).toMatch(/mtu 1300 .*master br0/);
      });

      test("what xl devd has left is taken as it is", async () => {
        await network.run(`${BRIDGE}; ${VIF}; ip link set vif7.0 master br0 up`);
        await device.create({
          ...{ script: `${SCRIPTS}/vif-bridge`, type: "vif", handle: "0", bridge: "br0" },
          ...{ state: "4", "hotplug-status": "connected" },
        });
        await start("never");
        await kept.daemon.says(/was set up before: adopted/);
        await kept.pause();
        expect(adds()).toBe(0);
        expect(kept.told("")).toEqual([]);
        await network.run("ip link set vif7.0 nomaster");
        await kept.isTold("vif7.0 was taken out of br0");
      });
    });

    describe.each(["never", "always"] as const)("on a bridge (native %s)", (native) => {
      const attached = async () => {
        await start(native);
        await attach("vif-bridge");
        await kept.pause();
        expect(kept.told("")).toEqual([]);
      };

      test("taken out, set down, renamed, moved: told once each, and left", async () => {
        await attached();
        await network.run("ip link set vif7.0 nomaster");
        await kept.isTold("vif7.0 was taken out of br0");
        expect(await link("vif7.0")).not.toContain("master");
        await network.run("ip link set vif7.0 master br0");
        await kept.daemon.says(/no longer so: vif7.0 was taken out of br0/);
        await network.run("ip link set vif7.0 down");
        await kept.isTold("interface vif7.0 is down");
        await network.run("ip link set vif7.0 name other; ip link set other up");
        await kept.isTold("interface vif7.0 is called other by now");
        await network.run("ip link add br1 type bridge; ip link set other master br1");
        await kept.isTold("other is a port of br1 by now, not of br0");
        expect(await link("other")).toContain("master br1");
        expect(adds()).toBe(1);
        expect(await device.read("hotplug-status")).toBe("connected");
        expect(await device.read("state")).toBe("4");
      });

      test("its bridge is deleted, and made anew: it is its port again", async () => {
        await attached();
        await network.run("ip link del br0");
        await kept.isTold("br0, the bridge of vif7.0, is gone");
        await network.run("ip link add br0 type bridge; ip link set br0 up");
        await isPort("br0");
        await kept.isTold("bridge br0 was made anew: vif7.0 is its port again");
        await network.run("ip link set vif7.0 nomaster");
        await kept.isTold("vif7.0 was taken out of br0");
        expect(adds()).toBe(1);
      });

      test("the kernel makes it anew: it is set up anew", async () => {
        await attached();
        await kept.dom0.remove(`${device.backend}/hotplug-status`);
        await network.run(`ip link del guest; ${VIF}`);
        await device.write("state", "2");
        await device.reaches("hotplug-status", "connected");
        await isPort("br0");
        expect(adds()).toBe(2);
        await kept.pause();
        expect(adds()).toBe(2);
      });

      test("the kernel makes it anew, and the store says nothing of it", async () => {
        await attached();
        await network.run(`ip link del guest; ${VIF}`);
        await isPort("br0");
        await until(() => adds() === 2, () => kept.daemon.log);
        await device.reaches("hotplug-status", "connected");
        await kept.isTold("the kernel has made vif7.0 anew");
        expect(adds()).toBe(2);
      });

      test("it is gone: told, and nothing is said in its place", async () => {
        await attached();
        await kept.dom0.remove(`${device.backend}/hotplug-status`);
        await network.run("ip link del guest");
        await kept.isTold("interface vif7.0 is gone");
        expect(await device.read("hotplug-status")).toBeUndefined();
        expect(adds()).toBe(1);
      });

      test("while nobody served it, the kernel made it anew: the next daemon sets it up", async () => {
        await attached();
        await kept.daemon.stop();
        await kept.dom0.remove(`${device.backend}/hotplug-status`);
        await network.run(`ip link del guest; ${VIF}`);
        await device.write("state", "2");
        await start(native);
        await device.reaches("hotplug-status", "connected");
        await isPort("br0");
      });
    });

    test("routes, addresses and switches: done again without a script", async () => {
      await start("always");
      await attach("vif-route", { ip: "10.1.0.7 10.1.0.8" });
      const routes = () => network.run("ip route show dev vif7.0");
      const before = await routes();
      // Which takes the routes with it.
      await network.run("ip link set vif7.0 down; ip link set vif7.0 up");
      await until(async () => await routes() === before, () => kept.daemon.log);
      await kept.isTold("the route to 10.1.0.7/32 through vif7.0 was removed: added again");
      await network.run("echo 0 > /proc/sys/net/ipv4/conf/vif7.0/proxy_arp");
      await kept.isTold("ipv4/proxy_arp of vif7.0 was turned off: turned on again");
      await network.run("ip addr flush dev vif7.0");
      await kept.isTold("address 192.0.2.1/32 of vif7.0 was removed: added again");
      await until(async () => await routes() === before, () => kept.daemon.log);
    });

    test("routes, addresses and switches of a script: told", async () => {
      await start("never");
      await attach("vif-route", { ip: "10.1.0.7" });
      await network.run("ip route del 10.1.0.7 dev vif7.0");
      await kept.isTold("the route to 10.1.0.7/32 through vif7.0 was removed");
      await network.run("echo 0 > /proc/sys/net/ipv4/conf/vif7.0/proxy_arp");
      await kept.isTold("ipv4/proxy_arp of vif7.0 was turned off");
      await network.run("ip addr flush dev vif7.0");
      await kept.isTold("address 192.0.2.1/32 of vif7.0 was removed");
      await network.run("ip link set vif7.0 mtu 1200");
      await kept.isTold("the MTU of vif7.0 is 1200 by now; it was 1500");
    });
  });
}
