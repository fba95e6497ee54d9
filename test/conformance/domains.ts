/** Domains: introduction, death, special watches. */
import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { Op } from "../../core/xenstore/operations.ts";
import type { RawConnection } from "./raw_connection.ts";
import type { Bench } from "./bench.ts";

export function domains(bench: Bench): void {
  describe("domains", () => {
    /** Waits until a watch has shown something: deaths are noticed a little later. */
    async function eventually(c: RawConnection): Promise<string[]> {
      for (let tries = 0; tries < 200; tries++) {
        const events = await c.events();
        if (events.length > 0) return events;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      return [];
    }

    test("IS_DOMAIN_INTRODUCED", async () => {
      const c = await bench.open();
      const domid = await bench.domain();
      expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, `${domid}\0`)).toBe("T");
      expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, "0\0")).toBe("T");
      expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, "31998\0")).toBe("F");
      expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, "32752\0")).toBe("T");
    });

    test("@introduceDomain fires for a new domain", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.WATCH, "@introduceDomain\0t\0")).toBe("OK");
      expect(await c.events()).toEqual(["@introduceDomain t"]);
      await bench.domain();
      expect(await eventually(c)).toEqual(["@introduceDomain t"]);
    });

    test("@releaseDomain fires at shutdown and at death", async () => {
      const c = await bench.open();
      const domid = await bench.domain();
      await c.ask(Op.WATCH, "@releaseDomain\0t\0");
      await c.events();
      await bench.server.shutdown(domid);
      expect(await eventually(c)).toEqual(["@releaseDomain t"]);
      expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, `${domid}\0`)).toBe("T");
      await bench.server.destroy(domid);
      expect(await eventually(c)).toEqual(["@releaseDomain t"]);
      expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, `${domid}\0`)).toBe("F");
    });

    test("a guest hears nothing but the first event of special watches", async () => {
      const guest = await bench.domain();
      const g = await bench.open(guest);
      for (const name of ["@introduceDomain", "@releaseDomain", "@anything"]) {
        expect(await g.ask(Op.WATCH, `${name}\0t\0`)).toBe("OK");
      }
      expect(await g.events()).toEqual(["@introduceDomain t", "@releaseDomain t", "@anything t"]);
      await bench.server.destroy(await bench.domain());
      await new Promise((resolve) => setTimeout(resolve, 50));
      expect(await g.events()).toEqual([]);
    });

    test("a guest hears @releaseDomain when it is granted", async () => {
      const [c, guest] = [await bench.open(), await bench.domain()];
      const g = await bench.open(guest);
      expect(await c.ask(Op.SET_PERMS, `@releaseDomain\0n0\0r${guest}\0`)).toBe("OK");
      await g.ask(Op.WATCH, "@releaseDomain\0t\0");
      await g.events();
      await bench.server.destroy(await bench.domain());
      expect(await eventually(g)).toEqual(["@releaseDomain t"]);
    });

    test("a special node's owner may set its permissions; others may not", async () => {
      const [c, guest] = [await bench.open(), await bench.domain()];
      const g = await bench.open(guest);
      // 4.17 refuses with whatever errno is left over from before.
      expect(await c.ask(Op.SET_PERMS, "@nothing\0n0\0")).toStartWith("!");
      expect(await c.ask(Op.SET_PERMS, "@releaseDomain\0n31000\0")).toBe("!ENOENT");
      expect(await c.ask(Op.SET_PERMS, "@releaseDomain\0n0\0")).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, `@releaseDomain\0n${guest}\0`)).toStartWith("!");
      expect(await c.ask(Op.SET_PERMS, `@releaseDomain\0n${guest}\0`)).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, `@releaseDomain\0n${guest}\0r0\0`)).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, "@releaseDomain\0n0\0")).toBe("OK");
      expect(await g.ask(Op.SET_PERMS, "@releaseDomain\0n0\0")).toStartWith("!");
      expect(await c.ask(Op.GET_PERMS, "@releaseDomain\0")).toBe("!EINVAL");
    });

    test("a special node forgets the dead, be they owner or listed", async () => {
      const c = await bench.open();
      for (const list of ["n0\0r", "n"]) {
        const guest = await bench.domain();
        await c.ask(Op.SET_PERMS, `@releaseDomain\0${list}${guest}\0`);
        await bench.server.destroy(guest);
        await bench.server.introduce(guest);
        const g = await bench.open(guest);
        await g.ask(Op.WATCH, "@releaseDomain\0t\0");
        await g.events();
        await bench.server.destroy(await bench.domain());
        await new Promise((resolve) => setTimeout(resolve, 50));
        expect(await g.events()).toEqual([]);
      }
      await c.ask(Op.SET_PERMS, "@releaseDomain\0n0\0");
    });

    test("a domain's socket is there when INTRODUCE is acknowledged, and gone after RELEASE", async () => {
      const [c, guest] = [await bench.open(), await bench.domain()];
      const path = bench.server.socketPath(guest);
      for (let times = 0; times < 5; times++) {
        expect(await c.ask(Op.RELEASE, `${guest}\0`)).toBe("OK");
        expect(existsSync(path)).toBeFalse();
        expect(await c.ask(Op.INTRODUCE, `${guest}\0` + "1\0" + "1\0")).toBe("OK");
        expect(existsSync(path)).toBeTrue();
      }
    });

    test("a domain introduced again: its connections end, its rights stay", async () => {
      const [c, d, guest] = [await bench.open(), await bench.directory(), await bench.domain()];
      await c.ask(Op.SET_PERMS, `${d}\0n0\0r${guest}\0`);
      const g = await bench.open(guest);
      expect(await g.ask(Op.READ, `${d}\0`)).toBe("");
      expect(await c.ask(Op.INTRODUCE, `${guest}\0` + "1\0" + "1\0")).toBe("OK");
      await g.untilClosed();
      const again = await bench.open(guest);
      expect(await again.ask(Op.READ, `${d}\0`)).toBe("");
      expect(await again.ask(Op.READ, `/local/domain/${guest}\0`)).toBe("");
    });

    test("events of RELEASE and INTRODUCE come before the acknowledgement", async () => {
      // In this order: 4.17 walks through its connections, and when the domain's own is the very next
      // after the one that asks, it goes, and @releaseDomain fires, only after the acknowledgement.
      const [guest, c] = [await bench.domain(), await bench.open()];
      await c.ask(Op.WATCH, "@introduceDomain\0i\0");
      await c.ask(Op.WATCH, "@releaseDomain\0r\0");
      await c.events();
      c.order.length = 0;
      await c.ask(Op.RELEASE, `${guest}\0`);
      await c.ask(Op.INTRODUCE, `${guest}\0` + "1\0" + "1\0");
      expect(c.order).toEqual([
        "event @releaseDomain r",
        "RELEASE OK",
        "event @introduceDomain i",
        "INTRODUCE OK",
      ]);
    });

    test("RELEASE and INTRODUCE in one go: the second waits for the first", async () => {
      const [c, guest] = [await bench.open(), await bench.domain()];
      c.send(Op.RELEASE, `${guest}\0`);
      c.send(Op.INTRODUCE, `${guest}\0` + "1\0" + "1\0");
      expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, `${guest}\0`)).toBe("T");
      expect(c.order).toEqual(["RELEASE OK", "INTRODUCE OK", "IS_DOMAIN_INTRODUCED T"]);
      const g = await bench.open(guest);
      expect(await g.ask(Op.GET_DOMAIN_PATH, "1\0")).toBe("/local/domain/1");
    });

    test("RELEASE is like a death; INTRODUCE of a known domain changes nothing", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const [gone, known] = [await bench.domain(), await bench.domain()];
      await c.ask(Op.WRITE, `${d}/its\0v`);
      await c.ask(Op.SET_PERMS, `${d}/its\0n${gone}\0`);
      for (const name of [d, "@introduceDomain", "@releaseDomain"]) {
        await c.ask(Op.WATCH, `${name}\0t\0`);
      }
      await c.events();
      expect(await c.ask(Op.RELEASE, `${gone}\0`)).toBe("OK");
      expect(await c.events()).toEqual([`${d}/its t`, "@releaseDomain t"]);
      expect(await c.ask(Op.READ, `${d}/its\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.INTRODUCE, `${known}\0` + "1\0" + "1\0")).toBe("OK");
      expect(await c.events()).toEqual([]);
    });

    test("death: what it owned goes, and with it what is below", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const [doomed, other] = [await bench.domain(), await bench.domain()];
      await c.ask(Op.WRITE, `${d}/its/below\0v`);
      await c.ask(Op.SET_PERMS, `${d}/its\0n${doomed}\0`);
      await c.ask(Op.SET_PERMS, `${d}/its/below\0n${other}\0`);
      await c.ask(Op.WRITE, `${d}/kept\0v`);
      await c.ask(Op.SET_PERMS, `${d}/kept\0n${other}\0r${doomed}\0`);
      await bench.server.destroy(doomed);
      expect(await c.ask(Op.READ, `${d}/its\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.READ, `${d}/its/below\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.DIRECTORY, `${d}\0`)).toBe("kept");
      expect(await c.ask(Op.READ, `/local/domain/${doomed}\0`)).toBe("!ENOENT");
    });

    test("death: watchers of its nodes are told, then @releaseDomain fires", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const doomed = await bench.domain();
      await c.ask(Op.WRITE, `${d}/its/below\0v`);
      for (const path of ["/its", "/its/below"]) {
        await c.ask(Op.SET_PERMS, `${d}${path}\0n${doomed}\0`);
      }
      for (const path of ["", "/its", "/its/below"]) {
        await c.ask(Op.WATCH, `${d}${path}\0${path || "top"}\0`);
      }
      await c.ask(Op.WATCH, "@releaseDomain\0r\0");
      await c.events();
      await bench.server.destroy(doomed);
      let events: string[] = [];
      while (!events.includes("@releaseDomain r")) events = [...events, ...await eventually(c)];
      expect(events).toEqual([
        `${d}/its/below /its/below`,
        `${d}/its top`,
        `${d}/its /its`,
        "@releaseDomain r",
      ]);
    });

    test("a domid used again gains nothing", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const guest = await bench.domain();
      await c.ask(Op.WRITE, `${d}/a\0v`);
      await c.ask(Op.SET_PERMS, `${d}/a\0n0\0r${guest}\0`);
      const g = await bench.open(guest);
      expect(await g.ask(Op.READ, `${d}/a\0`)).toBe("v");
      await bench.server.destroy(guest);
      await bench.server.introduce(guest);
      const h = await bench.open(guest);
      expect(await h.ask(Op.READ, `${d}/a\0`)).toBe("!EACCES");
    });

    test("a permission for a domain that comes only later is none", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.SET_PERMS, `${d}\0n0\0r777\0`);
      await bench.server.introduce(777);
      const g = await bench.open(777);
      expect(await g.ask(Op.READ, `${d}\0`)).toBe("!EACCES");
      await c.ask(Op.SET_PERMS, `${d}\0n0\0r777\0`);
      expect(await g.ask(Op.READ, `${d}\0`)).toBe("");
    });

    test("the connections of a dead domain end", async () => {
      const guest = await bench.domain();
      const g = await bench.open(guest);
      await g.ask(Op.READ, "x\0");
      await bench.server.destroy(guest);
      await g.untilClosed();
    });

    test("bad arguments of domain operations", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.INTRODUCE, "5\0")).toBe("!EINVAL");
      expect(await c.ask(Op.INTRODUCE, "5\0" + "1\0" + "0\0")).toBe("!EINVAL");
      expect(await c.ask(Op.INTRODUCE, "5\0" + "1\0" + "x\0")).toBe("!EINVAL");
      expect(await c.ask(Op.RELEASE, "0\0")).toBe("!EINVAL");
      expect(await c.ask(Op.RELEASE, "31997\0")).toBe("!ENOENT");
      expect(await c.ask(Op.RELEASE, "")).toBe("!EINVAL");
      expect(await c.ask(Op.RESUME, "31997\0")).toBe("!ENOENT");
      expect(await c.ask(Op.RESUME, `${await bench.domain()}\0`)).toBe("OK");
      expect(await c.ask(Op.SET_TARGET, "31997\0" + "31996\0")).toBe("!ENOENT");
      expect(await c.ask(Op.SET_TARGET, "0\0" + "31996\0")).toBe("!ENOENT");
      expect(await c.ask(Op.SET_TARGET, "0\0")).toBe("!EINVAL");
    });

    test("INTRODUCE and SET_TARGET take more arguments than they need, and a negative port", async () => {
      const c = await bench.open();
      const [domid, target] = [await bench.domain(), await bench.domain()];
      expect(await c.ask(Op.INTRODUCE, `${domid}\0` + "1\0" + "1\0" + "1\0")).toBe("OK");
      expect(await c.ask(Op.INTRODUCE, `${domid}\0` + "1\0" + "-1\0")).toBe("OK");
      expect(await c.ask(Op.SET_TARGET, `${domid}\0${target}\0` + "7\0")).toBe("OK");
    });

    test("CONTROL", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.CONTROL, "check\0")).toBe("OK");
      expect(await c.ask(Op.CONTROL, "check\0more\0")).toBe("!EINVAL");
      expect(await c.ask(Op.CONTROL, "print\0text\0")).toBe("OK");
      expect(await c.ask(Op.CONTROL, "print\0")).toBe("!EINVAL");
      expect(await c.ask(Op.CONTROL, "help\0")).toStartWith("check\t\n");
      expect(await c.ask(Op.CONTROL, "no-such-command\0")).toBe("!EINVAL");
      expect(await c.ask(Op.CONTROL, "")).toBe("!EINVAL");
    });
  });
}
