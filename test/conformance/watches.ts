/** Watches: what fires, for whom, and in which order. */
import { describe, expect, test } from "bun:test";
import { concat } from "../../core/xenstore/codec.ts";
import { Op } from "../../core/xenstore/operations.ts";
import type { Bench } from "./bench.ts";

export function watches(bench: Bench): void {
  describe("watches", () => {
    test("the acknowledgement, then a first event, whatever is there", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}/absent\0token\0`);
      await c.ask(Op.READ, "/tool\0");
      expect(c.order).toEqual(["WATCH OK", `event ${d}/absent token`, "READ "]);
    });

    test("an event's ids are 0", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      c.send(Op.WATCH, `${d}\0t\0`, 0, 55);
      await c.next();
      expect(await c.next()).toMatchObject({ type: Op.WATCH_EVENT, reqId: 0, txId: 0 });
    });

    test("an own change: its events come before its acknowledgement", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}\0t\0`);
      await c.events();
      await c.ask(Op.WRITE, `${d}/a\0v`);
      expect(c.order).toEqual([`event ${d}/a t`, "WRITE OK"]);
    });

    test("what fires: creation, any write, permissions, removal; at the node and below", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}\0t\0`);
      await c.events();
      const fires = async (op: number, payload: string, ...paths: string[]) => {
        await c.ask(op, payload);
        expect(await c.events()).toEqual(paths.map((path) => `${path} t`));
      };
      await fires(Op.WRITE, `${d}/a\0v`, `${d}/a`);
      await fires(Op.WRITE, `${d}/a\0v`, `${d}/a`);
      await fires(Op.SET_PERMS, `${d}/a\0r0\0`, `${d}/a`);
      await fires(Op.MKDIR, `${d}/m\0`, `${d}/m`);
      await fires(Op.WRITE, `${d}/x/y/z\0v`, `${d}/x/y/z`);
      await fires(Op.WRITE, `${d}\0v`, d);
      await fires(Op.RM, `${d}/x\0`, `${d}/x`);
      await fires(Op.RM, `${d}\0`, d);
    });

    test("what does not: MKDIR of what exists, RM of what does not, refusals, other nodes", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/a\0v`);
      await c.ask(Op.WATCH, `${d}\0t\0`);
      await c.ask(Op.WATCH, `${d}/a\0a\0`);
      await c.events();
      await c.ask(Op.MKDIR, `${d}/a\0`);
      await c.ask(Op.RM, `${d}/absent\0`);
      await c.ask(Op.WRITE, `${d}/b.c\0v`);
      await c.ask(Op.READ, `${d}/a\0`);
      await c.ask(Op.WRITE, `${d}x\0v`);
      expect(await c.events()).toEqual([]);
      await c.ask(Op.WRITE, `${d}/ab\0v`);
      expect(await c.events()).toEqual([`${d}/ab t`]);
    });

    test("removal of a subtree: those inside first, each with its own path; then those above", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/r/in/deep\0v`);
      for (const path of ["", "/r", "/r/in", "/r/in/deep", "/r/absent"]) {
        await c.ask(Op.WATCH, `${d}${path}\0${path || "top"}\0`);
      }
      await c.events();
      await c.ask(Op.RM, `${d}/r\0`);
      const events = await c.events();
      // No event for a watch on a node that never existed.
      expect([...events].sort()).toEqual([
        `${d}/r /r`,
        `${d}/r top`,
        `${d}/r/in /r/in`,
        `${d}/r/in/deep /r/in/deep`,
      ]);
      expect(events.slice(-2).sort()).toEqual([`${d}/r /r`, `${d}/r top`]);
    });

    test("the same path and token again: EEXIST; another token is fine", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WATCH, `${d}\0t\0`)).toBe("OK");
      expect(await c.ask(Op.WATCH, `${d}\0t\0`)).toBe("!EEXIST");
      expect(await c.ask(Op.WATCH, `${d}\0u\0`)).toBe("OK");
      await c.events();
      await c.ask(Op.WRITE, `${d}\0v`);
      expect((await c.events()).sort()).toEqual([`${d} t`, `${d} u`]);
    });

    test("UNWATCH needs path and token", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}\0t\0`);
      expect(await c.ask(Op.UNWATCH, `${d}\0u\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.UNWATCH, `${d}/a\0t\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.UNWATCH, `${d}\0t\0`)).toBe("OK");
      expect(await c.ask(Op.UNWATCH, `${d}\0t\0`)).toBe("!ENOENT");
      await c.events();
      await c.ask(Op.WRITE, `${d}\0v`);
      expect(await c.events()).toEqual([]);
    });

    test("a connection's watches are its own", async () => {
      const [c, other, d] = [await bench.open(), await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}\0t\0`);
      expect(await other.ask(Op.UNWATCH, `${d}\0t\0`)).toBe("!ENOENT");
      await c.events();
      await other.ask(Op.WRITE, `${d}/a\0v`);
      expect(await c.events()).toEqual([`${d}/a t`]);
    });

    test("a relative watch gives relative paths", async () => {
      const c = await bench.open();
      await c.ask(Op.WATCH, "relative-watch\0t\0");
      expect(await c.events()).toEqual(["relative-watch t"]);
      await c.ask(Op.WRITE, "/local/domain/0/relative-watch/a\0v");
      expect(await c.events()).toEqual(["relative-watch/a t"]);
    });

    test("tokens are any bytes but NUL", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const token = "\x01 /@é\t\xff";
      const bytes = Uint8Array.from(`${d}\0${token}\0`, (char) => char.charCodeAt(0));
      expect(await c.ask(Op.WATCH, bytes)).toBe("OK");
      expect(await c.events()).toEqual([`${d} ${token}`]);
    });

    test("tokens differ in any byte, also in one that is no text", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const named = (token: number) => concat([d, "\0", new Uint8Array([token]), "\0"]);
      expect(await c.ask(Op.WATCH, named(0xff))).toBe("OK");
      expect(await c.ask(Op.WATCH, named(0xfe))).toBe("OK");
      expect(await c.ask(Op.WATCH, named(0xff))).toBe("!EEXIST");
      expect(await c.ask(Op.UNWATCH, named(0xfd))).toBe("!ENOENT");
      expect(await c.ask(Op.UNWATCH, named(0xfe))).toBe("OK");
      await c.events();
      await c.ask(Op.WRITE, `${d}\0v`);
      expect(await c.events()).toEqual([`${d} \xff`]);
    });

    test("a watch is its absolute path and its token, however it was named", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.WATCH, "same-watch\0t\0")).toBe("OK");
      expect(await c.ask(Op.WATCH, "/local/domain/0/same-watch\0t\0")).toBe("!EEXIST");
      expect(await c.ask(Op.UNWATCH, "/local/domain/0/same-watch\0t\0")).toBe("OK");
    });

    test("bytes behind the last NUL do not count", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WATCH, `${d}\0t\0junk`)).toBe("OK");
      expect(await c.ask(Op.UNWATCH, `${d}\0t\0more`)).toBe("OK");
    });

    test("an empty token", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WATCH, `${d}\0\0`)).toBe("OK");
      expect(await c.events()).toEqual([`${d} `]);
    });

    test("bad arguments", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WATCH, `${d}\0`)).toBe("!EINVAL");
      expect(await c.ask(Op.WATCH, `${d}\0t`)).toBe("!EINVAL");
      expect(await c.ask(Op.WATCH, "/a.b\0t\0")).toBe("!EINVAL");
      // A depth is of Xen 4.22 and later.
      expect(await c.ask(Op.WATCH, `${d}\0t\0${1}\0`)).toBe("!EINVAL");
      expect(await c.ask(Op.UNWATCH, `${d}\0`)).toBe("!EINVAL");
      expect(await c.ask(Op.UNWATCH, `${d}\0t\0${1}\0`)).toBe("!EINVAL");
    });

    test("special names are hardly looked at, but for their length", async () => {
      const c = await bench.open();
      for (const name of ["@", "@a b", "@a//b/", `@${"x".repeat(2047)}`]) {
        expect(await c.ask(Op.WATCH, `${name}\0t\0`)).toBe("OK");
      }
      expect(await c.ask(Op.WATCH, `@${"x".repeat(2048)}\0t\0`)).toBe("!EINVAL");
    });

    test("a transaction id on WATCH and UNWATCH is not looked at", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WATCH, `${d}\0t\0`, 4711)).toBe("OK");
      expect(await c.ask(Op.UNWATCH, `${d}\0t\0`, 4711)).toBe("OK");
    });

    test("a watch on the root sees everything but special events", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, "/\0t\0");
      await c.events();
      await bench.server.introduce(99);
      await c.ask(Op.WRITE, `${d}/a\0v`);
      expect(await c.events()).toEqual([`${d}/a t`]);
    });

    test("RESET_WATCHES ends them all", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}\0t\0`);
      expect(await c.ask(Op.RESET_WATCHES, "\0")).toBe("OK");
      await c.events();
      await c.ask(Op.WRITE, `${d}\0v`);
      expect(await c.events()).toEqual([]);
      expect(await c.ask(Op.WATCH, `${d}\0t\0`)).toBe("OK");
    });

    test("events that were caused before a reply come before it", async () => {
      const [c, other, d] = [await bench.open(), await bench.open(), await bench.directory()];
      await c.ask(Op.WATCH, `${d}\0t\0`);
      await c.events();
      c.order.length = 0;
      await other.ask(Op.WRITE, `${d}/a\0v`);
      await c.ask(Op.READ, `${d}/a\0`);
      expect(c.order).toEqual([`event ${d}/a t`, "READ v"]);
    });
  });

  describe("what a guest's watches show", () => {
    test("only what it may read, or is in a directory it may read", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await c.ask(Op.WRITE, `${d}/open\0v`);
      await c.ask(Op.SET_PERMS, `${d}/open\0r0\0`);
      await c.ask(Op.WRITE, `${d}/hidden\0v`);
      expect(await g.ask(Op.WATCH, `${d}\0t\0`)).toBe("OK");
      expect(await g.events()).toEqual([`${d} t`]);
      await c.ask(Op.WRITE, `${d}/hidden\0w`);
      await c.ask(Op.WRITE, `${d}/open\0w`);
      await settled(g);
      expect(await g.events()).toEqual([`${d}/open t`]);
      // A hidden node directly below a readable one: its changes show, its value does not.
      await c.ask(Op.WRITE, `${d}/open/hidden\0v`);
      await c.ask(Op.SET_PERMS, `${d}/open/hidden\0n0\0`);
      await settled(g);
      expect(await g.events()).toEqual([`${d}/open/hidden t`]);
    });

    test("taking a permission away is still seen", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const g = await bench.open(await bench.domain());
      await c.ask(Op.WRITE, `${d}/a\0v`);
      await c.ask(Op.SET_PERMS, `${d}/a\0r0\0`);
      await g.ask(Op.WATCH, `${d}/a\0t\0`);
      await g.events();
      await c.ask(Op.SET_PERMS, `${d}/a\0n0\0`);
      await settled(g);
      expect(await g.events()).toEqual([`${d}/a t`]);
      await c.ask(Op.WRITE, `${d}/a\0w`);
      await settled(g);
      expect(await g.events()).toEqual([]);
    });

    /** A ring is served in its own time: a round trip makes sure. */
    async function settled(g: { ask(op: number, payload: string): Promise<string> }) {
      await g.ask(Op.GET_DOMAIN_PATH, "0\0");
    }
  });
}
