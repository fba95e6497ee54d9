/** Which backend serves a disk. */
import { expect, test } from "bun:test";
import {
  chooseDiskBackend,
  type DiskContext,
} from "../../../../../core/toolstack/specs/disk/spec.ts";
import { parseDisk } from "../../../../../core/toolstack/specs/disk/parse.ts";
import { faultOf } from "../../errors.ts";

const elsewhere: DiskContext = { backendDomid: 3, guest: "pv", running: true };
const here: DiskContext = { ...elsewhere, backendDomid: 0, target: "block device" };
const hvm: DiskContext = { ...elsewhere, guest: "hvm" };
const starting: DiskContext = { ...elsewhere, running: false };

test.each<[string, DiskContext, string]>([
  ["vdev=xvda,target=/no/such", elsewhere, "phy"],
  ["vdev=xvda,target=/x", here, "phy"],
  ["vdev=xvda,target=/x", { ...here, target: "file" }, "phy"],
  ["vdev=xvda,target=/x", { ...here, target: "other" }, "qdisk"],
  ["vdev=xvda,script=s,target=x", { ...here, target: "other" }, "phy"],
  ["format=qcow2,vdev=xvda,target=/x", elsewhere, "qdisk"],
  ["format=vhd,vdev=xvda,target=/x", elsewhere, "qdisk"],
  ["format=vhd,script=s,vdev=xvda,target=/x", elsewhere, "tap"],
  ["backendtype=tap,vdev=xvda,target=/x", elsewhere, "tap"],
  ["backendtype=qdisk,vdev=xvda,target=/x", elsewhere, "qdisk"],
  ["colo,vdev=xvda,target=/x", elsewhere, "qdisk"],
  ["vdev=hdc,cdrom", elsewhere, "phy"],
  ["vdev=hdc,cdrom", hvm, "qdisk"],
  ["vdev=hdc,cdrom,target=/x", hvm, "qdisk"],
  ["vdev=hdc,cdrom,backendtype=phy,target=/x", hvm, "phy"],
  ["specification=virtio,vdev=xvda,target=/x", starting, "standalone"],
])("%s in %j: %s", (text, where, backend) => {
  expect<string>(chooseDiskBackend(parseDisk(text), where)).toBe(backend);
});

test.each<[string, DiskContext, string]>([
  ["backendtype=phy,format=qcow2,vdev=xvda,target=/x", elsewhere, "backendtype=phy"],
  ["backendtype=qdisk,script=s,vdev=xvda,target=/x", elsewhere, "backendtype=qdisk"],
  ["backendtype=phy,vdev=xvda,target=/x", { ...here, target: "other" }, "backendtype=phy"],
  ["backendtype=standalone,vdev=xvda,target=/x", elsewhere, "backendtype=standalone"],
  ["backendtype=tap,format=qed,vdev=xvda,target=/x", elsewhere, "backendtype=tap"],
  ["backendtype=tap,vdev=hdc,cdrom,target=/x", hvm, "backendtype=tap"],
  ["format=qcow2,script=s,vdev=xvda,target=/x", elsewhere, ""],
  ["specification=virtio,script=s,vdev=xvda,target=/x", starting, ""],
  ["format=empty,vdev=xvda,target=", elsewhere, "format=empty"],
  ["format=empty,cdrom,vdev=xvda,target=/x", elsewhere, "format=empty"],
])("%s in %j: none", (text, where, piece) => {
  const fault = faultOf(() => chooseDiskBackend(parseDisk(text), where));
  expect(fault).toEqual(["no suitable backend", piece]);
});

test("virtio disks are for guests that do not run yet", () => {
  const disk = parseDisk("specification=virtio,vdev=xvda,target=/x");
  expect(faultOf(() => chooseDiskBackend(disk, elsewhere))[0]).toContain("Hotplug");
});
