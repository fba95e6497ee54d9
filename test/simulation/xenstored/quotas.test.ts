/** Quotas other than the default ones; the conformance suite has those. */
import { expect, test } from "bun:test";
import { Op } from "../../../core/xenstore/operations.ts";
import { streamPair } from "../../../simulation/xenstored/in_process.ts";
import type { Quotas } from "../../../simulation/xenstored/quotas.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { RawConnection } from "../../conformance/raw_connection.ts";

/** A guest with a home of its own, on a server with these quotas. */
async function guestWith(quotas: Partial<Quotas>): Promise<RawConnection> {
  const server = new XenstoreServer({ quotas });
  await server.introduce(7);
  const connect = (domid: number) => {
    const [client, served] = streamPair();
    server.accept(served, domid);
    return RawConnection.over(client);
  };
  const dom0 = connect(0);
  await dom0.ask(Op.MKDIR, "/local/domain/7\0");
  await dom0.ask(Op.SET_PERMS, "/local/domain/7\0n7\0");
  return connect(7);
}

test("0 is no limit", async () => {
  const g = await guestWith({
    ...{ nodes: 0, nodeSize: 0, watches: 0, transactions: 0 },
    ...{ transactionNodes: 0, permissions: 0, pathLength: 0 },
  });
  for (let at = 0; at < 1100; at++) expect(await g.ask(Op.WRITE, `n${at}\0`)).toBe("OK");
  expect(await g.ask(Op.WRITE, `big\0${"x".repeat(4000)}`)).toBe("OK");
  for (let at = 0; at < 140; at++) expect(await g.ask(Op.WATCH, `w\0t${at}\0`)).toBe("OK");
  for (let at = 0; at < 20; at++) expect(await g.begin()).toBe(at + 1);
  for (let at = 0; at < 1100; at++) expect(await g.ask(Op.READ, `n${at}\0`, 1)).toBe("");
  expect(await g.ask(Op.WRITE, "more\0", 2)).toBe("OK");
  expect(await g.commit(2)).toBe("OK");
  expect(await g.ask(Op.SET_PERMS, `big\0n7\0${"r0\0".repeat(20)}`)).toBe("OK");
  expect(await g.ask(Op.WATCH, `/${"x".repeat(2500)}\0t\0`)).toBe("OK");
  expect(await g.ask(Op.WATCH, `@${"x".repeat(2500)}\0t\0`)).toBe("OK");
});

test("limits of one's own", async () => {
  const g = await guestWith({ nodes: 3, watches: 1, transactions: 1, permissions: 2 });
  expect(await g.ask(Op.WRITE, "a/b\0")).toBe("OK");
  expect(await g.ask(Op.WRITE, "c\0")).toBe("!ENOSPC");
  expect(await g.ask(Op.SET_PERMS, "a\0n7\0r0\0")).toBe("OK");
  expect(await g.ask(Op.SET_PERMS, "a\0n7\0r0\0r1\0")).toBe("!ENOSPC");
  for (const answer of ["OK", "OK", "!E2BIG"]) {
    expect(await g.ask(Op.WATCH, `w\0${g.order.length}\0`)).toBe(answer);
  }
  for (const answer of ["1", "2", "!ENOSPC"]) {
    expect(await g.ask(Op.TRANSACTION_START, "\0")).toBe(answer);
  }
});
