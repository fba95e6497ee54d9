/** Who hears of a change, when there are several changes at a time, and in which order. */
import { describe, expect, test } from "bun:test";
import { Op } from "../../core/xenstore/operations.ts";
import type { Bench } from "./bench.ts";

export function hearers(bench: Bench): void {
  describe("who hears of a commit", () => {
    /** Domain 0's connection, a guest's, and a directory that the guest may read, watched by it. */
    async function setUp() {
      const [c, d] = [await bench.open(), await bench.directory()];
      const g = await bench.open(await bench.domain());
      await c.ask(Op.SET_PERMS, `${d}\0r0\0`);
      await g.ask(Op.WATCH, `${d}\0t\0`);
      await g.events();
      return { c, d, g };
    }

    test("those who could read the node before it", async () => {
      const { c, d, g } = await setUp();
      await c.ask(Op.WRITE, `${d}/a/b\0v`);
      await c.ask(Op.SET_PERMS, `${d}/a\0n0\0`);
      await c.ask(Op.SET_PERMS, `${d}/a/b\0r0\0`);
      await g.events();
      const tx = await c.begin();
      await c.ask(Op.SET_PERMS, `${d}/a/b\0n0\0`, tx);
      await c.ask(Op.WRITE, `${d}/a/b\0w`, tx);
      expect(await c.commit(tx)).toBe("OK");
      expect(await g.events()).toEqual([`${d}/a/b t`]);
    });

    test("those who can read its parent now, while it exists", async () => {
      const { c, d, g } = await setUp();
      await c.ask(Op.WRITE, `${d}/kept\0v`);
      await c.ask(Op.WRITE, `${d}/removed\0v`);
      await c.ask(Op.SET_PERMS, `${d}/kept\0n0\0`);
      await c.ask(Op.SET_PERMS, `${d}/removed\0n0\0`);
      await g.events();
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/kept\0w`, tx);
      await c.ask(Op.RM, `${d}/removed\0`, tx);
      expect(await c.commit(tx)).toBe("OK");
      expect(await g.events()).toEqual([`${d}/kept t`]);
    });

    test("a removal outside transactions: those who can read the parent, too", async () => {
      const { c, d, g } = await setUp();
      await c.ask(Op.WRITE, `${d}/removed\0v`);
      await c.ask(Op.SET_PERMS, `${d}/removed\0n0\0`);
      await g.events();
      await c.ask(Op.RM, `${d}/removed\0`);
      expect(await g.events()).toEqual([`${d}/removed t`]);
    });

    test("nobody, when it was created and removed", async () => {
      const { c, d, g } = await setUp();
      await c.ask(Op.WATCH, `${d}\0t\0`);
      await c.events();
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/a\0v`, tx);
      await c.ask(Op.RM, `${d}/a\0`, tx);
      expect(await c.commit(tx)).toBe("OK");
      expect([await c.events(), await g.events()]).toEqual([[], []]);
    });

    test("node by node: the parent that counts is the one that is there at that moment", async () => {
      const { c, d, g } = await setUp();
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/new/child\0v`, tx);
      await c.ask(Op.SET_PERMS, `${d}/new/child\0n0\0`, tx);
      await c.ask(Op.SET_PERMS, `${d}/new\0r0\0`, tx);
      expect(await c.commit(tx)).toBe("OK");
      // The child was looked at first, hence it is made before its parent, which nobody can read yet.
      expect(await g.events()).toEqual([`${d}/new t`]);
    });

    test("an owner that has died meanwhile: ENOMEM, before any conflict", async () => {
      const { c, d } = await setUp();
      const owner = await bench.domain();
      const tx = await c.begin();
      await c.ask(Op.WRITE, `${d}/a\0v`, tx);
      expect(await c.ask(Op.SET_PERMS, `${d}/a\0n${owner}\0`, tx)).toBe("OK");
      await bench.server.destroy(owner);
      await c.ask(Op.WRITE, `${d}/a\0other`);
      expect(await c.commit(tx)).toBe("!ENOMEM");
    });

    test("a domain that is named and dies is no conflict", async () => {
      const { c, d } = await setUp();
      const named = await bench.domain();
      await c.ask(Op.WRITE, `${d}/a\0v`);
      await c.ask(Op.SET_PERMS, `${d}/a\0n0\0r${named}\0`);
      const tx = await c.begin();
      expect(await c.ask(Op.READ, `${d}/a\0`, tx)).toBe("v");
      await bench.server.destroy(named);
      await c.ask(Op.WRITE, `${d}/b\0v`, tx);
      expect(await c.commit(tx)).toBe("OK");
    });
  });

  describe("the order and the number of events", () => {
    test("a removal: each after all below it, siblings as they were created", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const paths = ["/r", "/r/b", "/r/b/x", "/r/b/y", "/r/a", "/r/a/z"];
      for (const path of paths) await c.ask(Op.WRITE, `${d}${path}\0v`);
      for (const path of paths) await c.ask(Op.WATCH, `${d}${path}\0t${path}\0`);
      await c.events();
      await c.ask(Op.RM, `${d}/r\0`);
      expect((await c.events()).map((event) => event.split(" t")[1])).toEqual(
        ["/r/b/x", "/r/b/y", "/r/b", "/r/a/z", "/r/a", "/r"],
      );
    });

    test("a removal in a transaction: in the order in which the nodes were looked at", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const paths = ["/r", "/r/b", "/r/b/x", "/r/a"];
      for (const path of paths) await c.ask(Op.WRITE, `${d}${path}\0v`);
      for (const path of ["", ...paths]) await c.ask(Op.WATCH, `${d}${path}\0t${path}\0`);
      await c.events();
      const tx = await c.begin();
      await c.ask(Op.RM, `${d}/r/b\0`, tx);
      await c.ask(Op.WRITE, `${d}/r\0w`, tx);
      await c.commit(tx);
      // The parent was looked at before what is below the node.
      expect(await c.events()).toEqual([
        `${d}/r/b t`,
        `${d}/r/b t/r`,
        `${d}/r/b t/r/b`,
        `${d}/r t`,
        `${d}/r t/r`,
        `${d}/r/b/x t/r/b/x`,
      ]);
    });

    test("equal events of one change are one event", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      for (const path of ["", "/a", "/a/b"]) await c.ask(Op.WATCH, `${d}${path}\0same\0`);
      await c.allEvents();
      await c.ask(Op.WRITE, `${d}/a/b\0v`);
      expect(await c.allEvents()).toEqual([`${d}/a/b same`]);
      await c.ask(Op.WRITE, `${d}/a/b\0v`);
      expect(await c.allEvents()).toEqual([`${d}/a/b same`]);
    });

    test("what a domain owned dies in the order of the tree", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const owner = await bench.domain();
      for (const path of ["/a", "/b", "/a/x"]) {
        await c.ask(Op.WRITE, `${d}${path}\0v`);
        if (path !== "/a") await c.ask(Op.SET_PERMS, `${d}${path}\0n${owner}\0`);
      }
      await c.ask(Op.WATCH, `${d}\0t\0`);
      await c.events();
      await bench.server.destroy(owner);
      expect(await c.events()).toEqual([`${d}/a/x t`, `${d}/b t`]);
    });
  });

  test("UNWATCH does not ask whether the path is one", async () => {
    const c = await bench.open();
    for (const path of ["/a//b", "/a b", "/a/", "", "@x"]) {
      expect(await c.ask(Op.UNWATCH, `${path}\0t\0`)).toBe("!ENOENT");
    }
  });

  test("SET_PERMS of a special node that is none: ENOENT", async () => {
    const c = await bench.open();
    // 4.17 answers with the last error there was, so there has to be one.
    expect(await c.ask(Op.READ, "/absent\0")).toBe("!ENOENT");
    expect(await c.ask(Op.SET_PERMS, "@nothing\0n0\0")).toBe("!ENOENT");
  });
}
