/** Messages: headers, lengths, fragments, ids. */
import { describe, expect, test } from "bun:test";
import { concat, encodeMessage, toBytes } from "../../core/xenstore/codec.ts";
import { Op } from "../../core/xenstore/operations.ts";
import type { Bench } from "./bench.ts";

export function framing(bench: Bench): void {
  describe("framing", () => {
    test("a request in single bytes", async () => {
      const c = await bench.open();
      for (
        const byte of encodeMessage({ type: Op.READ, reqId: 9, txId: 0, payload: toBytes("/\0") })
      ) {
        c.sendRaw(new Uint8Array([byte]));
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      expect(await c.next()).toMatchObject({ type: Op.READ, reqId: 9, txId: 0 });
    });

    test("several requests in one write, answered in order", async () => {
      const c = await bench.open();
      const requests = [Op.READ, Op.DIRECTORY, Op.GET_PERMS].map((type, index) =>
        encodeMessage({ type, reqId: index, txId: 0, payload: toBytes("/tool\0") })
      );
      c.sendRaw(concat(requests));
      for (const [index, type] of [Op.READ, Op.DIRECTORY, Op.GET_PERMS].entries()) {
        expect(await c.next()).toMatchObject({ type, reqId: index });
      }
    });

    test("equal request ids are fine", async () => {
      const c = await bench.open();
      for (let at = 0; at < 3; at++) c.send(Op.READ, "/tool\0", 0, 0);
      for (let at = 0; at < 3; at++) expect(await c.next()).toMatchObject({ reqId: 0 });
    });

    test("the largest ids come back", async () => {
      const c = await bench.open();
      c.send(Op.READ, "/tool\0", 0, 0xffffffff);
      expect((await c.next()).reqId).toBe(0xffffffff);
    });

    test("a payload over 4096 bytes ends this connection and no other", async () => {
      const [c, other] = [await bench.open(), await bench.open()];
      c.send(Op.WRITE, `/big\0${"x".repeat(4092)}`);
      await c.untilClosed();
      expect(await other.ask(Op.READ, "/tool\0")).toBe("");
    });

    test("a payload of exactly 4096 bytes", async () => {
      const c = await bench.open();
      const path = `${await bench.directory()}/big`;
      const value = "x".repeat(4095 - path.length);
      expect(await c.ask(Op.WRITE, `${path}\0${value}`)).toBe("OK");
      expect(await c.ask(Op.READ, `${path}\0`)).toBe(value);
    });

    test.each([
      ["RESTRICT", 20],
      ["WATCH_EVENT", Op.WATCH_EVENT],
      ["ERROR", Op.ERROR],
      ["27", 27],
      ["INVALID", 65535],
      ["a huge number", 0xfffffff0],
      // Of Xen 4.21 and later.
      ["GET_FEATURE", Op.GET_FEATURE],
      ["SET_FEATURE", Op.SET_FEATURE],
      ["GET_QUOTA", Op.GET_QUOTA],
      ["SET_QUOTA", Op.SET_QUOTA],
    ])("type %s is unknown", async (_, type) => {
      const c = await bench.open();
      expect(await c.ask(type, "/\0")).toBe("!ENOSYS");
    });

    test("an unknown type comes before an unknown transaction", async () => {
      const c = await bench.open();
      expect(await c.ask(99, "/\0", 77)).toBe("!ENOSYS");
    });

    test("a reply repeats the transaction id", async () => {
      const c = await bench.open();
      const tx = await c.begin();
      expect((await c.exchange(Op.READ, "/tool\0", tx)).txId).toBe(tx);
      expect((await c.exchange(Op.READ, "/absent\0", tx)).txId).toBe(tx);
    });
  });
}
