/** Paths and permissions as text. */
import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { ArgumentError } from "../../../core/xenstore/errors.ts";
import {
  baseName,
  isWithin,
  joinPath,
  parentPath,
  pathFault,
} from "../../../core/xenstore/paths.ts";
import {
  formatPermission,
  parsePermission,
  parsePermissions,
} from "../../../core/xenstore/permissions.ts";

const name = fc.stringMatching(/^[A-Za-z0-9@_-]{1,20}$/);
const path = fc.array(name, { minLength: 1, maxLength: 6 }).map((names) => `/${names.join("/")}`);

describe("paths", () => {
  test("what is made of allowed names is allowed; what joins also parts", () => {
    fc.assert(fc.property(path, name, (directory, child) => {
      const joined = joinPath(directory, child);
      expect(pathFault(joined)).toBeNull();
      expect(parentPath(joined)).toBe(directory);
      expect(baseName(joined)).toBe(child);
      expect(isWithin(joined, directory)).toBeTrue();
      expect(isWithin(directory, joined)).toBeFalse();
      expect(isWithin(`${directory}x`, directory)).toBeFalse();
    }));
  });

  test("any other character is a fault", () => {
    fc.assert(fc.property(fc.string({ unit: "binary", minLength: 1 }), (text) => {
      const clean = /^[A-Za-z0-9@_/-]+$/.test(text);
      if (!clean) expect(pathFault(`/${text}`)).not.toBeNull();
    }));
  });

  test.each([
    ["", /empty/],
    ["/a//b", /empty component/],
    ["/a/", /ends in/],
    ["/a.b", /only A-Z/],
    ["@releaseDomain", /special/],
    [`/${"x".repeat(3072)}`, /longer than 3072/],
    ["x".repeat(2049), /longer than 2048/],
  ])("%p", (text, fault) => {
    expect(pathFault(text)).toMatch(fault);
  });

  test("edges that are fine", () => {
    for (const text of ["/", "a", `/${"x".repeat(3071)}`, "x".repeat(2048)]) {
      expect(pathFault(text)).toBeNull();
    }
    expect(pathFault("@releaseDomain", true)).toBeNull();
    expect(parentPath("/")).toBeNull();
    expect(parentPath("/a")).toBe("/");
    expect(joinPath("/", "a")).toBe("/a");
    expect(isWithin("/a", "/")).toBeTrue();
  });
});

describe("permissions", () => {
  test("what is printed is read back", () => {
    const access = fc.constantFrom("none", "read", "write", "both");
    fc.assert(fc.property(fc.record({ domid: fc.nat({ max: 65535 }), access }), (permission) => {
      expect(parsePermission(formatPermission(permission as never))).toEqual(permission as never);
    }));
  });

  test.each(["", "r", "7", "x7", "r-1", "r65536", "r7 ", "rr7", "r0x7"])(
    "%p is refused",
    (text) => {
      expect(() => parsePermission(text)).toThrow(ArgumentError);
    },
  );

  test("lists", () => {
    expect(parsePermissions("n1, r7 w0").map(formatPermission)).toEqual(["n1", "r7", "w0"]);
  });
});
