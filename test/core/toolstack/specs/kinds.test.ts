/** Specifications of the kinds that are lists of `key=value`. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { type Fields, formatFields } from "../../../../core/toolstack/specs/fields.ts";
import {
  P9_FIELDS,
  parseP9,
  parsePvcalls,
  parseUsbctrl,
  parseVirtio,
  parseVkb,
  parseVtpm,
  PVCALLS_FIELDS,
  randomUuid,
  resolveUsbctrl,
  USBCTRL_FIELDS,
  VIRTIO_FIELDS,
  VKB_FIELDS,
  VTPM_FIELDS,
} from "../../../../core/toolstack/specs/kinds.ts";
import { SpecError } from "../../../../core/toolstack/specs/spec_error.ts";
import { faultOf } from "../errors.ts";

const UUID = "01234567-89ab-cdef-0123-456789ABCDEF";

const parsers: Record<string, [(texts: string[]) => object, (spec: never) => string, Fields]> = {
  vtpm: [parseVtpm, formatFields, VTPM_FIELDS],
  p9: [parseP9, formatFields, P9_FIELDS],
  pvcalls: [parsePvcalls, formatFields, PVCALLS_FIELDS],
  vkb: [parseVkb, formatFields, VKB_FIELDS],
  virtio: [parseVirtio, formatFields, VIRTIO_FIELDS],
  usbctrl: [parseUsbctrl, formatFields, USBCTRL_FIELDS],
};

test.each<[string, string, object]>([
  ["vtpm", "backend=tpm", { backend: "tpm" }],
  ["vtpm", ` backend=3, uuid=${UUID}`, { backend: "3", uuid: UUID.toLowerCase() }],
  ["p9", "tag=t,path=/p,security_model=none", {
    tag: "t",
    path: "/p",
    security_model: "none",
    type: "qemu",
  }],
  ["p9", "type=XEN_9PFSD,path=/p,security_model=none,max-files=5,auto-delete=1,backend=d", {
    tag: "Xen",
    path: "/p",
    security_model: "none",
    type: "xen_9pfsd",
    "max-files": 5,
    "auto-delete": true,
    backend: "d",
  }],
  ["pvcalls", "", {}],
  ["pvcalls", "backend=0", { backend: "0" }],
  ["vkb", "backend-type=linux,feature-abs-pointer=1,width=800,height=600,unique-id=a=b", {
    "backend-type": "linux",
    "feature-abs-pointer": true,
    width: 800,
    height: 600,
    "unique-id": "a=b",
  }],
  ["vkb", "backend-type=qemu,multi-touch-width=9", {
    "backend-type": "qemu",
    "multi-touch-width": 9,
    "feature-multi-touch": true,
  }],
  ["virtio", "type=virtio,device22,transport=mmio,grant_usage=0,backend=d", {
    type: "virtio,device22",
    transport: "mmio",
    grant_usage: false,
    backend: "d",
  }],
  ["virtio", "backend=d,type=other", { backend: "d", type: "other" }],
  ["usbctrl", "type=pv,version=1,ports=4", { type: "pv", version: 1, ports: 4 }],
  ["usbctrl", "type=Auto", { type: "auto" }],
])("%s: %s", (device, text, expected) => { // deno-fmt-ignore
  expect(parsers[device]![0]([text])).toEqual(expected);
});

test.each([
  ["vtpm", "", "missing required field", ""],
  ["vtpm", `uuid=${UUID}`, "missing required field", ""],
  ["vtpm", "backend=d, uuid=123", "Failed to parse vtpm UUID", "uuid=123"],
  ["vtpm", "backend=d,tag=1", "unknown parameter", "tag=1"],
  ["vtpm", "backend", "unknown parameter", "backend"],
  ["vtpm", "__proto__=1", "unknown parameter", "__proto__=1"],
  ["vtpm", "backend=a\u0001", "Invalid parameter", "backend=a\u0001"],
  ["p9", "path=/p,security_model=none", "missing required field", ""],
  ["p9", "tag=t,security_model=none", "missing required field", ""],
  ["p9", "tag=t,path=/p", "missing required field", ""],
  ["p9", "tag=t,path=/p,security_model=n,type=nfs", "unknown value for type", "type=nfs"],
  [
    "p9",
    "tag=t,path=/p,security_model=n,max-files=1",
    "Illegal 9pfs parameter combination",
    "max-files=1",
  ],
  ["p9", "tag=t,path=/p,security_model=n,max-space=1G", "not a number", "max-space=1G"],
  ["p9", "tag=t,path=/p,security_model=n,auto-delete=yes", "not a number", "auto-delete=yes"],
  ["pvcalls", "backend=d,x=1", "unknown parameter", "x=1"],
  ["vkb", "backend=d", "missing required field", ""],
  ["vkb", "backend-type=usb", "unknown value for backend-type", "backend-type=usb"],
  [
    "vkb",
    "backend-type=qemu,feature-multi-touch=1",
    "missing required field",
    "feature-multi-touch=1",
  ],
  ["vkb", "backend-type=qemu,width=4294967296", "out of range", "width=4294967296"],
  ["virtio", "type=virtio", "unknown value for type", "type=virtio"],
  ["virtio", "transport=pci", "unknown value for transport", "transport=pci"],
  ["usbctrl", "type=emulated", "unknown value for type", "type=emulated"],
  ["usbctrl", "version=4", "out of range", "version=4"],
  ["usbctrl", "ports=32", "out of range", "ports=32"],
])("%s: %j is refused: %s", (device, text, category, piece) => {
  expect(faultOf(() => parsers[device]![0]([text]))).toEqual([category, piece]);
});

describe("any list of known and unknown keys", () => {
  const values = fc.constantFrom(
    "",
    "0",
    "1",
    "7",
    "31",
    "4294967295",
    "4294967296",
    "x",
    "qemu",
    "linux",
    "pv",
    "auto",
    "xen_9pfsd",
    "virtio",
    "mmio",
    UUID,
    "a=b",
    "/p",
    "é",
    "\t",
  ); // deno-fmt-ignore

  test.each(Object.keys(parsers))("%s", (device) => {
    const [parse, format, fields] = parsers[device]!;
    const required = Object.keys(fields).map((key) => `${key}=${SAMPLES[key] ?? "x"}`);
    const pair = fc.tuple(fc.constantFrom(...Object.keys(fields), "other", ""), values)
      .map(([key, value]) => `${key}=${value}`);
    const piece = fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...required) },
      { weight: 4, arbitrary: pair },
      { weight: 1, arbitrary: fc.string({ maxLength: 5 }) },
    );
    let count = 0;
    fc.assert(
      fc.property(
        fc.constantFrom("", BASES[device] ?? ""),
        fc.array(piece, { maxLength: 5 }),
        fc.constantFrom(",", ", "),
        (base, pieces, separator) => {
          try {
            const spec = parse([[base, ...pieces].join(separator)]);
            count++;
            expect(parse([format(spec as never)])).toEqual(spec);
          } catch (error) {
            if (!(error instanceof SpecError)) throw error;
          }
        },
      ),
      { numRuns: 4_000 },
    );
    expect(count).toBeGreaterThan(100);
  });
});

/** What has to be there. */
const BASES: Record<string, string> = {
  vtpm: "backend=x",
  p9: "tag=t,path=/p,security_model=none",
  vkb: "backend-type=linux",
};

/** Values that are accepted. */
const SAMPLES: Record<string, string> = {
  uuid: UUID,
  type: "qemu",
  "backend-type": "qemu",
  transport: "mmio",
  version: "2",
  ports: "3",
  "max-files": "1",
  "max-open-files": "1",
  "max-space": "1",
  "auto-delete": "1",
  grant_usage: "1",
  width: "5",
  height: "5",
  "multi-touch-width": "5",
  "multi-touch-height": "5",
  "multi-touch-num-contacts": "5",
  "feature-abs-pointer": "1",
  "feature-raw-pointer": "1",
  "feature-multi-touch": "1",
  "feature-disable-keyboard": "1",
  "feature-disable-pointer": "1",
}; // deno-fmt-ignore

describe("USB controllers with nothing left open", () => {
  const pv = { type: "pv", usbback: true } as const;
  const hvm = { type: "hvm", usbback: true } as const;
  test.each([
    ["", pv, { type: "pv", version: 2, ports: 8 }],
    ["type=auto", { ...pv, usbback: false }, { type: "qusb", version: 2, ports: 8 }],
    ["ports=6", hvm, { type: "devicemodel", version: 2, ports: 6 }],
    ["version=1", hvm, { type: "devicemodel", version: 1, ports: 2 }],
    ["version=3", hvm, { type: "devicemodel", version: 3, ports: 8 }],
    ["version=3,ports=15", hvm, { type: "devicemodel", version: 3, ports: 15 }],
    ["type=qusb,version=1,ports=31", hvm, { type: "qusb", version: 1, ports: 31 }],
    ["version=0,ports=0", pv, { type: "pv", version: 2, ports: 8 }],
  ] as const)("%j", (text, guest, expected) => {
    expect(resolveUsbctrl(parseUsbctrl([text]), guest)).toEqual(expected);
  });

  test.each([
    ["version=3", pv, "version=3"],
    ["ports=7", hvm, "ports=7"],
    ["version=1,ports=6", hvm, "ports=6"],
    ["version=3,ports=16", hvm, "ports=16"],
  ] as const)("%j is refused", (text, guest, piece) => {
    const fault = faultOf(() => resolveUsbctrl(parseUsbctrl([text]), guest));
    expect(fault).toEqual(["out of range", piece]);
  });
});

test("a random UUID says that it is one", () => {
  expect(randomUuid(new Uint8Array(16).fill(0xff))).toBe("ffffffff-ffff-4fff-bfff-ffffffffffff");
  expect(randomUuid(new Uint8Array(16))).toBe("00000000-0000-4000-8000-000000000000");
});
