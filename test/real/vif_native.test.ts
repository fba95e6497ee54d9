/**
 * Native mode on real interfaces, in network namespaces of its own, against Debian's vif scripts on
 * the same. A veth stands in for netback's interface.
 */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import type { VifMode } from "../../backends/vif/native.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { VIF, type VifCase, type VifOutcome } from "./vif_native_child.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

/** The script looks into /sys, which shows the interfaces of the namespace that mounted it. */
const NAMESPACES = [
  ...["unshare", "--net", "--mount", "sh", "-c"],
  'mount -t sysfs sysfs /sys && exec "$0" "$@"',
];
const CHILD = join(dirname(fileURLToPath(import.meta.url)), "vif_native_child.ts");

/** What is not a package of ours, in words. */
function lacking(): string | null {
  const { status } = spawnSync("unshare", ["--net", "ip", "link", "add", "br0", "type", "bridge"]);
  return status === 0 ? null : "network namespaces with bridges (unshare --net)";
}

const needs = {
  packages: [...xenstoredPackages, "xen-utils-common", "iproute2", "net-tools"],
  root: true,
};
if (requireReal("native vif on real interfaces", { ...needs, lacking: lacking() })) {
  describe("native vif on real interfaces", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let device: HandMadeDevice;

    beforeAll(async () => {
      store = await startXenstored({ domains: [VIF.backendDomid, VIF.frontendDomid] });
      dom0 = await connectTo(store.socketPath(0));
      await makeDomain(dom0, VIF.backendDomid);
      await makeDomain(dom0, VIF.frontendDomid);
      device = new HandMadeDevice(dom0, VIF);
    });

    afterEach(() => device.nuke());

    afterAll(async () => {
      dom0.close();
      await store.stop();
    });

    /** What is seen on the interface, and then in the store. */
    async function run(how: VifCase["how"], mode: VifMode, nodes: Record<string, string>) {
      await device.nuke();
      await device.create({
        ...{ type: "vif", handle: "0", mac: "00:16:3e:00:00:01", "hotplug-status": "" },
        ...nodes,
      });
      const mtuNode = `${device.frontend}/mtu`;
      await dom0.write(mtuNode, "1500");
      await dom0.setPermissions(mtuNode, [
        { domid: VIF.backendDomid, access: "none" },
        { domid: VIF.frontendDomid, access: "read" },
      ]);
      const given: VifCase = {
        ...{ how, mode, name: nodes["vifname"] ?? "vif7.0" },
        gatewayDevice: nodes["gatewaydev"] ?? "",
        socket: store.socketPath(VIF.backendDomid),
      };
      const argv = [...NAMESPACES, process.execPath, CHILD, JSON.stringify(given)];
      const child = Bun.spawn(argv, { stdio: ["ignore", "pipe", "inherit"] });
      const text = await new Response(child.stdout).text();
      expect(await child.exited).toBe(0);
      const outcome = JSON.parse(text) as VifOutcome;
      return { ...outcome, frontendMtu: await dom0.readOptional(mtuNode) };
    }

    const cases: readonly (readonly [VifMode, Record<string, string>])[] = [
      ["bridge", { bridge: "xenbr0" }],
      ["bridge", { bridge: "xenbr0", mtu: "1300", ip: "10.1.0.7" }],
      ["bridge", {}],
      ["route", {}],
      ["route", { ip: "10.1.0.7 10.2.0.0/16" }],
      ["route", { ip: "10.1.0.7", gatewaydev: "wan", vifname: "lan0" }],
      ["route", { ip: "10.1.0.7", gatewaydev: "wan:1" }],
      ["route", { ip: "10.1.0.7", gatewaydev: "wan:2" }],
      ["route", { ip: "10.1.0.7", gatewaydev: "wan:none" }],
      ["nat", {}],
      ["nat", { ip: "10.5.0.2/24" }],
      ["nat", { vifname: "lan0" }],
    ];
    test.each(cases)("%s %j: the same as the script; and all undone", async (mode, nodes) => {
      const byScript = await run("script", mode, nodes);
      const natively = await run("native", mode, nodes);
      expect(byScript).toMatchObject({ error: null, status: "connected" });
      expect(natively).toMatchObject({ error: null, status: "connected" });
      expect(natively.added).toEqual(withMac(byScript.added, natively.added));
      expect(natively.frontendMtu).toBe(byScript.frontendMtu);
      expect(natively.removed).toEqual(natively.before);
      expect(natively.added).not.toEqual(natively.before);
    });

    /** Where the address is not set, each namespace has a random one. */
    function withMac<S extends VifOutcome["added"]>(state: S, like: VifOutcome["added"]) {
      return like?.mac === "fe:ff:ff:ff:ff:ff" ? state : { ...state, mac: like?.mac };
    }

    test("what is compared does change", async () => {
      const { added } = await run("native", "bridge", { bridge: "xenbr0" });
      expect(added).toMatchObject({
        ...{ up: true, mtu: 1400, mac: "fe:ff:ff:ff:ff:ff", master: "xenbr0", proxyArp: "0" },
      });
      const routed = await run("native", "route", { ip: "10.1.0.7" });
      expect(routed.added).toMatchObject({ up: true, master: null, proxyArp: "1" });
      expect(routed.added?.addresses).toEqual(["192.0.2.1/32 global"]);
      expect(routed.added?.routes).toHaveLength(1);
    });

    test("a name of its own on a bridge, which fails with the script (spec 8.4)", async () => {
      const nodes = { bridge: "xenbr0", vifname: "lan0" };
      const byScript = await run("script", "bridge", nodes);
      expect(byScript.status).toBe("error");
      const natively = await run("native", "bridge", nodes);
      expect(natively).toMatchObject({ error: null, status: "connected", frontendMtu: "1400" });
      expect(natively.added).toMatchObject({ up: true, mtu: 1400, master: "xenbr0" });
      expect(natively.removed).toEqual(natively.before);
    });

    test("what the kernel refuses is said in one line, and undone", async () => {
      const missing = await run("native", "bridge", { bridge: "br9" });
      expect(missing.error).toContain('node bridge is "br9"');
      expect(missing.removed).toEqual(missing.before);
      const noBridge = await run("native", "bridge", { bridge: "eth0" });
      expect(noBridge.error).toContain("which this is not");
      const taken = await run("native", "bridge", { bridge: "xenbr0", vifname: "eth0" });
      expect(taken.error).toContain('node vifname is "eth0"');
      const twice = await run("native", "route", { ip: "10.1.0.7 10.1.0.7" });
      expect(twice.error).toBe("cannot add the route to 10.1.0.7/32 through vif7.0: EEXIST");
      expect(twice.added).not.toEqual(twice.before);
      expect(twice.removed).toEqual(twice.before);
    });
  });
}
