/** What an unprivileged domain may use, at the defaults. */
import { describe, expect, test } from "bun:test";
import { Op } from "../../core/xenstore/operations.ts";
import type { Bench } from "./suite.ts";

export function quotas(bench: Bench): void {
  describe("quotas of a guest", () => {
    test("size of a node", async () => {
      const g = await bench.open(await bench.domain());
      // 24 bytes of header and 8 for its one permission belong to it, and 2048 itself is too much.
      expect(await g.ask(Op.WRITE, `big\0${"x".repeat(2015)}`)).toBe("OK");
      expect(await g.ask(Op.WRITE, `big\0${"x".repeat(2016)}`)).toBe("!ENOSPC");
      expect(await g.ask(Op.READ, "big\0")).toBe("x".repeat(2015));
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
      let last = "OK";
      let count = 0;
      while (last === "OK" && count < 300) last = await g.ask(Op.WATCH, `x\0t${count++}\0`);
      expect(last).toBe("!E2BIG");
      // Releases differ by one or two.
      expect(count).toBeGreaterThanOrEqual(128);
      expect(count).toBeLessThanOrEqual(130);
    });

    test("transactions", async () => {
      const g = await bench.open(await bench.domain());
      let last = "";
      let count = 0;
      do last = await g.ask(Op.TRANSACTION_START, "\0"); while (
        !last.startsWith("!") && ++count < 50
      );
      expect(last).toBe("!ENOSPC");
      expect(count).toBeGreaterThanOrEqual(10);
      expect(count).toBeLessThanOrEqual(11);
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
      expect(count).toBeGreaterThanOrEqual(960);
      expect(count).toBeLessThanOrEqual(972);
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
