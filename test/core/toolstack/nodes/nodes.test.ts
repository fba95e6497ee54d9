/** Nodes of new devices, as libxl 4.17 writes them. */
import { describe, expect, test } from "bun:test";
import { parseDisk } from "../../../../core/toolstack/specs/disk/parse.ts";
import { parseP9, parseVkb } from "../../../../core/toolstack/specs/kinds.ts";
import { NIC_COLO_KEYS } from "../../../../core/toolstack/specs/nic/spec.ts";
import { parseNic } from "../../../../core/toolstack/specs/nic/parse.ts";
import { planDisk } from "../../../../core/toolstack/nodes/disk.ts";
import { chooseNicType, planNic } from "../../../../core/toolstack/nodes/nic.ts";
import {
  planP9,
  planPvcalls,
  planUsbctrl,
  planVkb,
  planVtpm,
} from "../../../../core/toolstack/nodes/others.ts";
import {
  type CreationPlan,
  creationSteps,
  type PlannedDirectory,
} from "../../../../core/toolstack/nodes/plan.ts";
import { formatPermission } from "../../../../core/xenstore/permissions.ts";
import { faultOf } from "../errors.ts";

const place = { frontendDomid: 7, backendDomid: 1, devid: 0, scriptDirectory: "/etc/xen/scripts" };
const diskPlace = { ...place, devid: 51712, backendType: "phy" } as const;
const nicPlace = { ...place, mac: "00:16:3e:01:02:03", type: "vif" } as const;

/** `name=value` of each node, in order; with permissions where a node has its own. */
function lines(directory: PlannedDirectory | null): string[] {
  return (directory?.nodes ?? []).map(({ name, value, permissions }) =>
    `${name}=${value}${permissions ? ` (${permissions.map(formatPermission)})` : ""}`
  );
}

/** Nodes of the backend, without those that every backend has. */
function ownNodes(plan: CreationPlan): string[] {
  return lines(plan.backend).filter((line) => !/^(frontend|frontend-id|online|state)=/.test(line));
}

test("a disk: all three directories", () => {
  const plan = planDisk(parseDisk("backend=drv,vdev=xvda,target=/dev/vg/lv"), diskPlace);
  expect(plan.id).toEqual({ backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 });
  expect(plan.record.path).toBe("/libxl/7/device/vbd/51712");
  expect(plan.frontend?.path).toBe("/local/domain/7/device/vbd/51712");
  expect(plan.backend?.path).toBe("/local/domain/1/backend/vbd/7/51712");
  expect(plan.record.permissions).toBeUndefined();
  expect(plan.frontend?.permissions?.map(formatPermission)).toEqual(["n7", "r1"]);
  expect(plan.backend?.permissions?.map(formatPermission)).toEqual(["n1", "r7"]);
  expect(lines(plan.frontend)).toEqual([
    // Written without permissions of its own, so that it has the directory's.
    "backend=/local/domain/1/backend/vbd/7/51712",
    "backend-id=1 (n7,r1)",
    "state=1 (n7,r1)",
    "virtual-device=51712 (n7,r1)",
    "device-type=disk (n7,r1)",
    "trusted=1 (n7,r1)",
  ]);
  const copied = [
    "params=/dev/vg/lv",
    "script=/etc/xen/scripts/block",
    "frontend-id=7",
    "online=1",
    "removable=0",
    "bootable=1",
    "state=1",
    "dev=xvda",
    "type=phy",
    "mode=w",
    "device-type=disk",
    "discard-enable=1",
    "specification=xen",
  ];
  expect(lines(plan.backend)).toEqual(["frontend=/local/domain/7/device/vbd/51712", ...copied]);
  expect(lines(plan.record)).toEqual([
    "frontend=/local/domain/7/device/vbd/51712",
    "backend=/local/domain/1/backend/vbd/7/51712",
    ...copied,
  ]);
});

test("the order: the record's pointers, the frontend, the backend, the record's copy", () => {
  const plan = planVtpm("u", place);
  const shown = creationSteps(plan).map((step) => {
    const path = step.path.replace(/^\/local\/domain\/|\/libxl\//, "");
    if (step.type === "permit") return `permit ${path} ${step.permissions.map(formatPermission)}`;
    return step.type === "write" ? `write ${path}=${step.value}` : `${step.type} ${path}`;
  });
  expect(shown).toEqual([
    "remove 7/device/vtpm/0",
    "write 7/device/vtpm/0/frontend=/local/domain/7/device/vtpm/0",
    "write 7/device/vtpm/0/backend=/local/domain/1/backend/vtpm/7/0",
    "remove 7/device/vtpm/0",
    "mkdir 7/device/vtpm/0",
    "permit 7/device/vtpm/0 n7,r1",
    "write 7/device/vtpm/0/backend=/local/domain/1/backend/vtpm/7/0",
    ...["backend-id=1", "state=1", "handle=0"].flatMap((node) => [
      `write 7/device/vtpm/0/${node}`,
      `permit 7/device/vtpm/0/${node.split("=")[0]} n7,r1`,
    ]),
    "remove 1/backend/vtpm/7/0",
    "mkdir 1/backend/vtpm/7/0",
    "permit 1/backend/vtpm/7/0 n1,r7",
    "write 1/backend/vtpm/7/0/frontend=/local/domain/7/device/vtpm/0",
    ...["1/backend/vtpm/7/0", "7/device/vtpm/0"].flatMap((path) =>
      ["frontend-id=7", "online=1", "state=1", "handle=0", "uuid=u", "resume=False"].map(
        (node) => `write ${path}/${node}`,
      )
    ),
  ]);
});

describe("disks", () => {
  test.each(
    [
      ["vdev=xvda,script=block-x,target=free text", "phy", [
        "params=free text",
        "script=/etc/xen/scripts/block-x",
      ]],
      ["vdev=xvda,script=/opt/x,target=t", "phy", ["params=t", "script=/opt/x"]],
      ["vdev=xvda,access=r,direct-io-safe,target=t", "phy", [
        "params=t",
        "script=/etc/xen/scripts/block",
        "mode=r",
        "direct-io-safe=1",
        "discard-enable=0",
      ]],
      ["vdev=xvda,no-discard,target=t", "phy", [
        "params=t",
        "script=/etc/xen/scripts/block",
        "discard-enable=0",
      ]],
      ["vdev=hdc,cdrom", "phy", [
        "script=/etc/xen/scripts/block",
        "removable=1",
        "dev=hdc",
        "mode=r",
        "device-type=cdrom",
        "discard-enable=0",
      ]],
      ["vdev=hdc,cdrom", "qdisk", [
        "params=aio:",
        "removable=1",
        "dev=hdc",
        "type=qdisk",
        "mode=r",
        "device-type=cdrom",
        "discard-enable=0",
      ]],
      ["vdev=xvda,target=/x", "qdisk", ["params=aio:/x", "type=qdisk"]],
      ["vdev=xvda,format=qcow2,target=/x", "qdisk", ["params=qcow2:/x", "type=qdisk"]],
      ["vdev=xvda,format=vhd,target=/x", "tap", [
        "params=vhd:/x",
        "script=/etc/xen/scripts/block-tap",
        "type=vbd3",
      ]],
      [
        "vdev=xvda,colo,colo-host=h,colo-port=9,colo-export=e,active-disk=a,hidden-disk=b,target=/x",
        "qdisk",
        [
          "params=aio:/x",
          "colo-host=h",
          "colo-port=9",
          "colo-export=e",
          "active-disk=a",
          "hidden-disk=b",
          "type=qdisk",
        ],
      ],
    ] as const,
  )("%s with %s", (text, backendType, expected) => { // deno-fmt-ignore
    const usual = [
      "removable=0", "bootable=1", "dev=xvda", "type=phy", "mode=w", "device-type=disk",
      "discard-enable=1", "specification=xen",
    ]; // deno-fmt-ignore
    const plan = planDisk(parseDisk(text), { ...diskPlace, backendType });
    expect(ownNodes(plan).filter((line) => !usual.includes(line))).toEqual([...expected]);
    expect(plan.id?.kind).toBe({ phy: "vbd", qdisk: "qdisk", tap: "vbd3" }[backendType]);
    expect(plan.frontendKind).toBe("vbd");
  });

  test("the frontend of a CD-ROM that is not trusted, of a PV guest", () => {
    const disk = parseDisk("vdev=hdc,cdrom,untrusted");
    const plan = planDisk(disk, { ...diskPlace, devid: 5632, protocol: "x86_64-abi" });
    expect(lines(plan.frontend).slice(3)).toEqual([
      "virtual-device=5632 (n7,r1)",
      "device-type=cdrom (n7,r1)",
      "trusted=0 (n7,r1)",
      "protocol=x86_64-abi (n7,r1)",
    ]);
  });
});

describe("network interfaces", () => {
  test("with nothing said", () => {
    const plan = planNic(parseNic([]).nic, nicPlace);
    expect(lines(plan.backend)).toEqual([
      "frontend=/local/domain/7/device/vif/0",
      "frontend-id=7",
      "online=1",
      "state=1",
      "script=/etc/xen/scripts/vif-bridge",
      "mac=00:16:3e:01:02:03",
      "bridge=xenbr0",
      "handle=0",
      "type=vif",
      "hotplug-status=",
    ]);
    expect(lines(plan.frontend)).toEqual([
      "backend=/local/domain/1/backend/vif/7/0",
      "backend-id=1 (n7,r1)",
      "state=1 (n7,r1)",
      "handle=0 (n7,r1)",
      "mac=00:16:3e:01:02:03 (n7,r1)",
      "trusted=1 (n7,r1)",
      "mtu=1500 (n1,r7)",
    ]);
    expect(lines(plan.record).slice(2)).toEqual(lines(plan.backend).slice(1));
  });

  test("with all that can be said", () => {
    const { nic } = parseNic([
      "script=vif-route",
      "vifname=v",
      "ip=10.0.0.1",
      "gatewaydev=eth0",
      "rate=10MB/s@20ms",
      "mtu=9000",
      "vlan=5",
      "bridge=br1",
      "untrusted",
      "forwarddev=f",
      ...NIC_COLO_KEYS.map((key) => `${key}=1`),
    ]); // deno-fmt-ignore
    const plan = planNic(nic, { ...nicPlace, devid: 3, type: "ioemu" });
    expect(ownNodes(plan)).toEqual([
      "script=/etc/xen/scripts/vif-route",
      "vifname=v",
      "forwarddev=f",
      ...NIC_COLO_KEYS.map((key) => `${key}=1`),
      "mac=00:16:3e:01:02:03",
      "ip=10.0.0.1",
      "gatewaydev=eth0",
      "rate=200000,20000",
      "mtu=9000",
      "vlan=5",
      "bridge=br1",
      "handle=3",
      "type=vif_ioemu",
      "hotplug-status=",
    ]);
    expect(lines(plan.frontend).slice(-2)).toEqual(["trusted=0 (n7,r1)", "mtu=9000 (n1,r7)"]);
  });

  test("their types", () => {
    const [any, ioemu, vif] = [[], ["type=ioemu"], ["type=vif"]].map((i) => parseNic(i).nic);
    expect(chooseNicType(any!, "hvm", false)).toBe("ioemu");
    expect(chooseNicType(any!, "hvm", true)).toBe("vif");
    expect(chooseNicType(ioemu!, "hvm", true)).toBe("ioemu");
    expect(chooseNicType(vif!, "hvm", false)).toBe("vif");
    expect(chooseNicType(any!, "pv", false)).toBe("vif");
    expect(faultOf(() => chooseNicType(ioemu!, "pvh", true)))
      .toEqual(["Invalid parameter", "type=ioemu"]);
  });
});

describe("other kinds", () => {
  test("vtpm", () => {
    expect(ownNodes(planVtpm("0-1", place))).toEqual(["handle=0", "uuid=0-1", "resume=False"]);
    expect(lines(planVtpm("0-1", place).frontend).at(-1)).toBe("handle=0 (n7,r1)");
  });

  test("9pfs", () => {
    const spec = "tag=t,path=/p,security_model=none";
    const qemu = planP9(parseP9([spec]), place);
    expect(ownNodes(qemu)).toEqual(["path=/p", "security_model=none"]);
    expect(lines(qemu.frontend).at(-1)).toBe("tag=t (n7,r1)");
    expect([qemu.id?.kind, qemu.frontendKind]).toEqual(["9pfs", "9pfs"]);
    const daemon = planP9(parseP9([`${spec},type=xen_9pfsd,max-files=5,auto-delete=1`]), place);
    expect(ownNodes(daemon).slice(2)).toEqual([
      "max-space=0",
      "max-files=5",
      "max-open-files=0",
      "auto-delete=1",
    ]); // deno-fmt-ignore
    expect([daemon.id?.kind, daemon.frontendKind]).toEqual(["xen_9pfs", "9pfs"]);
  });

  test("pvcalls", () => {
    expect(ownNodes(planPvcalls(place))).toEqual([]);
    expect(planPvcalls(place).backend?.path).toBe("/local/domain/1/backend/pvcalls/7/0");
  });

  test("vkb", () => {
    const all = "backend-type=linux,unique-id=u,feature-disable-keyboard=1,width=8,height=9," +
      "feature-disable-pointer=1,feature-abs-pointer=1,feature-raw-pointer=1,multi-touch-width=5";
    const plan = planVkb(parseVkb([all]), place);
    expect(ownNodes(plan)).toEqual([
      "unique-id=u",
      "feature-disable-keyboard=1",
      "feature-disable-pointer=1",
      "feature-abs-pointer=1",
      "feature-raw-pointer=1",
      "feature-multi-touch=1",
      "multi-touch-width=5",
      "multi-touch-height=0",
      "multi-touch-num-contacts=0",
      "width=8",
      "height=9",
    ]);
    expect([plan.id?.kind, plan.frontendKind]).toEqual(["vinput", "vkbd"]);
    const plain = planVkb(parseVkb(["backend-type=qemu,width=0,feature-abs-pointer=0"]), place);
    expect(ownNodes(plain)).toEqual([]);
    expect(plain.id?.kind).toBe("vkbd");
  });

  test("USB controllers; an emulated one has the record alone", () => {
    const plan = planUsbctrl({ type: "pv", version: 2, ports: 2 }, place);
    const own = ["type=pv", "usb-ver=2", "num-ports=2", "port=", "port/1=", "port/2="];
    expect(ownNodes(plan)).toEqual(own);
    expect([plan.id?.kind, plan.frontendKind]).toEqual(["vusb", "vusb"]);
    expect(planUsbctrl({ type: "qusb", version: 1, ports: 1 }, place).id?.kind).toBe("qusb");
    const emulated = planUsbctrl({ type: "devicemodel", version: 1, ports: 2 }, place);
    expect(emulated).toMatchObject({ id: null, frontend: null, backend: null });
    expect(lines(emulated.record)).toEqual(
      ["type=devicemodel", "usb-ver=1", "num-ports=2", "port=", "port/1=", "port/2="],
    );
    expect(creationSteps(emulated).map((step) => step.type)).toEqual(
      ["remove", ...Array(6).fill("write")],
    );
  });
});
