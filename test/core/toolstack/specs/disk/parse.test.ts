/** Disk specifications, case by case. */
import { describe, expect, test } from "bun:test";
import { parseDisk } from "../../../../../core/toolstack/specs/disk/parse.ts";
import { diskDryRun, type DiskSpec } from "../../../../../core/toolstack/specs/disk/spec.ts";
import { pointAt } from "../../../../../core/toolstack/specs/spec_error.ts";
import { faultOf, specErrorOf } from "../../errors.ts";

const disk: DiskSpec = {
  target: "/dev/vg/lv",
  vdev: "xvda",
  format: "raw",
  cdrom: false,
  readOnly: false,
  directIoSafe: false,
};

describe("accepted", () => {
  test.each<[string, Partial<DiskSpec>]>([
    ["vdev=xvda,target=/dev/vg/lv", {}],
    ["/dev/vg/lv,raw,xvda,rw", {}],
    ["/dev/vg/lv,raw,xvda,w", {}],
    ["/dev/vg/lv,,xvda,", {}],
    ["/dev/vg/lv,,xvda,r", { readOnly: true }],
    ["/dev/vg/lv,qcow2,xvda,ro", { format: "qcow2", readOnly: true }],
    ["  /dev/vg/lv,\n\tvdev=xvda", {}],
    ["vdev=xvda,target=/a,b,", { target: "/a,b" }],
    ["vdev=xvda,target=/a,,", { target: "/a," }],
    ["vdev=xvda,target=", { target: "" }],
    ["format=,vdev=xvda,target=/dev/vg/lv", {}],
    ["format=qed,vdev=xvda,target=/dev/vg/lv", { format: "qed" }],
    ["format=qed,format=qed,vdev=xvda,target=/dev/vg/lv", { format: "qed" }],
    ["access=,access=r,access=rw,vdev=xvda,/dev/vg/lv", {}],
    ["script=,script=block-x,vdev=xvda,/dev/vg/lv", { script: "block-x" }],
    ["/dev/vg/lv,vdev=xvda,format=vhd,r", { format: "vhd", readOnly: true }],
    ["backend=drv,backendtype=phy,vdev=xvda,target=/dev/vg/lv", {
      backend: "drv",
      backendType: "phy",
    }],
    ["vdev=xvda,direct-io-safe,no-discard,untrusted,/dev/vg/lv", {
      directIoSafe: true,
      discard: false,
      trusted: false,
    }],
    ["vdev=xvda,discard,trusted,/dev/vg/lv", { discard: true, trusted: true }],
    ["specification=virtio,grant_usage=1,vdev=xvda,/dev/vg/lv", {
      specification: "virtio",
      grantUsage: true,
    }],
    [
      "colo,colo-host=h,colo-port=9000,colo-export=e,active-disk=a,hidden-disk=b,vdev=xvda,/dev/vg/lv",
      {
        colo: true,
        coloHost: "h",
        coloPort: 9000,
        coloExport: "e",
        activeDisk: "a",
        hiddenDisk: "b",
      },
    ],
    ["phy:/dev/vg/lv,xvda,w", {}],
    ["file:/x.img,xvda,r", { target: "/x.img", readOnly: true }],
    ["qcow2:/x.img,xvda,w", { target: "/x.img", format: "qcow2" }],
    ["tap2:aio:/x.img,xvda", { target: "/x.img" }],
    ["iscsi:iqn.2001-05:lun0,xvda,w", { target: "iqn.2001-05:lun0", script: "block-iscsi" }],
    ["drbd:r0,xvda,w", { target: "r0", script: "block-drbd" }],
    ["/x.iso,raw,hdc:cdrom,rw", { target: "/x.iso", vdev: "hdc", cdrom: true, readOnly: true }],
    ["/x.iso,vdev=hdc,devtype=cdrom,access=rw", {
      target: "/x.iso",
      vdev: "hdc",
      cdrom: true,
      readOnly: true,
    }],
    ["cdrom,devtype=disk,vdev=xvda,target=/dev/vg/lv", {}],
    ["/dev/vg/lv,raw,a:b:disk", { vdev: "a:b" }],
    [",hdc:cdrom", { target: "", vdev: "hdc", format: "empty", cdrom: true, readOnly: true }],
    ["cdrom,vdev=hdc,format=qcow2,target=", {
      target: "",
      vdev: "hdc",
      format: "empty",
      cdrom: true,
      readOnly: true,
    }],
    ["vdev=anything at all,target=/dev/vg/lv", { vdev: "anything at all" }],
    ["hdc:disk,raw,xvda", { target: "hdc:disk" }],
  ])("%s", (text, expected) => { // deno-fmt-ignore
    expect(parseDisk(text)).toEqual({ ...disk, ...expected });
  });

  test("a CD-ROM needs no target at all", () => {
    const { target, ...drive } = parseDisk("vdev=hdc,cdrom");
    expect(target).toBeUndefined();
    expect(drive).toEqual({
      vdev: "hdc",
      format: "empty",
      cdrom: true,
      readOnly: true,
      directIoSafe: false,
    }); // deno-fmt-ignore
  });

  test("several texts are one disk", () => {
    expect(parseDisk(["/dev/vg/lv", "raw,xvda", "r"])).toEqual({ ...disk, readOnly: true });
  });
});

describe("refused: what kind of error, and what it points at", () => {
  test.each([
    ["format=raww,vdev=xvda,/x", "unknown value for format", "format=raww"],
    ["/x,raww,xvda", "unknown value for format", "raww"],
    ["/x,,xvda,rx", "unknown value for access", "rx"],
    ["access=R,vdev=xvda,/x", "unknown value for access", "access=R"],
    ["backendtype=file,vdev=xvda,/x", "unknown value for backendtype", "backendtype=file"],
    ["backendtype=,vdev=xvda,/x", "unknown value for backendtype", "backendtype="],
    ["specification=kvm,vdev=xvda,/x", "unknown value for specification", "specification=kvm"],
    ["devtype=floppy,vdev=xvda,/x", "unknown value for type", "devtype=floppy"],
    ["colo-port=0,vdev=xvda,/x", "unknown value for colo_port", "colo-port=0"],
    ["format=raw,format=vhd,vdev=xvda,/x", "format respecified", "format=vhd"],
    ["raw:/x,format=vhd,vdev=xvda", "format respecified", "format=vhd"],
    ["vdev=xvda,/x,,vdev=xvdb", "vdev respecified", "vdev=xvdb"],
    ["/x,,xvda,target=/y", "target respecified", "target=/y"],
    ["script=a,iscsi:/x,xvda", "script respecified", "iscsi:"],
    ["backendtype=phy,backendtype=qdisk,vdev=xvda,/x", "backend respecified", "backendtype=qdisk"],
    ["/x,raw,hdc:floppy", "unknown deprecated type", "hdc:floppy"],
    ["colour=red,vdev=xvda,/x", "unknown parameter", "colour=red"],
    ["foo:/x,xvda,w", "unknown deprecated disk prefix", "foo:"],
    ["foo:", "unknown deprecated disk prefix", "foo:"],
    ["/x,raw,xvda,w,more", "too many positional parameters", "more"],
    ["vdev=xvda,colour=,/x", "bad disk syntax", "colour="],
    ["vdev=xvda,grant_usage=2,/x", "bad disk syntax", "grant_usage=2"],
    ["vdev=xvda,Format=raw,/x", "bad disk syntax", "Format=raw"],
    ["vdev=xvda,=", "bad disk syntax", "="],
    ["vdev=xvda,script=a\u0007b,/x", "bad disk syntax", "script=a\u0007b"],
    ["vdev=xv\0da,/x", "bad disk syntax", "vdev=xv\0da"],
    ["target=/x", "no vdev specified", ""],
    ["", "no vdev specified", ""],
    ["vdev=xvda", "no target specified (and device not removable)", ""],
  ])("%j", (text, category, piece) => {
    expect(faultOf(() => parseDisk(text))).toEqual([category, piece]);
  });

  test("the message has the piece and what would be accepted; two lines point at it", () => {
    const error = specErrorOf(() => parseDisk(["vdev=xvda", "format=raww,target=/x"]));
    expect(error.message).toBe(
      'disk specification: unknown value for format: "format=raww"; ' +
        "expected raw, qcow, qcow2, vhd, qed, empty",
    );
    expect(error.place).toEqual({
      text: "format=raww,target=/x",
      argument: 1,
      offset: 0,
      length: 11,
    }); // deno-fmt-ignore
    expect(pointAt(error.place)).toEqual(["format=raww,target=/x", "^~~~~~~~~~~"]);
  });

  test("what is missing is pointed at behind the end", () => {
    const { place } = specErrorOf(() => parseDisk("target=/x"));
    expect(pointAt(place)).toEqual(["target=/x", "         ^"]);
  });

  test("of a long text the part around the error is shown, and nothing that cannot be seen", () => {
    const text = `vdev=xvda,script=${"s".repeat(500)},bad=\u001b[31m\u202e,target=${
      "t".repeat(500)
    }`;
    const error = specErrorOf(() => parseDisk(text));
    // deno-lint-ignore no-control-regex
    expect(error.message).toMatch(/^[^\x00-\x1f\u202e]{1,900}$/);
    expect(error.message).toContain("bad=\\u001b[31m\\u202e");
    const [shown, mark] = pointAt(error.place);
    expect(shown.length).toBeLessThan(150);
    expect(shown.slice(mark.indexOf("^"), mark.length)).toBe("bad=?[31m?");
  });
});

test("xl -N prints fields in libxl's order, without defaults, and an empty line", () => {
  expect(
    diskDryRun(parseDisk('trusted,discard,backend=drv,backendtype=qdisk,qcow2:/"a\\\tb,hdc:cdrom')),
  )
    .toBe(`disk: {
    "backend_domname": "drv",
    "pdev_path": "/\\"a\\\\\\tb",
    "vdev": "hdc",
    "backend": "qdisk",
    "format": "qcow2",
    "removable": 1,
    "is_cdrom": 1,
    "discard_enable": "True",
    "trusted": "True"
}

`);
  expect(diskDryRun(parseDisk("no-discard,direct-io-safe,vdev=xvda,script=,/x"))).toBe(`disk: {
    "pdev_path": "/x",
    "vdev": "xvda",
    "format": "raw",
    "script": "",
    "readwrite": 1,
    "direct_io_safe": true,
    "discard_enable": "False"
}

`);
});
