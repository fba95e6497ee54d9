/** The client above a scripted transport: watches, transactions, listings, reconnection. */
import { beforeEach, describe, expect, test } from "bun:test";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { toText } from "../../../core/xenstore/codec.ts";
import { ArgumentError, ConnectionError, DeadlineError } from "../../../core/xenstore/errors.ts";
import { Op, opName } from "../../../core/xenstore/operations.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { FakeTransport } from "../../support/fake_transport.ts";

let clock: FakeClock;
let transports: FakeTransport[];
let client: StoreClient;
let states: string[];
let oddities: string[];

/** The connection in use. */
const wire = () => transports.at(-1)!;

/** Answers the next request, which must be of this type; returns its payload as text. */
async function answer(type: number, payload: string | null, code = ""): Promise<string> {
  await settle();
  const request = wire().sent.shift();
  expect(request && opName(request.type)).toBe(opName(type));
  if (payload === null) wire().refuse(request!, code);
  else wire().reply(request!, payload);
  await settle();
  return toText(request!.payload);
}

beforeEach(async () => {
  clock = new FakeClock();
  transports = [];
  states = [];
  oddities = [];
  client = await StoreClient.connect({
    clock,
    reconnect: true,
    connect: async () => {
      transports.push(new FakeTransport());
      return wire();
    },
    onConnection: (state) => states.push(state),
    onOddity: (text) => oddities.push(text),
  });
});

describe("nodes", () => {
  test("requests on the wire", async () => {
    const write = client.write("/a", "v\0w");
    expect(await answer(Op.WRITE, "OK\0")).toBe("/a\0v\0w");
    await write;
    const read = client.read("/a");
    await answer(Op.READ, "v\0w");
    expect([...await read]).toEqual([118, 0, 119]);
    const list = client.list("/a");
    await answer(Op.DIRECTORY, "x\0y\0");
    expect(await list).toEqual(["x", "y"]);
    const permissions = client.setPermissions("/a", [{ domid: 1, access: "none" }, {
      domid: 7,
      access: "read",
    }]);
    expect(await answer(Op.SET_PERMS, "OK\0")).toBe("/a\0n1\0r7\0");
    await permissions;
  });

  test("a missing node: undefined, false, none", async () => {
    const [value, exists, list] = [
      client.readOptional("/a"),
      client.exists("/a"),
      client.listOptional("/a"),
    ];
    await answer(Op.READ, null, "ENOENT");
    await answer(Op.READ, null, "ENOENT");
    await answer(Op.DIRECTORY, null, "ENOENT");
    expect(await Promise.all([value, exists, list])).toEqual([undefined, false, []]);
    const refused = client.readOptional("/a");
    refused.catch(() => {});
    await answer(Op.READ, null, "EACCES");
    await expect(refused).rejects.toMatchObject({ code: "EACCES" });
  });

  test("bad arguments are refused before anything is sent", () => {
    expect(client.read("/a b")).rejects.toBeInstanceOf(ArgumentError);
    expect(client.write("@releaseDomain", "")).rejects.toBeInstanceOf(ArgumentError);
    expect(client.setPermissions("/a", [])).rejects.toThrow(/at least one entry/);
    expect(wire().sent).toEqual([]);
  });

  test("a long listing in parts; it starts over when the directory changes meanwhile", async () => {
    const list = client.list("/a");
    await answer(Op.DIRECTORY, null, "E2BIG");
    expect(await answer(Op.DIRECTORY_PART, "5\0one\0two\0")).toBe("/a\0" + "0\0");
    expect(await answer(Op.DIRECTORY_PART, "6\0other\0")).toBe("/a\0" + "8\0");
    expect(await answer(Op.DIRECTORY_PART, "6\0one\0")).toBe("/a\0" + "0\0");
    expect(await answer(Op.DIRECTORY_PART, "6\0two\0\0")).toBe("/a\0" + "4\0");
    expect(await list).toEqual(["one", "two"]);
  });

  test("a listing whose end is a part of its own, and an empty one", async () => {
    const list = client.list("/a");
    await answer(Op.DIRECTORY, null, "E2BIG");
    await answer(Op.DIRECTORY_PART, "5\0one\0");
    await answer(Op.DIRECTORY_PART, "5\0\0");
    expect(await list).toEqual(["one"]);
    const empty = client.list("/a");
    await answer(Op.DIRECTORY, null, "E2BIG");
    await answer(Op.DIRECTORY_PART, "5\0\0");
    expect(await empty).toEqual([]);
  });

  test("a server without DIRECTORY_PART: the listing is too big", async () => {
    const list = client.list("/a");
    list.catch(() => {});
    await answer(Op.DIRECTORY, null, "E2BIG");
    await answer(Op.DIRECTORY_PART, null, "ENOSYS");
    await expect(list).rejects.toMatchObject({ code: "E2BIG" });
  });
});

describe("watches", () => {
  const tokenOf = () => toText(wire().sent.at(-1)!.payload).split("\0")[1]!;

  test("an event that comes before the reply to WATCH is delivered", async () => {
    const events: string[] = [];
    const watching = client.watch("/a", (path) => events.push(path));
    await settle();
    wire().event("/a", tokenOf());
    expect(events).toEqual(["/a"]);
    await answer(Op.WATCH, "OK\0");
    await watching;
  });

  test("events go by token; unknown tokens and those of ended watches are ignored", async () => {
    const events: string[] = [];
    const one = client.watch("/a", () => events.push("one"));
    await settle();
    const first = tokenOf();
    await answer(Op.WATCH, "OK\0");
    const two = client.watch("/a", () => events.push("two"));
    await settle();
    const second = tokenOf();
    await answer(Op.WATCH, "OK\0");
    expect(first).not.toBe(second);
    wire().event("/a", second);
    wire().event("/a", "stranger");
    const closing = (await one).close();
    wire().event("/a", first);
    await answer(Op.UNWATCH, "OK\0");
    await closing;
    expect(events).toEqual(["two"]);
    await two;
    const third = client.watch("/a", () => {});
    await settle();
    expect([first, second]).not.toContain(tokenOf());
    await answer(Op.WATCH, "OK\0");
    await third;
  });

  test("a refused watch is none", async () => {
    const events: string[] = [];
    const watching = client.watch("/a", (path) => events.push(path));
    watching.catch(() => {});
    await settle();
    const token = tokenOf();
    await answer(Op.WATCH, null, "E2BIG");
    await expect(watching).rejects.toMatchObject({ code: "E2BIG" });
    await settle();
    wire().event("/a", token);
    expect(events).toEqual([]);
  });

  test("a handler that throws harms nobody", async () => {
    const watching = client.watch("/a", () => {
      throw new Error("oops");
    });
    await settle();
    wire().event("/a", tokenOf());
    await answer(Op.WATCH, "OK\0");
    await watching;
    expect(oddities[0]).toContain("oops");
  });

  test("waitUntil looks at once, then after each event, and ends its watch", async () => {
    const waiting = client.waitUntil("/a", (value) => value === "2");
    await settle();
    const token = tokenOf();
    await answer(Op.WATCH, "OK\0");
    wire().event("/a", token);
    await answer(Op.READ, null, "ENOENT");
    wire().event("/a", token);
    wire().event("/a", token);
    await answer(Op.READ, "1");
    // The second event came during the look: one more look, not two.
    await answer(Op.READ, "2");
    expect(await waiting).toBe("2");
    await answer(Op.UNWATCH, "OK\0");
    expect(wire().sent).toEqual([]);
  });

  test("waitUntil has a deadline and obeys an abort", async () => {
    const late = client.waitUntil("/a", () => false, { timeoutMs: 50 });
    late.catch(() => {});
    await answer(Op.WATCH, "OK\0");
    await clock.advance(50);
    await expect(late).rejects.toBeInstanceOf(DeadlineError);
    await answer(Op.UNWATCH, "OK\0");
    const abort = new AbortController();
    const waiting = client.waitUntil("/a", () => false, { signal: abort.signal });
    await answer(Op.WATCH, "OK\0");
    abort.abort(new Error("enough"));
    await expect(waiting).rejects.toThrow("enough");
  });
});

describe("transactions", () => {
  test("a conflict: everything again, reads included", async () => {
    const seen: string[] = [];
    const done = client.transaction(async (t) => {
      const value = await t.readText("/a");
      seen.push(value);
      await t.write("/a", value + "!");
      return value;
    });
    for (const [id, value, outcome] of [["11", "x", "EAGAIN"], ["12", "y", null]] as const) {
      await answer(Op.TRANSACTION_START, `${id}\0`);
      await answer(Op.READ, value);
      await settle();
      expect(wire().sent[0]?.txId).toBe(Number(id));
      expect(await answer(Op.WRITE, "OK\0")).toBe(`/a\0${value}!`);
      expect(await answer(Op.TRANSACTION_END, outcome === null ? "OK\0" : null, outcome ?? ""))
        .toBe("T\0");
      if (outcome !== null) await clock.advance(100);
    }
    expect(await done).toBe("y");
    expect(seen).toEqual(["x", "y"]);
  });

  test("an error inside aborts, and is the caller's", async () => {
    const done = client.transaction(async (t) => {
      await t.write("/a", "1");
      throw new Error("mine");
    });
    done.catch(() => {});
    await answer(Op.TRANSACTION_START, "5\0");
    await answer(Op.WRITE, "OK\0");
    expect(await answer(Op.TRANSACTION_END, "OK\0")).toBe("F\0");
    await expect(done).rejects.toThrow("mine");
  });

  test("attempts are bounded", async () => {
    const done = client.transaction(async () => {}, { attempts: 2 });
    done.catch(() => {});
    for (let attempt = 0; attempt < 2; attempt++) {
      await answer(Op.TRANSACTION_START, "5\0");
      await answer(Op.TRANSACTION_END, null, "EAGAIN");
      await clock.advance(100);
    }
    await expect(done).rejects.toMatchObject({ code: "EAGAIN" });
  });

  test("one that nobody waits for any more is ended when its id comes", async () => {
    const abort = new AbortController();
    const done = client.transaction(async () => {}, { signal: abort.signal });
    await settle();
    abort.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    await answer(Op.TRANSACTION_START, "77\0");
    await settle();
    expect(wire().sent[0]?.txId).toBe(77);
    expect(await answer(Op.TRANSACTION_END, "OK\0")).toBe("F\0");
  });

  test("an id of 0, or none, is the server's fault, and no end is sent for it", async () => {
    const done = client.transaction(async () => {});
    done.catch(() => {});
    await answer(Op.TRANSACTION_START, "0\0");
    await expect(done).rejects.toThrow(/invalid transaction id/);
    expect(wire().sent).toEqual([]);
  });
});

describe("a lost store", () => {
  test("outstanding requests fail, watches are armed again, and then requests go on", async () => {
    const events: string[] = [];
    const watching = client.watch("/a", (path) => events.push(path));
    await answer(Op.WATCH, "OK\0");
    await watching;
    const outstanding = client.read("/a");
    await settle();
    wire().lose();
    await expect(outstanding).rejects.toBeInstanceOf(ConnectionError);
    await settle();
    expect(states).toEqual(["lost"]);
    const later = client.readText("/b");
    await clock.advance(100);
    expect(transports).toHaveLength(2);
    await settle();
    const token = toText(wire().sent[0]!.payload).split("\0")[1]!;
    expect(await answer(Op.WATCH, "OK\0")).toStartWith("/a\0");
    expect(states).toEqual(["lost", "restored"]);
    wire().event("/a", token);
    expect(events).toEqual(["/a"]);
    await answer(Op.READ, "B");
    expect(await later).toBe("B");
  });

  test("a request during the loss has its deadline", async () => {
    transports.length = 0;
    client.close();
    let refuse = false;
    client = await StoreClient.connect({
      clock,
      reconnect: true,
      connect: async () => {
        if (refuse) throw new ConnectionError("no");
        transports.push(new FakeTransport());
        return wire();
      },
    });
    refuse = true;
    wire().lose();
    const waiting = client.read("/a", { timeoutMs: 500 });
    waiting.catch(() => {});
    await clock.advance(500);
    await expect(waiting).rejects.toBeInstanceOf(DeadlineError);
    client.close();
  });

  test("a transaction does not go on over another connection", async () => {
    const outcome = client.transaction(async (t) => {
      wire().lose();
      await clock.advance(100);
      await t.write("/a", "1");
    }).catch((thrown) => thrown);
    await answer(Op.TRANSACTION_START, "5\0");
    expect(await outcome).toBeInstanceOf(ConnectionError);
    expect(transports).toHaveLength(2);
    expect(wire().sent).toEqual([]);
  });
});
