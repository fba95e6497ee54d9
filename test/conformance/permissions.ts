/** Permissions: who may what, what is hidden, what is inherited. */
import { describe, expect, test } from "bun:test";
import { Op } from "../../core/xenstore/operations.ts";
import type { Bench } from "./bench.ts";

export function permissions(bench: Bench): void {
  describe("permissions", () => {
    test("a fresh node of domain 0's is its own, for nobody else", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.GET_PERMS, `${d}\0`)).toBe("n0");
    });

    test("set and get, in order", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const [a, b] = [await bench.domain(), await bench.domain()];
      expect(await c.ask(Op.SET_PERMS, `${d}\0n${a}\0r${b}\0w0\0`)).toBe("OK");
      expect(await c.ask(Op.GET_PERMS, `${d}\0`)).toBe(`n${a}|r${b}|w0`);
    });

    test("bad permission strings", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      for (const bad of ["", "x0", "r", "0", "rr0"]) {
        expect(await c.ask(Op.SET_PERMS, `${d}\0${bad}\0`)).toBe("!EINVAL");
      }
      expect(await c.ask(Op.SET_PERMS, `${d}\0`)).toBe("!EINVAL");
      expect(await c.ask(Op.SET_PERMS, `${d}/absent\0n0\0`)).toBe("!ENOENT");
    });

    test.each([
      ["r0x7", "r7"],
      ["r010", "r8"],
      ["r 7", "r7"],
      ["r+7", "r7"],
      ["r000007", "r7"],
      ["r-1", "r-1"],
      ["r65536", "r65536"],
      ["r4294967303", "r7"],
    ])("the number of %s is C's: in any base, signed, of 32 bits", async (text, told) => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.SET_PERMS, `${d}\0n0\0${text}\0`)).toBe("OK");
      expect(await c.ask(Op.GET_PERMS, `${d}\0`)).toBe(`n0|${told}`);
    });

    test.each(["r0x", "r7x", "r08", "R7", "r--7"])("the entry %s is malformed", async (text) => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.SET_PERMS, `${d}\0n0\0${text}\0`)).toBe("!EINVAL");
    });

    test("what a list says is checked before where it goes and who says it", async () => {
      const guest = await bench.domain();
      const g = await bench.open(guest);
      for (const path of ["/malformed.path", "/tool", "own"]) {
        const many = `${path}\0n${guest}\0${"r0\0".repeat(5)}`;
        expect(await g.ask(Op.SET_PERMS, many)).toBe("!ENOSPC");
        expect(await g.ask(Op.SET_PERMS, `${path}\0x0\0`)).toBe("!EINVAL");
        expect(await g.ask(Op.SET_PERMS, `${path}\0n31000\0`)).toBe("!ENOENT");
      }
    });

    test("SET_PERMS of a missing node: who may write the directory is told", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.SET_PERMS, `${d}\0w0\0`);
      expect(await g.ask(Op.SET_PERMS, `${d}/absent\0n${guest}\0`)).toBe("!ENOENT");
      expect(await g.ask(Op.SET_PERMS, `${d}\0n0\0`)).toBe("!EACCES");
      await c.ask(Op.SET_PERMS, `${d}\0r0\0`);
      expect(await g.ask(Op.SET_PERMS, `${d}/absent\0n${guest}\0`)).toBe("!EACCES");
    });

    test("the owner has to exist; others need not", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.SET_PERMS, `${d}\0n31000\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.SET_PERMS, `${d}\0n0\0r31000\0`)).toBe("OK");
      expect(await c.ask(Op.GET_PERMS, `${d}\0`)).toBe("n0|r31000");
    });

    test("letters mean what they say", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      const outcomes: Record<string, [string, string]> = {
        n: ["!EACCES", "!EACCES"],
        r: ["v", "!EACCES"],
        w: ["!EACCES", "OK"],
        b: ["v", "OK"],
      };
      for (const [letter, [read, write]] of Object.entries(outcomes)) {
        await c.ask(Op.WRITE, `${d}/${letter}\0v`);
        await c.ask(Op.SET_PERMS, `${d}/${letter}\0n0\0${letter}${guest}\0`);
        expect(await g.ask(Op.READ, `${d}/${letter}\0`)).toBe(read);
        expect(await g.ask(Op.WRITE, `${d}/${letter}\0v`)).toBe(write);
      }
    });

    test("the first entry's letter is for everybody not listed; the first match wins", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.SET_PERMS, `${d}\0r0\0`);
      expect(await g.ask(Op.READ, `${d}\0`)).toBe("");
      await c.ask(Op.SET_PERMS, `${d}\0r0\0n${guest}\0r${guest}\0`);
      expect(await g.ask(Op.READ, `${d}\0`)).toBe("!EACCES");
    });

    test("an owner may do everything but give the node away", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.SET_PERMS, `${d}\0n${guest}\0`);
      expect(await g.ask(Op.WRITE, `${d}\0mine`)).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, `${d}\0r${guest}\0b0\0`)).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, `${d}\0n0\0`)).toBe("!EPERM");
      expect(await g.ask(Op.RM, `${d}\0`)).toBe("OK");
    });

    test("only the owner may change permissions", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.SET_PERMS, `${d}\0b0\0`);
      expect(await g.ask(Op.WRITE, `${d}\0v`)).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, `${d}\0b0\0`)).toBe("!EACCES");
    });

    test("what a caller may not see does not exist less than it is forbidden", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.WRITE, `${d}/there\0v`);
      expect(await g.ask(Op.READ, `${d}/there\0`)).toBe("!EACCES");
      expect(await g.ask(Op.READ, `${d}/absent\0`)).toBe("!EACCES");
      expect(await g.ask(Op.READ, `${d}/absent/below\0`)).toBe("!EACCES");
      await c.ask(Op.SET_PERMS, `${d}\0r0\0`);
      expect(await g.ask(Op.READ, `${d}/absent\0`)).toBe("!ENOENT");
      expect(await g.ask(Op.READ, `${d}/absent/below\0`)).toBe("!ENOENT");
      expect(await g.ask(Op.DIRECTORY, `${d}/absent\0`)).toBe("!ENOENT");
      // Read is not write.
      expect(await g.ask(Op.WRITE, `${d}/absent\0v`)).toBe("!EACCES");
      expect(await g.ask(Op.RM, `${d}/absent\0`)).toBe("!EACCES");
      expect(await g.ask(Op.MKDIR, `${d}/absent\0`)).toBe("!EACCES");
    });

    test("a readable node below a hidden one can be read", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.WRITE, `${d}/a\0v`);
      await c.ask(Op.SET_PERMS, `${d}/a\0n0\0r${guest}\0`);
      expect(await g.ask(Op.READ, `${d}/a\0`)).toBe("v");
      expect(await g.ask(Op.DIRECTORY, `${d}\0`)).toBe("!EACCES");
    });

    test("RM needs write on the node, not on its parent", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.WRITE, `${d}/a/b\0v`);
      await c.ask(Op.SET_PERMS, `${d}/a\0n0\0w${guest}\0`);
      expect(await g.ask(Op.RM, `${d}/a\0`)).toBe("OK");
      expect(await c.ask(Op.DIRECTORY, `${d}\0`)).toBe("");
    });

    test("new nodes inherit; domain 0 keeps the owner, a guest becomes it", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const [a, b] = [await bench.domain(), await bench.domain()];
      const g = await bench.open(a);
      await c.ask(Op.SET_PERMS, `${d}\0n${b}\0b${a}\0`);
      await c.ask(Op.WRITE, `${d}/by-dom0/deep\0`);
      expect(await c.ask(Op.GET_PERMS, `${d}/by-dom0/deep\0`)).toBe(`n${b}|b${a}`);
      expect(await g.ask(Op.WRITE, `${d}/by-guest/deep\0`)).toBe("OK");
      expect(await c.ask(Op.GET_PERMS, `${d}/by-guest\0`)).toBe(`n${a}|b${a}`);
      expect(await c.ask(Op.GET_PERMS, `${d}/by-guest/deep\0`)).toBe(`n${a}|b${a}`);
    });

    test("MKDIR of an existing node needs write all the same", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const g = await bench.open(await bench.domain());
      await c.ask(Op.SET_PERMS, `${d}\0r0\0`);
      expect(await g.ask(Op.MKDIR, `${d}\0`)).toBe("!EACCES");
    });

    test("privileged operations are refused to guests, whatever their arguments", async () => {
      const g = await bench.open(await bench.domain());
      for (
        const op of [
          Op.CONTROL,
          Op.INTRODUCE,
          Op.RELEASE,
          Op.IS_DOMAIN_INTRODUCED,
          Op.RESUME,
          Op.SET_TARGET,
        ]
      ) expect(await g.ask(op, "nonsense")).toBe("!EACCES");
      expect(await g.ask(Op.GET_DOMAIN_PATH, "3\0")).toBe("/local/domain/3");
    });

    test("relative paths of a guest", async () => {
      const guest = await bench.domain();
      const [c, g] = [await bench.open(), await bench.open(guest)];
      expect(await g.ask(Op.WRITE, "data/x\0v")).toBe("OK");
      expect(await c.ask(Op.READ, `/local/domain/${guest}/data/x\0`)).toBe("v");
      expect(await g.ask(Op.READ, `/local/domain/${guest}/data/x\0`)).toBe("v");
    });

    test("SET_TARGET lends rights", async () => {
      const [target, helper] = [await bench.domain(), await bench.domain()];
      const [c, h] = [await bench.open(), await bench.open(helper)];
      expect(await h.ask(Op.READ, `/local/domain/${target}\0`)).toBe("!EACCES");
      expect(await c.ask(Op.SET_TARGET, `${helper}\0${target}\0`)).toBe("OK");
      expect(await h.ask(Op.READ, `/local/domain/${target}\0`)).toBe("");
      expect(await h.ask(Op.WRITE, `/local/domain/${target}/x\0v`)).toBe("OK");
    });
  });
}
