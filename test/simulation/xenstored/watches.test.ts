/** The index of watches against a plain list of them, and the count of owners against counting. */
import { expect, test } from "bun:test";
import fc from "fast-check";
import { isWithin } from "../../../core/xenstore/paths.ts";
import { Tree } from "../../../simulation/xenstored/tree.ts";
import { type ServerWatch, Watches } from "../../../simulation/xenstored/watches.ts";

const paths = ["/", "/a", "/a/b", "/a/b/c", "/ab", "/a/bc", "@releaseDomain"];
const path = fc.constantFrom(...paths);
const watch = fc.record({
  path,
  token: fc.uint8Array({ maxLength: 1 }),
  relative: fc.constant(0),
});
const same = (a: ServerWatch) => (b: ServerWatch) =>
  a.path === b.path && String(a.token) === String(b.token);

test("watches are found as in a list of all", () => {
  const step = fc.oneof(
    { weight: 8, arbitrary: fc.record({ does: fc.constantFrom("add", "remove"), watch }) },
    { weight: 1, arbitrary: fc.constant("clear" as const) },
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const watches = new Watches();
    let list: ServerWatch[] = [];
    for (const step of steps) {
      if (step === "clear") {
        watches.clear();
        list = [];
      } else {
        const known = list.some(same(step.watch));
        expect(watches.has(step.watch)).toBe(known);
        if (step.does === "add") {
          expect(watches.add(step.watch)).toBe(!known);
          if (!known) list.push(step.watch);
        } else {
          expect(watches.remove(step.watch)).toBe(known);
          list = list.filter((other) => !same(step.watch)(other));
        }
      }
      expect(watches.size).toBe(list.length);
      for (const path of paths) {
        expect(watches.on(path)).toEqual(list.filter((other) => other.path === path));
        if (path.startsWith("@")) continue;
        const above = list.filter((other) => isWithin(path, other.path));
        expect(watches.above(path)).toEqual(above);
      }
    }
  }));
});

test("a tree knows how many nodes each domain owns", () => {
  const step = fc.record({ path, domid: fc.option(fc.nat(3)) });
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
    const tree = new Tree();
    const paths = new Set(["/", "/tool", "/tool/xenstored", ...steps.map(({ path }) => path)]);
    for (const { path, domid } of steps) {
      const permissions = domid === null ? [] : [{ domid, access: "none" as const }];
      if (domid === 3) tree.drop(path);
      else tree.put(path, { value: new Uint8Array(0), permissions, children: new Set() });
      for (const owner of [0, 1, 2, 3]) {
        const owned = [...paths].filter((at) => tree.get(at)?.permissions[0]?.domid === owner);
        expect(tree.ownedBy(owner)).toBe(owned.length);
      }
    }
  }));
});
