/** The numbers of the protocol: both our sides take them from one table, which only this holds to Xen's. */
import { expect, test } from "bun:test";
import {
  DEVICE_PAYLOAD_MAX,
  HEADER_SIZE,
  Op,
  opName,
  PAYLOAD_MAX,
} from "../../../core/xenstore/operations.ts";
import { ABSOLUTE_PATH_MAX, RELATIVE_PATH_MAX } from "../../../core/xenstore/paths.ts";

/** `enum xsd_sockmsg_type` of xs_wire.h, by number; 20 was RESTRICT. */
const NUMBERS = [
  ...["CONTROL", "DIRECTORY", "READ", "GET_PERMS", "WATCH", "UNWATCH", "TRANSACTION_START"],
  ...["TRANSACTION_END", "INTRODUCE", "RELEASE", "GET_DOMAIN_PATH", "WRITE", "MKDIR", "RM"],
  ...["SET_PERMS", "WATCH_EVENT", "ERROR", "IS_DOMAIN_INTRODUCED", "RESUME", "SET_TARGET", null],
  ...["RESET_WATCHES", "DIRECTORY_PART", "GET_FEATURE", "SET_FEATURE", "GET_QUOTA", "SET_QUOTA"],
];

test("operations have the numbers of xs_wire.h", () => {
  const expected = NUMBERS.flatMap((name, number) => name === null ? [] : [[name, number]]);
  expect(Object.entries(Op) as [string, number][]).toEqual(expected as [string, number][]);
  for (const [number, name] of NUMBERS.entries()) {
    expect(opName(number)).toBe(name ?? `type ${number}`);
  }
  expect(opName(65_535)).toBe("type 65535");
});

test("sizes are those of xs_wire.h, and of the driver's one page", () => {
  expect([HEADER_SIZE, PAYLOAD_MAX, DEVICE_PAYLOAD_MAX]).toEqual([16, 4096, 4080]);
  expect([ABSOLUTE_PATH_MAX, RELATIVE_PATH_MAX]).toEqual([3072, 2048]);
});
