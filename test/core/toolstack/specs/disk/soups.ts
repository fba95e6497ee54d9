/** Random disk specifications: concatenations of what the grammar knows, and of what it does not. */
import * as fc from "fast-check";
import {
  DISK_FLAGS,
  DISK_KEYS,
  DISK_PREFIXES,
} from "../../../../../core/toolstack/specs/disk/lexer.ts";

const keys = [...DISK_KEYS, "target", "colour", "max-files", "grant_usage", "Format", "x"];
const values = [
  "",
  "raw",
  "qcow2",
  "vhd",
  "empty",
  "qed",
  "r",
  "rw",
  "ro",
  "w",
  "phy",
  "qdisk",
  "tap",
  "standalone",
  "xen",
  "virtio",
  "cdrom",
  "disk",
  "xvda",
  "hdc",
  "hdc:cdrom",
  "sda:disk",
  "/dev/vg/lv",
  "/a b.img",
  "iscsi:iqn.2024-01:x",
  "block-x",
  "0",
  "7",
  "65535",
  "65536",
  "é",
  "hdc:floppy",
  "a:b:disk",
  "driver",
  "1 2",
  "raw:",
  "x:/y",
]; // deno-fmt-ignore
const words = [
  ...DISK_FLAGS.filter((flag) => !flag.includes("=")),
  ...values,
  ...Object.values(DISK_PREFIXES).flat().map((name) => `${name}:`),
  "foo:", "foo:/", "foo:x", "FOO:", "=", ",", ",,", " ", "\t", "  ,", "a=", "=b", "-x=1", ":",
]; // deno-fmt-ignore

/** A piece, with or without a comma after it. */
export const piece: fc.Arbitrary<string> = fc.tuple(
  fc.oneof(
    { weight: 4, arbitrary: fc.constantFrom(...words) },
    {
      weight: 5,
      arbitrary: fc.tuple(fc.constantFrom(...keys), fc.constantFrom(...values))
        .map(([key, value]) => `${key}=${value}`),
    },
    { weight: 1, arbitrary: fc.stringMatching(/^[a-z=,: -]{0,4}$/) },
  ),
  fc.constantFrom(",", ",", ",", ",", "", " ", ", "),
).map(([text, after]) => text + after);

/** A text of pieces. */
export const soup: fc.Arbitrary<string> = fc.array(piece, { maxLength: 7 })
  .map((pieces) => pieces.join(""));

/** Such texts that are often accepted: they name a vdev and a target. */
export const likely: fc.Arbitrary<string> = fc.tuple(
  fc.array(piece, { maxLength: 3 }),
  fc.constantFrom("vdev=xvda,", "xvda,", "vdev=hdc,cdrom,", ""),
  fc.array(piece, { maxLength: 2 }),
  fc.constantFrom("target=/a,b", "target=", "target=x,,", "", "/x", ","),
).map(([before, vdev, after, target]) => [...before, vdev, ...after, target].join(""));
