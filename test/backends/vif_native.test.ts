/** Native mode of the vif plugin, on made-up interfaces. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { addNative, modeOfScript, removeNative, type VifMode } from "../../backends/vif/native.ts";
import { decodeUndo, NOTHING_DONE } from "../../backends/vif/undo.ts";
import { checkInterface } from "../../backends/vif/check.ts";
import { followBridge } from "../../backends/vif/bridge.ts";
import { FakeDevice, FakeMachine } from "../support/fake_device.ts";
import { type FakeLinkOptions, FakeLinks } from "../support/fake_links.ts";

const patient = new AbortController().signal;
const ID = { backendDomid: 1, kind: "vif", frontendDomid: 7, devid: 0 };
const MODES: readonly VifMode[] = ["bridge", "route", "nat", "openvswitch"];
const OVS = "/usr/bin/ovs-vsctl";
const IPTABLES = "/usr/sbin/iptables";

/** A machine with an uplink, two bridges and an interface of netback's. */
class Scene {
  readonly links = new FakeLinks();
  readonly machine = new FakeMachine();
  readonly frontend = new Map<string, string>();
  readonly device: FakeDevice;
  /** Called before each record, and each write to the store. */
  before: (line: string) => void = () => {};

  constructor(nodes: Record<string, string> = {}, vif: FakeLinkOptions = {}) {
    this.links.make("eth0", { up: true, addresses: ["fd00::1/64", "192.0.2.1/24"] });
    this.links.make("xenbr0", { kind: "bridge", up: true, mtu: 1400 });
    this.links.make("abr", { kind: "bridge" });
    this.links.make("vif7.0", vif);
    this.machine.files.set(OVS, "");
    this.device = new FakeDevice(this.machine, ID, nodes);
    this.device.frontend.writeMtu = async (bytes) => {
      this.frontend.set("mtu", String(bytes));
    };
    const { recordUndo, nodes: { write } } = this.device;
    this.device.recordUndo = async (more) => {
      this.before("record");
      await recordUndo.call(this.device, more);
    };
    this.device.nodes.write = async (values) => {
      this.before("write");
      await write(values);
    };
  }

  add(mode: VifMode, packetFilter = false): Promise<void> {
    return addNative(this.device, this.links, mode, patient, { packetFilter });
  }

  remove(): Promise<void> {
    return removeNative(this.device, this.links, patient);
  }

  get status(): string | undefined {
    return this.device.store?.get("hotplug-status");
  }
}

describe("a record that is not whole", () => {
  const RECORD = { mode: "bridge", index: 5, from: "vif7.0", name: "vif7.0" };

  test.each(Object.keys(RECORD))("without its %s it is none: nothing was begun", (field) => {
    const { [field as keyof typeof RECORD]: _, ...rest } = RECORD;
    expect(decodeUndo(rest)).toBeNull();
    expect(decodeUndo({ ...RECORD, [field]: null } as never)).toBeNull();
  });

  test("what it does not say was not done", () => {
    expect(decodeUndo(RECORD)).toEqual({ ...NOTHING_DONE, ...RECORD } as never);
    const some = decodeUndo({ ...RECORD, up: true, given: '["192.0.2.9/24"]' });
    expect(some).toMatchObject({ up: true, given: ["192.0.2.9/24"], routes: [], rules: [] });
  });

  test("it is undone as far as it goes", async () => {
    const scene = new Scene({}, { up: true, addresses: ["192.0.2.9/24", "192.0.2.10/24"] });
    const link = (await scene.links.read("vif7.0"))!;
    await scene.device.recordUndo({
      ...RECORD,
      index: link.index,
      up: true,
      given: JSON.stringify(["192.0.2.9/24"]),
    });
    await scene.remove();
    // Once more does no harm.
    await scene.remove();
    expect(await scene.links.addresses("vif7.0")).toEqual(["192.0.2.10/24"]);
    expect((await scene.links.read("vif7.0"))!.up).toBe(true);
  });
});

describe("bridge", () => {
  test("what vif-bridge does, in its order", async () => {
    const scene = new Scene({ bridge: "xenbr0" });
    await scene.add("bridge");
    expect(scene.links.changes).toEqual([
      "mac vif7.0 fe:ff:ff:ff:ff:ff",
      "mtu vif7.0 1400",
      "join xenbr0 vif7.0",
      "up vif7.0",
    ]);
    expect(scene.frontend.get("mtu")).toBe("1400");
    expect(scene.status).toBe("connected");
    expect(scene.device.lines).toEqual([]);
    expect(scene.machine.runs).toEqual([]);
  });

  test("the frontend's MTU is the node's, whatever the interface is called (spec 8.4)", async () => {
    const scene = new Scene({ bridge: "xenbr0", mtu: "9000", vifname: "lan0" });
    await scene.add("bridge");
    expect(scene.links.state("lan0")).toMatchObject({ mtu: 9000, master: "xenbr0", up: true });
    expect(scene.frontend.get("mtu")).toBe("9000");
  });

  test("the MTU follows the bridge's, unless the node says another one", async () => {
    const scene = new Scene({ bridge: "xenbr0" });
    await scene.add("bridge");
    scene.links.changes.length = 0;
    await followBridge(scene.device, scene.links);
    expect(scene.links.changes).toEqual([]);
    await scene.links.setMtu("xenbr0", 1300);
    await followBridge(scene.device, scene.links);
    expect(scene.links.state("vif7.0").mtu).toBe(1300);
    expect(scene.frontend.get("mtu")).toBe("1300");
    await scene.remove();
    expect(scene.links.state("vif7.0").mtu).toBe(1500);
    const own = new Scene({ bridge: "xenbr0", mtu: "1450" });
    await own.add("bridge");
    await own.links.setMtu("xenbr0", 1300);
    await followBridge(own.device, own.links);
    expect(own.links.state("vif7.0").mtu).toBe(1450);
  });

  test("an interface that somebody moved to another bridge follows none", async () => {
    const scene = new Scene({ bridge: "xenbr0" });
    await scene.add("bridge");
    await scene.links.addToBridge("abr", "vif7.0");
    await scene.links.setMtu("xenbr0", 1300);
    await followBridge(scene.device, scene.links);
    expect(scene.links.state("vif7.0").mtu).toBe(1400);
  });

  test("a frontend that is not to be written is no obstacle", async () => {
    const scene = new Scene({ bridge: "xenbr0" });
    scene.device.frontend.writeMtu = () => Promise.reject(new Error("EACCES"));
    await scene.add("bridge");
    expect(scene.status).toBe("connected");
    expect(scene.device.lines).toEqual(["the guest is not told its MTU, 1400: EACCES"]);
  });

  test("without a node `bridge` the first one; xenbr7 may be eth7", async () => {
    const first = new Scene();
    await first.add("bridge");
    expect(first.links.state("vif7.0").master).toBe("abr");
    const old = new Scene({ bridge: "xenbr7" });
    old.links.make("eth7", { kind: "bridge" });
    await old.add("bridge");
    expect(old.links.state("vif7.0").master).toBe("eth7");
  });

  test("addresses are taken from it, and given back", async () => {
    const scene = new Scene({ bridge: "xenbr0" }, { addresses: ["10.0.0.1/24"], up: true });
    const before = scene.links.snapshot();
    await scene.add("bridge");
    expect(scene.links.state("vif7.0").addresses).toEqual([]);
    await scene.remove();
    expect(scene.links.snapshot()).toEqual(before);
  });

  test("waits for the kernel's interface, up to 2 s", async () => {
    const late = new Scene({ bridge: "xenbr0" });
    late.links.destroy("vif7.0");
    late.device.system.sleep = async (ms) => {
      late.device.now += ms;
      if (late.device.now === 500) late.links.make("vif7.0");
    };
    await late.add("bridge");
    expect(late.device.now).toBe(500);
    const never = new Scene({ bridge: "xenbr0" });
    never.links.destroy("vif7.0");
    await expect(never.add("bridge")).rejects.toThrow(
      "interface vif7.0 does not exist: the kernel did not make it within 2 s [interface-missing]",
    );
    expect(never.device.now).toBe(2_000);
  });

  test("hooks of the scripts are told of, since they are not run", async () => {
    const scene = new Scene({ bridge: "xenbr0" });
    scene.machine.files.set("/etc/xen/scripts/vif-post.d/10-mine.hook", "");
    await scene.add("bridge");
    expect(scene.device.lines).toEqual([
      "not run, since no script is: 1 hooks in /etc/xen/scripts/vif-post.d [hooks-not-run]",
    ]);
  });
});

describe("route", () => {
  test("our address, proxy ARP, a route for each address", async () => {
    const scene = new Scene({ ip: "10.1.0.7 10.2.0.0/16 fd01::7" });
    const before = scene.links.snapshot();
    await scene.add("route");
    const { addresses, routes, switches, up } = scene.links.state("vif7.0");
    expect(up).toBeTrue();
    expect(addresses).toEqual(["192.0.2.1/32"]);
    expect(routes).toEqual([
      { destination: "10.1.0.7/32", source: "192.0.2.1", metric: 2 },
      { destination: "10.2.0.0/16", source: "192.0.2.1", metric: 2 },
      { destination: "fd01::7/128", metric: 2 },
    ]);
    expect([...switches.values()]).toEqual([true, true]);
    expect(scene.status).toBe("connected");
    await scene.remove();
    expect(scene.links.snapshot()).toEqual(before);
  });

  test("the address is that of node `gatewaydev`", async () => {
    const scene = new Scene({ gatewaydev: "wan" });
    scene.links.make("wan", { addresses: ["198.51.100.9/28"] });
    await scene.add("route");
    expect(scene.links.state("vif7.0").addresses).toEqual(["198.51.100.9/32"]);
  });

  test("a route that is there already is neither made nor undone", async () => {
    const route = { destination: "10.1.0.7/32", source: "192.0.2.1", metric: 2 };
    const scene = new Scene({ ip: "10.1.0.7" }, { up: true, routes: [route] });
    await scene.add("route");
    await scene.remove();
    expect(scene.links.state("vif7.0").routes).toEqual([route]);
  });
});

describe("nat", () => {
  test("addresses computed from domid and device", async () => {
    const scene = new Scene();
    await scene.add("nat");
    const { addresses, routes, switches } = scene.links.state("vif7.0");
    expect(addresses).toEqual(["10.0.7.128/32"]);
    expect(routes).toEqual([{ destination: "10.0.7.1/32", source: "10.0.7.128", metric: 0 }]);
    expect(switches.get("ipv4/proxy_arp")).toBeTrue();
  });

  test("addresses computed from node `ip`", async () => {
    const scene = new Scene({ ip: "10.5.0.2/24" });
    await scene.add("nat");
    expect(scene.links.state("vif7.0").addresses).toEqual(["10.5.0.129/32"]);
  });
});

describe("openvswitch", () => {
  const mac = "00:16:3E:00:00:01";

  test("a port with its VLANs", async () => {
    const scene = new Scene({ bridge: "ovs0.5:6:7", mac });
    await scene.add("openvswitch");
    expect(scene.machine.runs).toEqual([
      `${OVS} --timeout=30 -- --if-exists del-port vif7.0 -- add-port ovs0 vif7.0 tag=5 ` +
      'trunks=6,7 -- set interface vif7.0 external-ids:attached-mac="00:16:3e:00:00:01"',
    ]);
    expect(scene.links.changes).toEqual(["mac vif7.0 fe:ff:ff:ff:ff:ff", "up vif7.0"]);
    await scene.remove();
    expect(scene.machine.runs.at(-1)).toBe(`${OVS} --timeout=30 -- --if-exists del-port vif7.0`);
  });

  test("without ovs-vsctl nothing is begun", async () => {
    const scene = new Scene({ bridge: "ovs0" });
    scene.machine.files.delete(OVS);
    await expect(scene.add("openvswitch")).rejects.toThrow("is Open vSwitch installed?");
    expect(scene.links.changes).toEqual([]);
  });

  test("a port that another device has by now is left to it", async () => {
    const scene = new Scene({ bridge: "ovs0", vifname: "web" });
    await scene.add("openvswitch");
    scene.links.destroy("web");
    const next = new FakeDevice(scene.machine, { ...ID, frontendDomid: 8 }, {
      bridge: "ovs0",
      vifname: "web",
    });
    scene.links.make("vif8.0");
    await addNative(next, scene.links, "openvswitch", patient, {});
    const { length } = scene.machine.runs;
    await scene.remove();
    expect(scene.machine.runs).toHaveLength(length);
    expect(scene.links.state("web").up).toBeTrue();
  });
});

describe("packet filter", () => {
  const physdev = (direction: string) =>
    `FORWARD -m physdev --physdev-is-bridged --physdev-${direction} vif7.0`;

  test("rules as vif-common.sh's, and their removal", async () => {
    const scene = new Scene({ bridge: "xenbr0", ip: "10.0.0.7 10.1.0.0/16" });
    scene.machine.files.set(IPTABLES, "");
    await scene.add("bridge", true);
    const rules = [
      `${physdev("in")} -s 10.0.0.7/32 -j ACCEPT`,
      `${physdev("in")} -s 10.1.0.0/16 -j ACCEPT`,
      `${physdev("in")} -p udp --sport 68 --dport 67 -j ACCEPT`,
      `${physdev("out")} -j ACCEPT`,
    ];
    expect(scene.machine.runs).toEqual([
      `${IPTABLES} -w -L -n`,
      ...rules.map((rule) => `${IPTABLES} -w -I ${rule}`),
    ]);
    scene.machine.runs.length = 0;
    await scene.remove();
    expect(scene.machine.runs).toEqual(rules.map((rule) => `${IPTABLES} -w -D ${rule}`));
  });

  test("none without iptables, or if it does not work, or if it is not wanted", async () => {
    const without = new Scene({ bridge: "xenbr0" });
    await without.add("bridge", true);
    expect(without.machine.runs).toEqual([]);
    const broken = new Scene({ bridge: "xenbr0" });
    broken.machine.files.set(IPTABLES, "");
    broken.device.system.run = () => Promise.reject(new Error("no modules"));
    await broken.add("bridge", true);
    expect(broken.status).toBe("connected");
    expect(broken.device.lines).toEqual([]);
    const unwanted = new Scene({ bridge: "xenbr0" });
    unwanted.machine.files.set(IPTABLES, "");
    await unwanted.add("bridge");
    expect(unwanted.machine.runs).toEqual([]);
  });
});

describe("checks", () => {
  const check = (scene: Scene) => {
    Object.assign(scene.device.system, { links: scene.links });
    return checkInterface(scene.device, patient);
  };
  const well = { notices: [], mended: [] };

  test.each(MODES)("%s: nothing is said of what is well", async (mode) => {
    const scene = new Scene({ bridge: mode === "openvswitch" ? "ovs0" : "xenbr0" });
    await scene.add(mode, true);
    const before = scene.links.snapshot();
    expect(await check(scene)).toEqual(well);
    expect(scene.links.snapshot()).toEqual(before);
  });

  test("a port of Open vSwitch, which the kernel knows as one of ovs-system", async () => {
    const scene = new Scene({ bridge: "ovs0.5" });
    scene.links.make("ovs-system", { kind: "bridge" });
    const { run } = scene.device.system;
    scene.device.system.run = async (argv, signal) => {
      await scene.links.addToBridge("ovs-system", "vif7.0");
      return await run(argv, signal);
    };
    await scene.add("openvswitch");
    expect(await check(scene)).toEqual(well);
    await scene.links.removeFromBridge("vif7.0");
    expect(await check(scene)).toEqual({
      ...well,
      notices: ["vif7.0 was taken out of ovs-system"],
    });
  });

  test("rules of the packet filter that were flushed; asked for once a minute", async () => {
    const scene = new Scene({ bridge: "xenbr0" });
    scene.machine.files.set(IPTABLES, "");
    await scene.add("bridge", true);
    const rules = scene.machine.runs.filter((line) => line.includes(" -I "));
    expect(rules).toHaveLength(2);
    scene.machine.runs.length = 0;
    const { mended } = await check(scene);
    expect(mended).toEqual(["the packet filter's rules for vif7.0 were gone: added again"]);
    expect(scene.machine.runs.filter((line) => line.includes(" -I "))).toEqual(rules);
    const { run } = scene.device.system;
    scene.device.system.run = async (argv, signal) => {
      const printed = await run(argv, signal);
      return argv.includes("-S") ? "-A FORWARD -m physdev --physdev-in vif7.0 -j ACCEPT" : printed;
    };
    scene.machine.runs.length = 0;
    for (let round = 0; round < 3; round++) expect(await check(scene)).toEqual(well);
    expect(scene.machine.runs).toEqual([`${IPTABLES} -w -S FORWARD`]);
  });

  test("what cannot be done again is told", async () => {
    const scene = new Scene({ ip: "10.1.0.7" });
    await scene.add("route");
    await scene.links.removeRoute("vif7.0", { destination: "10.1.0.7/32", metric: 2 });
    scene.links.before = (line) => {
      if (line.startsWith("route+")) throw new Error("no room");
    };
    const lost = "the route to 10.1.0.7/32 through vif7.0 was removed";
    expect(await check(scene)).toEqual({
      ...well,
      notices: [`${lost}, and cannot be added again: no room`],
    });
    scene.links.before = () => {};
    expect(await check(scene)).toEqual({ ...well, mended: [`${lost}: added again`] });
    expect(await check(scene)).toEqual(well);
  });
});

describe("odd input: one line, and nothing is begun", () => {
  const name =
    /^node (bridge|vifname|gatewaydev) is .*: accepted is the name of an interface, 1 to/;
  const cases: readonly (readonly [VifMode, Record<string, string>, RegExp])[] = [
    ...["a/b", "sixteen-bytes-00", "ä".repeat(8), "a b", "a\0b", "a\nb", "a\tb", ".", ".."]
      .concat("eth+", "vif+", "+", "!", "!eth0", "@a").concat(
        "all",
        "default",
        "-x",
        "a%d",
        "a:1/",
        "\x1b[2J",
        "x".repeat(2000),
        "a\u00a0b",
      )
      .flatMap((bad) =>
        ([["bridge", "bridge"], ["bridge", "vifname"], ["route", "gatewaydev"]] as const)
          .map(([mode, node]) => [mode, { [node]: bad }, name] as const)
      ),
    ["bridge", { bridge: "a:1" }, name],
    ["bridge", { vifname: "a:1" }, name],
    ["route", { gatewaydev: ":1" }, name],
    ["route", { gatewaydev: "wan:1" }, /^node gatewaydev is "wan:1": .* wan does not exist$/],
    [
      "bridge",
      { bridge: "br9" },
      /^node bridge is "br9": .* there is no such interface \[bridge-missing\]$/,
    ],
    [
      "bridge",
      { bridge: "eth0" },
      /^node bridge is "eth0": .* bridge, which this is not \[bridge-missing\]$/,
    ],
    [
      "bridge",
      { bridge: "xenbr9" },
      /^node bridge is "xenbr9": .* no such interface \[bridge-missing\]$/,
    ],
    [
      "bridge",
      { bridge: "vif7.0" },
      /^node bridge is "vif7.0": .* which this is not \[bridge-missing\]$/,
    ],
    ["bridge", { vifname: "eth0" }, /^node vifname is "eth0": there is an interface of that name/],
    ["bridge", { vifname: "vif8.0" }, /^node vifname is "vif8.0": .* the kernel's to give/],
    ...["0", "67", "65536", "-1", "1e3", "1500\n", "0x5dc", "1500.5", " 1500", "99999999", "mtu"]
      .map((mtu) => ["bridge", { mtu }, /^node mtu is ".*": .* bytes, 68 … 65535$/] as const),
    ...["0:1:2:3:4:5", "00:16:3e:00:00", "00-16-3e-00-00-01", "00:16:3e:00:00:0g", "\0", "x"]
      .map((mac) => ["bridge", { mac }, /^node mac is ".*": accepted are six pairs/] as const),
    ...["10.0.0", "10.0.0.256", "10.0.0.1/33", "010.0.0.1", "10.0.0.1,10.0.0.2", "fd::1::2"]
      .concat("10.0.0.1\n", "10.0.0.1\0", "host", "$(id)", "::1/129", "1.2.3.4/", "[::1]", "::%1")
      .flatMap((ip) => MODES.map((mode) => [mode, { ip }, /^node ip is .* IP addresses/] as const)),
    ["bridge", { ip: "10.0.0.1 ".repeat(129) }, /^node ip is .*: accepted are up to 128 addr/],
    ["route", { ip: "10.0.0.1/24" }, /^node ip is "10.0.0.1\/24": a network's address ends in/],
    ["route", { gatewaydev: "wan" }, /^node gatewaydev is "wan": .* wan does not exist$/],
    ["route", { gatewaydev: "abr" }, /^node gatewaydev is "abr": .* abr has none$/],
    ["nat", { ip: "10.0.0.1 10.0.0.2" }, /^node ip is .* one IPv4 address/],
    ["nat", { ip: "fd00::1" }, /^node ip is .* one IPv4 address/],
    ["nat", { ip: "10.0.0.200" }, /^node ip is .* last number is at most 127: .* plus 127$/],
    ...["", "a b", "ovs0.", "ovs0.4095", "ovs0:x", "ovs0.1.2", "ovs0\n", "-x", "sixteen-bytes-00"]
      .concat("all", "ovs0:4095", ".5", ":6", "ovs0.99999")
      .map((bridge) =>
        ["openvswitch", { bridge }, /^node bridge is .*: accepted is name\[\.vlan\]/] as const
      ),
  ];
  test.each(cases)("%s %j", async (mode, nodes, message) => {
    const scene = new Scene({ bridge: mode === "openvswitch" ? "ovs0" : "xenbr0", ...nodes });
    const before = scene.links.snapshot();
    const error = await scene.add(mode).then(() => null, (thrown: Error) => thrown);
    expect(error?.message).toMatch(message);
    // deno-lint-ignore no-control-regex
    expect(error?.message).not.toMatch(/[\x00-\x1f]/);
    expect(error!.message.length).toBeLessThan(300);
    expect(scene.links.snapshot()).toEqual(before);
    expect(scene.device.undo).toEqual({});
    expect(scene.status).toBeUndefined();
    await scene.remove();
    expect(scene.links.snapshot()).toEqual(before);
  });

  test("no bridge at all", async () => {
    const scene = new Scene();
    scene.links.destroy("abr");
    scene.links.destroy("xenbr0");
    await expect(scene.add("bridge")).rejects.toThrow(
      'node bridge is "": there is no bridge here; make one first',
    );
  });
});

describe("remove", () => {
  test.each([...MODES])("%s: by the record alone, and again", async (mode) => {
    const scene = new Scene({ bridge: "xenbr0", vifname: "lan0", ip: "10.0.0.7" }, { mtu: 1450 });
    const before = scene.links.snapshot();
    await scene.add(mode, true);
    scene.device.store = null;
    await scene.remove();
    expect(scene.links.snapshot()).toEqual(before);
    await scene.remove();
    expect(scene.links.snapshot()).toEqual(before);
  });

  test.each([...MODES])("%s: the interface is gone, another has its name", async (mode) => {
    const scene = new Scene({ bridge: "xenbr0", vifname: "lan0" });
    await scene.add(mode);
    scene.links.destroy("lan0");
    await scene.remove();
    scene.links.make("lan0", { up: true });
    const before = scene.links.snapshot();
    await scene.remove();
    expect(scene.links.snapshot()).toEqual(before);
  });

  test("one that somebody moved to another bridge stays there", async () => {
    const scene = new Scene({ bridge: "xenbr0" });
    await scene.add("bridge");
    await scene.links.addToBridge("abr", "vif7.0");
    await scene.remove();
    expect(scene.links.state("vif7.0").master).toBe("abr");
  });

  test("what fails is told, after all else was undone", async () => {
    const scene = new Scene({ bridge: "xenbr0", vifname: "lan0" });
    await scene.add("bridge");
    scene.links.before = (line) => {
      if (line.startsWith("leave")) throw Object.assign(new Error("no leave"), { code: "EPERM" });
    };
    await expect(scene.remove()).rejects.toThrow(/^no leave$/);
    expect(scene.links.state("vif7.0")).toMatchObject({ up: false, master: "xenbr0" });
  });
});

describe("a failure at whatever step", () => {
  const addresses = fc.subarray(["10.9.0.1/24", "fd09::1/64"]);
  const scenes = fc.record({
    mode: fc.constantFrom(...MODES),
    nodes: fc.record({
      bridge: fc.constantFrom("xenbr0", "abr"),
      vifname: fc.constantFrom("", "lan0"),
      mtu: fc.constantFrom("", "1500", "9000"),
      ip: fc.constantFrom("", "10.1.0.7"),
    }),
    vif: fc.record({
      up: fc.boolean(),
      addresses,
      mtu: fc.constantFrom(1500, 1450),
      master: fc.constantFrom(0, 2, 3),
      mac: fc.constantFrom("02:00:00:00:00:01", "fe:ff:ff:ff:ff:ff"),
    }),
    step: fc.nat(20),
    moment: fc.constantFrom("before", "after"),
    undoStep: fc.nat(12),
    undoMoment: fc.constantFrom("before", "after"),
  });

  test("removing restores what was there, even if it is interrupted too", async () => {
    let failed = 0;
    await fc.assert(
      fc.asyncProperty(scenes, async (given) => {
        const scene = new Scene(given.nodes, given.vif);
        scene.machine.files.set(IPTABLES, "");
        const before = scene.links.snapshot();
        const countdown = (steps: number) => () => {
          if (steps-- === 0) throw Object.assign(new Error("injected"), { code: "EIO" });
        };
        const { run } = scene.device.system;
        const fail = countdown(given.step);
        scene.links[given.moment as "before" | "after"] = fail;
        scene.before = fail;
        scene.device.system.run = async (argv, signal) => {
          fail();
          return await run(argv, signal);
        };
        try {
          await scene.add(given.mode, true);
          expect(scene.status).toBe("connected");
        } catch (error) {
          expect((error as Error).message).toMatch(/injected/);
          expect(scene.status).toBeUndefined();
          failed++;
        }
        scene.device.store = null;
        scene.links.before = scene.links.after = scene.before = () => {};
        // The daemon dies in the midst of undoing: nothing after that step happens.
        let dead = false;
        const die = countdown(given.undoStep);
        const dieAt = (moment: string) => () => {
          if (dead) throw new Error("dead");
          if (moment !== given.undoMoment) return;
          try {
            die();
          } catch (error) {
            dead = true;
            throw error;
          }
        };
        scene.links.before = dieAt("before");
        scene.links.after = dieAt("after");
        await scene.remove().catch(() => {});
        if (!dead) expect(comparable(scene.links.snapshot())).toBe(comparable(before));
        scene.links.before = scene.links.after = () => {};
        await scene.remove();
        expect(comparable(scene.links.snapshot())).toBe(comparable(before));
      }),
      { numRuns: 2000 },
    );
    expect(failed).toBeGreaterThan(100);
  });

  /** As text, which is quick to compare; the order of addresses is not restored. */
  function comparable(snapshot: unknown): string {
    const links = snapshot as { addresses: string[] }[];
    return JSON.stringify(
      links.map((link) => ({ ...link, addresses: link.addresses.toSorted() })),
      null,
      1,
    );
  }
});

test("modes by the names of Xen's scripts", () => {
  expect(modeOfScript("/etc/xen/scripts/vif-bridge")).toBe("bridge");
  expect(modeOfScript("vif-openvswitch")).toBe("openvswitch");
  for (const other of ["vif-setup", "/x/vif-bridge2", "vif-qubes", "", "vif-toString"]) {
    expect(modeOfScript(other)).toBeNull();
  }
});
