/** Nodes: reading, writing, listing, removing; paths. */
import { describe, expect, test } from "bun:test";
import { Op } from "../../core/xenstore/operations.ts";
import type { Bench } from "./bench.ts";

export function nodes(bench: Bench): void {
  describe("nodes", () => {
    test("write, read, overwrite", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WRITE, `${d}/a\0one`)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/a\0`)).toBe("one");
      expect(await c.ask(Op.WRITE, `${d}/a\0`)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/a\0`)).toBe("");
      expect(await c.ask(Op.READ, `${d}/b\0`)).toBe("!ENOENT");
    });

    test("an acknowledgement is OK and a NUL; a value has no NUL added", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect((await c.exchange(Op.WRITE, `${d}/a\0hi`)).payload).toEqual(
        new Uint8Array([79, 75, 0]),
      );
      expect((await c.exchange(Op.READ, `${d}/a\0`)).payload).toEqual(new Uint8Array([104, 105]));
    });

    test("NULs in a value, also at its end, are part of it", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/a\0x\0y\0`);
      expect((await c.exchange(Op.READ, `${d}/a\0`)).payload.length).toBe(4);
    });

    test("WRITE creates missing ancestors, empty", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.WRITE, `${d}/a/b/c\0v`)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/a/b\0`)).toBe("");
      expect(await c.ask(Op.DIRECTORY, `${d}/a\0`)).toBe("b");
    });

    test("WRITE without any NUL", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.WRITE, "/novalue")).toBe("!EINVAL");
      expect(await c.ask(Op.WRITE, "")).toBe("!EINVAL");
    });

    test("MKDIR creates, and leaves an existing node alone", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.MKDIR, `${d}/m/n\0`)).toBe("OK");
      await c.ask(Op.WRITE, `${d}/m\0value`);
      expect(await c.ask(Op.MKDIR, `${d}/m\0`)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/m\0`)).toBe("value");
    });

    test("RM is recursive", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/r/s/t\0v`);
      expect(await c.ask(Op.RM, `${d}/r\0`)).toBe("OK");
      expect(await c.ask(Op.READ, `${d}/r/s/t\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.DIRECTORY, `${d}\0`)).toBe("");
    });

    test("RM of a missing node: fine if its parent exists", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect(await c.ask(Op.RM, `${d}/absent\0`)).toBe("OK");
      expect(await c.ask(Op.RM, `${d}/absent/below\0`)).toBe("!ENOENT");
    });

    test("RM of the root is refused", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.RM, "/\0")).toBe("!EINVAL");
      expect(await c.ask(Op.READ, "/tool\0")).toBe("");
    });

    test("DIRECTORY is in the order of creation; each name has its NUL", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      for (const name of ["zebra", "ape", "mole"]) await c.ask(Op.WRITE, `${d}/${name}\0`);
      const { payload } = await c.exchange(Op.DIRECTORY, `${d}\0`);
      expect(new TextDecoder().decode(payload)).toBe("zebra\0ape\0mole\0");
      await c.ask(Op.RM, `${d}/ape\0`);
      await c.ask(Op.WRITE, `${d}/ape\0`);
      expect(await c.ask(Op.DIRECTORY, `${d}\0`)).toBe("zebra|mole|ape");
    });

    test("DIRECTORY of an empty and of a missing node", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      expect((await c.exchange(Op.DIRECTORY, `${d}\0`)).payload.length).toBe(0);
      expect(await c.ask(Op.DIRECTORY, `${d}/absent\0`)).toBe("!ENOENT");
    });

    test("a listing over 4096 bytes: E2BIG, and DIRECTORY_PART instead", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const names = Array.from({ length: 300 }, (_, at) => `name-that-is-rather-long-${at}`);
      for (const name of names) await c.ask(Op.WRITE, `${d}/${name}\0`);
      expect(await c.ask(Op.DIRECTORY, `${d}\0`)).toBe("!E2BIG");
      let all = "";
      let generation: string | undefined;
      for (let parts = 0; parts < 10; parts++) {
        const { payload } = await c.exchange(Op.DIRECTORY_PART, `${d}\0${all.length}\0`);
        expect(payload.length).toBeLessThanOrEqual(4096);
        const text = new TextDecoder().decode(payload);
        const head = text.indexOf("\0");
        generation ??= text.slice(0, head);
        expect(text.slice(0, head)).toBe(generation);
        const body = text.slice(head + 1);
        // An empty name marks the end.
        const ended = body === "" || body.endsWith("\0\0");
        all += ended ? body.slice(0, -1) : body;
        if (ended) break;
        expect(body.endsWith("\0")).toBeTrue();
      }
      expect(all).toBe(names.map((name) => `${name}\0`).join(""));
    });

    test.each([
      // What a reply has room for, besides the generation and the empty name at the end.
      ["one byte less than fits", -1, "all"],
      ["what fits exactly", 0, "all"],
      ["one byte more than fits", 1, "but the last"],
      ["the empty name more than fits", 2, "but the last"],
    ])("DIRECTORY_PART of %s", async (_, more, expected) => {
      const c = await bench.open();
      for (;;) {
        const d = await bench.directory();
        const names = Array.from({ length: 39 }, (_, at) => `${at}`.padStart(100, "n"));
        for (const name of names) await c.ask(Op.WRITE, `${d}/${name}\0`);
        const part = async (offset: number) =>
          (await c.ask(Op.DIRECTORY_PART, `${d}\0${offset}\0`)).split("|");
        const digits = (await part(0))[0]!.length;
        const room = 4096 - (digits + 1) - 1 - 39 * 101;
        const last = "l".repeat(room + more - 1);
        await c.ask(Op.WRITE, `${d}/${last}\0`);
        const [generation, ...found] = await part(0);
        // As many digits as before: else all is one byte off.
        if (generation!.length !== digits) continue;
        const listed = expected === "all" ? [...names, last, ""] : [...names];
        expect(found.filter((name) => name !== "")).toEqual(listed.filter((name) => name !== ""));
        // The next part is the rest, and then there is nothing.
        const offset = expected === "all" ? 39 * 101 + last.length + 1 : 39 * 101;
        const rest = (await part(offset)).slice(1).filter((name) => name !== "");
        expect(rest).toEqual(expected === "all" ? [] : [last]);
        return;
      }
    });

    test("DIRECTORY_PART whose names end where the room does, with more to come", async () => {
      const c = await bench.open();
      for (;;) {
        const d = await bench.directory();
        const ask = (offset: number) =>
          c.exchange(Op.DIRECTORY_PART, `${d}\0${offset}\0`)
            .then(({ payload }) => new TextDecoder().decode(payload));
        const names = Array.from({ length: 39 }, (_, at) => `${at}`.padStart(100, "n"));
        for (const name of names) await c.ask(Op.WRITE, `${d}/${name}\0`);
        const digits = (await ask(0)).indexOf("\0");
        // All but one byte, which the empty name at the end would take; and all.
        const room = 4096 - (digits + 1) - 39 * 101;
        const last = "l".repeat(room - 1);
        await c.ask(Op.WRITE, `${d}/${last}\0`);
        await c.ask(Op.WRITE, `${d}/more\0`);
        const reply = await ask(0);
        if (reply.indexOf("\0") !== digits) continue;
        expect(reply.slice(digits + 1)).toBe(names.map((name) => `${name}\0`).join(""));
        return;
      }
    });

    test("DIRECTORY_PART: the end, an empty directory, bad arguments", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/a\0`);
      const end = new TextDecoder().decode(
        (await c.exchange(Op.DIRECTORY_PART, `${d}\0${100}\0`)).payload,
      );
      expect(end).toMatch(/^\d+\0\0$/);
      const whole = new TextDecoder().decode(
        (await c.exchange(Op.DIRECTORY_PART, `${d}\0${0}\0`)).payload,
      );
      expect(whole).toMatch(/^\d+\0a\0\0$/);
      expect(await c.ask(Op.DIRECTORY_PART, `${d}/absent\0${0}\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.DIRECTORY_PART, `${d}\0`)).toBe("!EINVAL");
    });

    test.each([
      ["-1", ""],
      ["99999999999", ""],
      ["x", "aa|bb|"],
      ["", "aa|bb|"],
      [" 3", "bb|"],
      ["1x", "a|bb|"],
    ])("DIRECTORY_PART: the offset %p", async (offset, names) => {
      const [c, d] = [await bench.open(), await bench.directory()];
      await c.ask(Op.WRITE, `${d}/aa\0`);
      await c.ask(Op.WRITE, `${d}/bb\0`);
      const reply = await c.ask(Op.DIRECTORY_PART, `${d}\0${offset}\0`);
      expect(reply.replace(/^\d+\|/, "")).toBe(names);
    });

    test("a directory's generation moves with its children, not its grandchildren", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const generation = async () => (await c.ask(Op.DIRECTORY_PART, `${d}\0${0}\0`)).split("|")[0];
      await c.ask(Op.WRITE, `${d}/a\0`);
      const first = await generation();
      await c.ask(Op.WRITE, `${d}/a/b\0`);
      await c.ask(Op.WRITE, `${d}/a\0value`);
      expect(await generation()).toBe(first);
      await c.ask(Op.WRITE, `${d}/c\0`);
      const second = await generation();
      expect(second).not.toBe(first);
      await c.ask(Op.RM, `${d}/c\0`);
      expect(await generation()).not.toBe(second);
    });
  });

  describe("arguments", () => {
    test.each([
      ["//"],
      ["/a//b"],
      ["/a/"],
      ["/a.b"],
      ["/a b"],
      ["/a:b"],
      ["/ä"],
      ["/a%"],
      ["@releaseDomain"],
      ["@"],
    ])("path %s is malformed", async (path) => {
      const c = await bench.open();
      for (const op of [Op.READ, Op.MKDIR, Op.RM, Op.DIRECTORY]) {
        expect(await c.ask(op, `${path}\0`)).toBe("!EINVAL");
      }
      expect(await c.ask(Op.WRITE, `${path}\0v`)).toBe("!EINVAL");
    });

    test("all allowed characters", async () => {
      const [c, d] = [await bench.open(), await bench.directory()];
      const name = "ABCXYZabcxyz0189-_@";
      expect(await c.ask(Op.WRITE, `${d}/${name}\0v`)).toBe("OK");
      expect(await c.ask(Op.DIRECTORY, `${d}\0`)).toBe(name);
    });

    test("a relative path stands below the home of the server's domain", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.WRITE, "relative/path\0v")).toBe("OK");
      expect(await c.ask(Op.READ, "/local/domain/0/relative/path\0")).toBe("v");
    });

    test("the longest path: 2048 bytes, not counting the home", async () => {
      const c = await bench.open();
      const long = (length: number) => `/${"x".repeat(length - 1)}`;
      expect(await c.ask(Op.READ, `${long(2048)}\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.READ, `${long(2049)}\0`)).toBe("!EINVAL");
      expect(await c.ask(Op.READ, `/local/domain/0${long(2049)}\0`)).toBe("!ENOENT");
      expect(await c.ask(Op.READ, `/local/domain/0${long(2050)}\0`)).toBe("!EINVAL");
    });

    test("GET_DOMAIN_PATH is about text only", async () => {
      const c = await bench.open();
      expect(await c.ask(Op.GET_DOMAIN_PATH, "0\0")).toBe("/local/domain/0");
      expect(await c.ask(Op.GET_DOMAIN_PATH, "31999\0")).toBe("/local/domain/31999");
      expect(await c.ask(Op.GET_DOMAIN_PATH, "99999\0")).toBe("/local/domain/99999");
      expect(await c.ask(Op.GET_DOMAIN_PATH, "abc\0")).toBe("/local/domain/0");
      expect(await c.ask(Op.GET_DOMAIN_PATH, "-1\0")).toBe("/local/domain/4294967295");
      expect(await c.ask(Op.GET_DOMAIN_PATH, "4294967301\0")).toBe("/local/domain/5");
      expect(await c.ask(Op.GET_DOMAIN_PATH, `${"9".repeat(20)}\0`)).toBe(
        "/local/domain/4294967295",
      );
      expect(await c.ask(Op.GET_DOMAIN_PATH, " +5x\0")).toBe("/local/domain/5");
      expect(await c.ask(Op.GET_DOMAIN_PATH, "")).toBe("!EINVAL");
    });
  });
}
