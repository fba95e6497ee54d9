/** The nodes that we write for a device are those that Debian's xl writes. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from "bun:test";
import { chooseDiskBackend } from "../../core/toolstack/specs/disk/spec.ts";
import { parseVdev } from "../../core/toolstack/specs/disk/vdev.ts";
import { parseDisk } from "../../core/toolstack/specs/disk/parse.ts";
import {
  parseUsbctrl,
  parseVkb,
  parseVtpm,
  resolveUsbctrl,
} from "../../core/toolstack/specs/kinds.ts";
import { NIC_COLO_KEYS } from "../../core/toolstack/specs/nic/spec.ts";
import { parseNic } from "../../core/toolstack/specs/nic/parse.ts";
import { planDisk } from "../../core/toolstack/nodes/disk.ts";
import { chooseNicType, planNic } from "../../core/toolstack/nodes/nic.ts";
import { planUsbctrl, planVkb, planVtpm } from "../../core/toolstack/nodes/others.ts";
import { carryOut, type CreationPlan, creationSteps } from "../../core/toolstack/nodes/plan.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { requireReal } from "./requirements.ts";
import { XlToolstack } from "./xl_toolstack.ts";

const place = {
  frontendDomid: 7,
  backendDomid: 1,
  devid: 0,
  scriptDirectory: "/etc/xen/scripts",
};
const MAC = "00:16:3e:01:02:03";
const UUID = "01234567-89ab-cdef-0123-456789abcdef";

type Guest = "pv" | "pvh";

function disk(guest: Guest, texts: string[]): CreationPlan {
  const spec = parseDisk(texts);
  const backendType = chooseDiskBackend(spec, { backendDomid: 1, guest, running: true });
  if (backendType === "standalone") throw new Error("no such disk is among the cases");
  return planDisk(spec, {
    ...place,
    devid: parseVdev(spec.vdev),
    backendType,
    ...(guest === "pv" ? { protocol: "x86_64-abi" } : {}),
  });
}

function nic(guest: Guest, items: string[]): CreationPlan {
  const spec = parseNic(items).nic;
  const { devid = 0, mac = MAC } = spec;
  return planNic(spec, { ...place, devid, mac, type: chooseNicType(spec, guest, true) });
}

const cases: [Guest, string, string[], (guest: Guest, texts: string[]) => CreationPlan][] = [
  ["pv", "block-attach", ["backend=1,vdev=xvda,target=/dev/vg/lv"], disk],
  ["pvh", "block-attach", ["backend=1,vdev=xvdq7,target=/dev/vg/lv"], disk],
  [
    "pv",
    "block-attach",
    ["backend=1,vdev=hdd1,script=block-x,target=some text, really"],
    disk,
  ],
  ["pv", "block-attach", ["backend=1", "access=ro,script=/opt/x", "vdev=sdb,target=t"], disk],
  ["pv", "block-attach", ["/x,raw,d3p4,w,backend=1,direct-io-safe,no-discard"], disk],
  ["pv", "block-attach", ["/x,raw,0xca10,r,backend=1,discard"], disk],
  ["pv", "block-attach", ["iscsi:iqn.2001-05:lun0,xvda,w,backend=1"], disk],
  ["pv", "block-attach", ["qcow2:/x.qcow2,xvda,w,backend=1"], disk],
  ["pv", "block-attach", ["/x.img,vhd,xvdb,r,backend=1"], disk],
  ["pv", "block-attach", ["backendtype=qdisk,backend=1,vdev=xvda,target=/x"], disk],
  ["pvh", "block-attach", ["backendtype=qdisk,backend=1,vdev=hdc,cdrom"], disk],
  ["pv", "block-attach", ["backend=1,vdev=hdc,cdrom,access=rw,target=/x.iso"], disk],
  ["pv", "block-attach", [
    "backend=1,vdev=xvda,colo,colo-host=h,colo-port=9,colo-export=e,active-disk=a,hidden-disk=b," +
    "target=/x",
  ], disk],
  ["pv", "network-attach", ["backend=1", `mac=${MAC}`], nic],
  ["pvh", "network-attach", [
    "backend=1",
    `mac=${MAC}`,
    "bridge=br7",
    "script=vif-route",
    "ip=10.0.0.1 10.0.0.2",
    "devid=3",
    "gatewaydev=eth0",
    "rate=10MB/s@20ms",
    "mtu=9000",
    "vifname=guest",
    "untrusted",
    "model=x",
  ], nic],
  ["pv", "network-attach", [
    "backend=1",
    `mac=${MAC}`,
    "script=/opt/vif",
    "mtu=1500",
    "rate=1b/s",
    "forwarddev=f",
    ...NIC_COLO_KEYS.map((key) => `${key}=${key}`),
  ], nic],
  [
    "pv",
    "vtpm-attach",
    ["backend=1", `uuid=${UUID}`],
    (_, texts) => planVtpm(parseVtpm(texts).uuid!, place),
  ],
  ["pv", "usbctrl-attach", ["type=pv", "version=1", "ports=3"], (_, texts) => {
    const spec = resolveUsbctrl(parseUsbctrl(texts), { type: "pv", usbback: true });
    return planUsbctrl(spec, { ...place, backendDomid: 0 });
  }],
  [
    "pv",
    "vkb-attach",
    ["backend=1", "backend-type=linux"],
    (_, texts) => planVkb(parseVkb(texts), place),
  ],
  ["pv", "vkb-attach", [
    "backend=1",
    "backend-type=qemu",
    "unique-id=u",
    "width=800",
    "height=600",
    "feature-disable-keyboard=1",
    "feature-disable-pointer=1",
    "feature-abs-pointer=1",
    "feature-raw-pointer=1",
    "feature-multi-touch=1",
    "multi-touch-width=8",
    "multi-touch-height=9",
    "multi-touch-num-contacts=2",
  ], (_, texts) => planVkb(parseVkb(texts), place)],
]; // deno-fmt-ignore

async function create(dom0: StoreClient, plan: CreationPlan): Promise<void> {
  await dom0.transaction(async (t) => {
    await carryOut(t, creationSteps(plan));
  });
}

const needs = {
  packages: ["xen-utils-4.17", "libxen-dev", "gcc", "libc6-dev", "util-linux"],
  root: true,
};
if (requireReal("nodes of new devices against Debian's xl", needs)) {
  describe("the same nodes, values, permissions and order as Debian's xl", () => {
    let xl: XlToolstack;
    beforeAll(async () => void (xl = await XlToolstack.start()));
    afterEach(() => xl.clear());
    afterAll(() => xl.stop());

    test.each(cases)("%s guest: %s (%#)", async (guest, command, texts, make) => {
      const plan = make(guest, texts);
      const real = await xl.attach(guest, [command, ...texts], plan.backend!.path);
      await xl.clear();
      await create(xl.dom0, plan);
      expect(await xl.tree()).toEqual(real);
      expect(real.length).toBeGreaterThan(15);
    });

    test.each([
      "xvda1",
      "xvdp15",
      "xvdp16",
      "xvdq",
      "xvdaa",
      "xvdtq37",
      "d0p0",
      "d15p16",
      "d536p37",
      "d0x1fp010",
      "hda63",
      "hdb3",
      "hdd",
      "sdp15",
      "0",
      "1000000",
      "2147483647",
      "0xca01",
      "0145001",
    ])("the number of virtual disk %s", async (vdev) => { // deno-fmt-ignore
      const backend = `/local/domain/1/backend/vbd/7/${parseVdev(vdev)}`;
      const tree = await xl.attach(
        "pv",
        ["block-attach", `backend=1,vdev=${vdev},target=/x`],
        backend,
      );
      expect(tree.some((line) => line.startsWith(`${backend}/dev = ${JSON.stringify(vdev)}`))).toBe(
        true,
      );
    });

    test.each([
      "xvda0",
      "xvda256",
      "xvda1b",
      "xvdA",
      "hde",
      "hda64",
      "sdq",
      "sda16",
      "d0",
      "d0p256",
      "vda",
      "xvdbgqex",
      "d1048576p0",
      "2147483648",
      "0x",
      "08",
    ])("no number of virtual disk %s", async (vdev) => { // deno-fmt-ignore
      expect(() => parseVdev(vdev)).toThrow("virtual disk identifier");
      const attached = xl.attach(
        "pv",
        ["block-attach", `backend=1,vdev=${vdev},target=/x`],
        "/none",
      );
      await expect(attached).rejects.toThrow(`virtual disk identifier ${vdev}`);
    });
  });
}
