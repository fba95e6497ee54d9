/** Numbers as the C daemon reads them: laxly, with the C library's `atoi` and `strtol`. Pure. */
import { own } from "../../contract/v1/own.ts";
import { toText } from "../../core/xenstore/codec.ts";
import { type Access, type Permission } from "../../core/xenstore/permissions.ts";
import { Failure } from "./failure.ts";

const LONG_MAX = 2n ** 63n - 1n;
const LONG_MIN = -(2n ** 63n);

/** A number of any size as C's `long` takes it: one that is too large becomes the largest. */
function saturate(value: bigint): bigint {
  return value > LONG_MAX ? LONG_MAX : value < LONG_MIN ? LONG_MIN : value;
}

/**
 * A decimal number at the beginning of a text, as `atoi` finds it and an `unsigned int` keeps it:
 * 0 … 2³²-1. What is no number is 0, what follows it does not count.
 */
export function unsignedInt(text: string): number {
  const digits = /^[ \t\n\v\f\r]*([+-]?)(\d+)/.exec(text);
  const size = BigInt(digits?.[2] ?? 0);
  return Number(BigInt.asUintN(32, saturate(digits?.[1] === "-" ? -size : size)));
}

const accesses: Readonly<Record<string, Access>> = { n: "none", r: "read", w: "write", b: "both" };

/**
 * A permission entry as 4.17 takes it (`xs_strings_to_perms`, tools/libs/store/xs.c): the number may
 * be in any base that C knows (`r0x7`, `r010`), have a sign, and is cut to 32 bits. One that is no
 * domid names nobody, but is kept and told.
 * @throws Failure EINVAL
 */
export function permissionArgument(bytes: Uint8Array): Permission {
  const match = /^([nrwb])[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9]\d*)$/
    .exec(toText(bytes));
  const access = own(accesses, match?.[1] ?? "");
  const digits = match?.[3];
  if (access === undefined || digits === undefined) throw new Failure("EINVAL");
  const size = BigInt(/^0[0-7]/.test(digits) ? `0o${digits}` : digits);
  const value = saturate(match?.[2] === "-" ? -size : size);
  return { access, domid: Number(BigInt.asIntN(32, value)) };
}
