/** What an unprivileged domain may use, at the defaults. */
import { describe, expect, test } from "bun:test";
import { Op } from "../../core/xenstore/operations.ts";
import type { Bench } from "./bench.ts";

export function quotas(bench: Bench): void {
  describe("quotas of a guest", () => {
    test("size of a node", async () => {
      const g = await bench.open(await bench.domain());
      // 24 bytes of header and 8 for its one permission belong to it, and 2048 itself is too much.
      expect(await g.ask(Op.WRITE, `big\0${"x".repeat(2015)}`)).toBe("OK");
      expect(await g.ask(Op.WRITE, `big\0${"x".repeat(2016)}`)).toBe("!ENOSPC");
      expect(await g.ask(Op.READ, "big\0")).toBe("x".repeat(2015));
    });

    test("size of a node that has children: each name with its NUL", async () => {
      const g = await bench.open(await bench.domain());
      await g.ask(Op.WRITE, "big/one\0");
      await g.ask(Op.WRITE, "big/three\0");
      const room = 2047 - 24 - 8 - "one".length - 1 - "three".length - 1;
      expect(await g.ask(Op.WRITE, `big\0${"x".repeat(room)}`)).toBe("OK");
      expect(await g.ask(Op.WRITE, `big\0${"x".repeat(room + 1)}`)).toBe("!ENOSPC");
      // Nor is there room for another child, or an entry more.
      expect(await g.ask(Op.WRITE, "big/c\0")).toBe("!ENOSPC");
    });

    test("permissions of a node", async () => {
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await g.ask(Op.WRITE, "a\0v");
      const list = (count: number) => `a\0n${guest}\0${"r0\0".repeat(count - 1)}`;
      expect(await g.ask(Op.SET_PERMS, list(5))).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, list(6))).toBe("!ENOSPC");
    });

    test("watches", async () => {
      const g = await bench.open(await bench.domain());
      // One more than the quota says.
      for (let at = 0; at < 129; at++) expect(await g.ask(Op.WATCH, `x\0t${at}\0`)).toBe("OK");
      expect(await g.ask(Op.WATCH, "x\0t\0")).toBe("!E2BIG");
      expect(await g.ask(Op.UNWATCH, "x\0t0\0")).toBe("OK");
      expect(await g.ask(Op.WATCH, "x\0t\0")).toBe("OK");
    });

    test("transactions", async () => {
      const g = await bench.open(await bench.domain());
      // One more than the quota says.
      for (let at = 0; at < 11; at++) expect(await g.begin()).toBeGreaterThan(0);
      expect(await g.ask(Op.TRANSACTION_START, "\0")).toBe("!ENOSPC");
      expect(await g.ask(Op.RESET_WATCHES, "\0")).toBe("OK");
      expect(await g.begin()).toBeGreaterThan(0);
    });

    test("nodes", async () => {
      const g = await bench.open(await bench.domain());
      let last = "OK";
      let count = 0;
      while (last === "OK" && count < 1100) {
        last = await g.ask(Op.WRITE, `d${count % 30}/n${count++}\0`);
      }
      expect(last).toBe("!ENOSPC");
      // The domain's home and the 30 directories count as well.
      expect(count).toBe(970);
      // What is there may still be changed, and room be made.
      expect(await g.ask(Op.WRITE, "d0/n0\0v")).toBe("OK");
      expect(await g.ask(Op.RM, "d0/n0\0")).toBe("OK");
      expect(await g.ask(Op.WRITE, "d0/new/two\0")).toBe("!ENOSPC");
      expect(await g.ask(Op.READ, "d0/new\0")).toBe("!ENOENT");
      expect(await g.ask(Op.WRITE, "d0/new\0")).toBe("OK");
    });

    test("nodes of a transaction count when it is committed, before conflicts do", async () => {
      const guest = await bench.domain();
      const [c, g] = [await bench.open(), await bench.open(guest)];
      // Its home is the first; domain 0 may make as many as it likes.
      for (let at = 0; at < 20; at++) {
        const tx = await c.begin();
        for (let n = 0; n < 49; n++) {
          c.send(Op.WRITE, `/local/domain/${guest}/d${at}/n${n}\0`, tx);
        }
        expect(await c.commit(tx)).toBe("OK");
        if (at === 19) await g.ask(Op.RM, "d0/n0\0");
      }
      for (let n = 1; n < 4; n++) await g.ask(Op.RM, `d0/n${n}\0`);
      // 997 are left.
      const adds = async (count: number) => {
        const tx = await g.begin();
        for (let at = 0; at < count; at++) {
          expect(await g.ask(Op.WRITE, `more${at}\0`, tx)).toBe("OK");
        }
        return tx;
      };
      // Committed, 1000 are too many, though they may be made outside.
      expect(await g.commit(await adds(3))).toBe("!ENOSPC");
      const conflicting = await adds(3);
      await c.ask(Op.WRITE, `/local/domain/${guest}\0`);
      expect(await g.commit(conflicting)).toBe("!ENOSPC");
      expect(await g.commit(await adds(2))).toBe("OK");
      expect(await g.ask(Op.WRITE, "last\0")).toBe("OK");
      expect(await g.ask(Op.WRITE, "too-many\0")).toBe("!ENOSPC");
      // Full: the transaction's own removals make no room in it, and a refusal does not break it.
      const tx = await g.begin();
      expect(await g.ask(Op.RM, "last\0", tx)).toBe("OK");
      expect(await g.ask(Op.WRITE, "too-many\0", tx)).toBe("!ENOSPC");
      expect(await g.commit(tx)).toBe("OK");
    });

    test("names of children belong to the size of their parent", async () => {
      const g = await bench.open(await bench.domain());
      expect(await g.ask(Op.WRITE, `big\0${"x".repeat(2010)}`)).toBe("OK");
      expect(await g.ask(Op.WRITE, "big/four4\0")).toBe("!ENOSPC");
      expect(await g.ask(Op.WRITE, "big/four\0")).toBe("OK");
      expect(await g.ask(Op.WRITE, "big/b\0")).toBe("!ENOSPC");
      expect(await g.ask(Op.RM, "big/four\0")).toBe("OK");
    });

    test("a node that is too large takes with it the ancestors made for it", async () => {
      const g = await bench.open(await bench.domain());
      expect(await g.ask(Op.WRITE, `a/b/big\0${"x".repeat(2016)}`)).toBe("!ENOSPC");
      expect(await g.ask(Op.READ, "a\0")).toBe("!ENOENT");
    });

    test("a guest cannot touch a node that domain 0 made too large, but what is below", async () => {
      const guest = await bench.domain();
      const [c, g] = [await bench.open(), await bench.open(guest)];
      const home = `/local/domain/${guest}`;
      await c.ask(Op.WRITE, `${home}/big\0${"x".repeat(3000)}`);
      await c.ask(Op.WRITE, `${home}/big/below\0`);
      expect(await g.ask(Op.SET_PERMS, `big\0n${guest}\0`)).toBe("!ENOSPC");
      expect(await g.ask(Op.WRITE, "big/new\0")).toBe("!ENOSPC");
      expect(await g.ask(Op.MKDIR, "big\0")).toBe("OK");
      expect(await g.ask(Op.WRITE, "big/below\0v")).toBe("OK");
      expect(await g.ask(Op.RM, "big/below\0")).toBe("OK");
    });

    test.each([
      ["too large a value", Op.WRITE, `e\0${"x".repeat(2016)}`, "!ENOMEM"],
      ["too large a new node", Op.WRITE, `new\0${"x".repeat(2016)}`, "!ENOMEM"],
      ["too many permissions", Op.SET_PERMS, `e\0n0\0${"r0\0".repeat(5)}`, "OK"],
    ])("a refusal for %s, inside a transaction", async (_, op, payload, commit) => {
      const g = await bench.open(await bench.domain());
      await g.ask(Op.WRITE, "e\0v");
      const tx = await g.begin();
      expect(await g.ask(op, payload, tx)).toBe("!ENOSPC");
      expect(await g.ask(Op.READ, "e\0", tx)).toBe("v");
      expect(await g.ask(Op.WRITE, "f\0v", tx)).toBe("OK");
      expect(await g.commit(tx)).toBe(commit);
      expect(await g.ask(Op.READ, "f\0")).toBe(commit === "OK" ? "v" : "!ENOENT");
    });

    test("nodes looked at in a transaction", async () => {
      const g = await bench.open(await bench.domain());
      const tx = await g.begin();
      // The home is looked at as well: it says whether the caller may know that there is nothing.
      for (let at = 0; at < 1023; at++) {
        expect(await g.ask(Op.READ, `n${at}\0`, tx)).toBe("!ENOENT");
      }
      expect(await g.ask(Op.READ, "one-more\0", tx)).toBe("!ENOSPC");
      expect(await g.ask(Op.READ, "n0\0", tx)).toBe("!ENOENT");
      expect(await g.commit(tx)).toBe("!ENOMEM");
    });

    test("domain 0 has none", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WRITE, `${d}/big\0${"x".repeat(4000)}`)).toBe("OK");
      for (let at = 0; at < 140; at++) {
        expect(await c.ask(Op.WATCH, `${d}\0t${at}\0`)).toBe("OK");
      }
      for (let at = 0; at < 12; at++) expect(await c.begin()).toBeGreaterThan(0);
    });
  });
}
