/** The client above a scripted transport: watches, transactions, listings, reconnection. */
import { beforeEach, describe, expect, test } from "bun:test";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { toText } from "../../../core/xenstore/codec.ts";
import {
  ArgumentError,
  ConnectionError,
  DeadlineError,
  ProtocolError,
  SilenceError,
} from "../../../core/xenstore/errors.ts";
import { Op, opName } from "../../../core/xenstore/operations.ts";
import type { TransportSink } from "../../../core/xenstore/transport.ts";
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

  test("a part without a generation is the server's fault, not an endless loop", async () => {
    const list = client.list("/a");
    list.catch(() => {});
    await answer(Op.DIRECTORY, null, "E2BIG");
    await answer(Op.DIRECTORY_PART, "5");
    await expect(list).rejects.toBeInstanceOf(ProtocolError);
    expect(wire().sent).toEqual([]);
  });

  test("a part that fills its message to the last byte is not the end", async () => {
    const list = client.list("/a");
    await answer(Op.DIRECTORY, null, "E2BIG");
    const names = Array.from({ length: 2047 }, (_, at) => String.fromCharCode(97 + at % 26));
    const body = names.map((name) => `${name}\0`).join("");
    expect("5\0".length + body.length).toBe(4096);
    await answer(Op.DIRECTORY_PART, `5\0${body}`);
    expect(await answer(Op.DIRECTORY_PART, "5\0last\0\0")).toBe("/a\0" + "4094\0");
    expect(await list).toEqual([...names, "last"]);
  });

  test("an error in the middle of a listing is the listing's", async () => {
    const list = client.list("/a");
    list.catch(() => {});
    await answer(Op.DIRECTORY, null, "E2BIG");
    await answer(Op.DIRECTORY_PART, "5\0one\0");
    await answer(Op.DIRECTORY_PART, null, "ENOENT");
    await expect(list).rejects.toMatchObject({ code: "ENOENT" });
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

  test("a watch that nobody waits for any more is ended when it is acknowledged", async () => {
    const abort = new AbortController();
    const watching = client.watch("/a", () => {}, { signal: abort.signal });
    await settle();
    const token = tokenOf();
    abort.abort(new Error("enough"));
    await expect(watching).rejects.toThrow("enough");
    await answer(Op.WATCH, "OK\0");
    expect(await answer(Op.UNWATCH, "OK\0")).toBe(`/a\0${token}\0`);
  });

  test("an end is for once; nobody minds when the store knows nothing of the watch", async () => {
    const watching = client.watch("/a", () => {});
    await answer(Op.WATCH, "OK\0");
    const watch = await watching;
    const closing = watch.close();
    await answer(Op.UNWATCH, null, "ENOENT");
    await closing;
    await watch.close();
    expect(wire().sent).toEqual([]);
  });

  test("an UNWATCH that fails oddly is told; one that is lost with the connection is done", async () => {
    const watch = client.watch("/a", () => {});
    await answer(Op.WATCH, "OK\0");
    const odd = (await watch).close();
    odd.catch(() => {});
    await answer(Op.UNWATCH, null, "EACCES");
    await expect(odd).rejects.toMatchObject({ code: "EACCES" });
    // It is no watch any more all the same.
    await (await watch).close();
    expect(wire().sent).toEqual([]);

    const second = client.watch("/b", () => {});
    await answer(Op.WATCH, "OK\0");
    const late = (await second).close({ timeoutMs: 50 });
    late.catch(() => {});
    await clock.advance(50);
    await expect(late).rejects.toBeInstanceOf(SilenceError);
    wire().take();

    const third = client.watch("/c", () => {});
    await answer(Op.WATCH, "OK\0");
    const lost = (await third).close();
    await settle();
    wire().lose();
    await lost;
  });

  test("WATCH keeps its place among requests made in the same turn", async () => {
    client.watch("/a", () => {}).catch(() => {});
    client.read("/a").catch(() => {});
    await settle();
    expect(wire().sent.map(({ type }) => type)).toEqual([Op.WATCH, Op.READ]);
  });

  test("what waitUntil's look throws is its outcome, and its watch ends", async () => {
    const waiting = client.watchUntil("/a", () => Promise.reject(new Error("mine")));
    waiting.catch(() => {});
    await settle();
    const token = tokenOf();
    await answer(Op.WATCH, "OK\0");
    wire().event("/a", token);
    await expect(waiting).rejects.toThrow("mine");
    await answer(Op.UNWATCH, "OK\0");
    client.close();
    expect(clock.pending).toBe(0);
  });

  test("what has been found is not looked for again", async () => {
    let looks = 0;
    const looking = Promise.withResolvers<void>();
    const waiting = client.watchUntil("/a", async () => {
      looks++;
      await looking.promise;
      return looks;
    });
    await settle();
    const token = tokenOf();
    await answer(Op.WATCH, "OK\0");
    wire().event("/a", token);
    await settle();
    // While it looks, and after it has found.
    wire().event("/a", token);
    looking.resolve();
    expect(await waiting).toBe(1);
    wire().event("/a", token);
    await answer(Op.UNWATCH, "OK\0");
    expect(looks).toBe(1);
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

  test("a commit that is given up before it could be sent leaves no transaction open", async () => {
    const narrow = new FakeTransport();
    const one = await StoreClient.connect({ clock, window: 1, connect: async () => narrow });
    const abort = new AbortController();
    const done = one.transaction(async () => {
      // Somebody else's request takes the only place.
      one.read("/busy").catch(() => {});
    }, { signal: abort.signal });
    done.catch(() => {});
    await settle();
    narrow.reply(narrow.take()[0]!, "5\0");
    await settle();
    const [busy] = narrow.take();
    expect(busy?.type).toBe(Op.READ);
    abort.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    narrow.reply(busy!, "x");
    await settle();
    expect(narrow.take().map(({ type, txId, payload }) => [type, txId, toText(payload)]))
      .toEqual([[Op.TRANSACTION_END, 5, "F\0"]]);
  });

  test("a commit that the store refuses is not followed by an abort", async () => {
    const done = client.transaction(async () => {});
    done.catch(() => {});
    await answer(Op.TRANSACTION_START, "5\0");
    await answer(Op.TRANSACTION_END, null, "ENOMEM");
    await expect(done).rejects.toMatchObject({ code: "ENOMEM" });
    await settle();
    expect(wire().sent).toEqual([]);
  });

  test("several at once: each request bears its own id", async () => {
    const both = ["/a", "/b"].map((path) => client.transaction((t) => t.write(path, "1")));
    await answer(Op.TRANSACTION_START, "5\0");
    await answer(Op.TRANSACTION_START, "6\0");
    const writes = wire().take();
    expect(writes.map(({ txId, payload }) => [txId, toText(payload)]))
      .toEqual([[5, "/a\x001"], [6, "/b\x001"]]);
    for (const write of writes) wire().reply(write, "OK\0");
    await settle();
    const ends = wire().take();
    expect(ends.map(({ txId, payload }) => [txId, toText(payload)])).toEqual([[5, "T\0"], [
      6,
      "T\0",
    ]]);
    for (const end of ends) wire().reply(end, "OK\0");
    await Promise.all(both);
  });

  test("the pause after a conflict can be cut short", async () => {
    const abort = new AbortController();
    const done = client.transaction(async () => {}, { signal: abort.signal });
    done.catch(() => {});
    await answer(Op.TRANSACTION_START, "5\0");
    await answer(Op.TRANSACTION_END, null, "EAGAIN");
    expect(clock.pending).toBe(1);
    abort.abort(new Error("enough"));
    await expect(done).rejects.toThrow("enough");
    expect(clock.pending).toBe(0);
    expect(wire().sent).toEqual([]);
  });

  test("a late and senseless id disturbs nobody", async () => {
    const done = client.transaction(async () => {}, { timeoutMs: 10 });
    done.catch(() => {});
    await settle();
    await clock.advance(10);
    await expect(done).rejects.toBeInstanceOf(SilenceError);
    await answer(Op.TRANSACTION_START, "garbage\0");
    const read = client.readText("/a");
    await answer(Op.READ, "A");
    expect(await read).toBe("A");
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
  test("one that is not connected to again ends what waits for an event", async () => {
    const once = await StoreClient.connect({
      clock,
      connect: async () => {
        transports.push(new FakeTransport());
        return wire();
      },
    });
    const waiting = once.waitUntil("/a", (value) => value === "1", { timeoutMs: 60_000 });
    const ended = waiting.catch((error: unknown) => error);
    await answer(Op.WATCH, "OK\0");
    wire().lose();
    await settle();
    expect(await Promise.race([ended, Promise.resolve("waits")])).toBeInstanceOf(ConnectionError);
  });

  test("outstanding changes fail, questions are asked again, watches are armed again", async () => {
    const events: string[] = [];
    const watching = client.watch("/a", (path) => events.push(path));
    await answer(Op.WATCH, "OK\0");
    await watching;
    const question = client.readText("/a");
    const change = client.write("/a", "x");
    await settle();
    wire().lose();
    await expect(change).rejects.toBeInstanceOf(ConnectionError);
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
    expect(await answer(Op.READ, "A")).toBe("/a\0");
    expect(await question).toBe("A");
    expect(await answer(Op.READ, "B")).toBe("/b\0");
    expect(await later).toBe("B");
  });

  test("a client that was closed is not being connected again", async () => {
    const given = client.readText("/a");
    given.catch(() => {});
    await settle();
    expect(client.isRecovering).toBeFalse();
    wire().lose();
    await settle();
    expect(client.isRecovering).toBeTrue();
    client.close();
    expect(client.isRecovering).toBeFalse();
    const watching = client.watch("/a", () => {});
    watching.catch(() => {});
    await clock.advance(100);
    await expect(watching).rejects.toBeInstanceOf(ConnectionError);
    expect(transports).toHaveLength(1);
  });

  test("nothing is asked again of what has never answered: it may be no store at all", async () => {
    const question = client.read("/a");
    question.catch(() => {});
    await settle();
    wire().lose();
    await expect(question).rejects.toBeInstanceOf(ConnectionError);
  });

  test("a question that is asked again has one deadline for all", async () => {
    const first = client.read("/b");
    await answer(Op.READ, "B");
    await first;
    const question = client.read("/a", { timeoutMs: 500 });
    question.catch(() => {});
    await clock.advance(400);
    wire().lose();
    await clock.advance(50);
    expect(wire().take()).toHaveLength(1);
    await clock.advance(50);
    await expect(question).rejects.toBeInstanceOf(SilenceError);
  });

  test("a watch that is refused then does not keep the rest from working, and is tried again", async () => {
    client.close();
    const refused: string[] = [];
    client = await StoreClient.connect({
      clock,
      reconnect: true,
      connect: async () => {
        transports.push(new FakeTransport());
        return wire();
      },
      onConnection: (state) => states.push(state),
      onWatchRefused: (path, error) => refused.push(`${path}: ${error.message}`),
    });
    const events: string[] = [];
    for (const path of ["/a", "/b"]) {
      const watching = client.watch(path, (changed) => events.push(changed));
      await answer(Op.WATCH, "OK\0");
      await watching;
    }
    wire().lose();
    await clock.advance(100);
    await answer(Op.WATCH, null, "E2BIG");
    await answer(Op.WATCH, "OK\0");
    expect(states).toEqual(["lost", "restored"]);
    expect(refused).toEqual([expect.stringMatching(/^\/a: E2BIG/)]);
    await clock.advance(1_000);
    await answer(Op.WATCH, null, "E2BIG");
    await clock.advance(1_999);
    expect(wire().sent).toEqual([]);
    await clock.advance(1);
    const token = (await answer(Op.WATCH, "OK\0")).split("\0")[1]!;
    wire().event("/a/x", token);
    expect(events).toEqual(["/a/x"]);
    expect(client.watchCount).toBe(2);
    await clock.advance(100_000);
    expect(wire().sent).toEqual([]);
  });

  test("a store that takes connections and drops them at once is not asked all the time", async () => {
    client.close();
    let made = 0;
    client = await StoreClient.connect({
      clock,
      reconnect: true,
      connect: async () => {
        made++;
        const transport = new FakeTransport();
        transports.push(transport);
        if (made > 1) clock.after(5, () => transport.lose());
        return transport;
      },
    });
    wire().lose();
    await clock.advance(60_000);
    // 20, 40 … 1280 ms, then every 2 s.
    expect(made).toBeLessThan(40);
    expect(made).toBeGreaterThan(25);
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
    await expect(waiting).rejects.toBeInstanceOf(SilenceError);
    client.close();
  });

  test("a watch that is asked for meanwhile is armed once", async () => {
    const events: string[] = [];
    wire().lose();
    const watching = client.watch("/a", (path) => events.push(path));
    await clock.advance(100);
    await settle();
    const sent = wire().take();
    expect(sent.map(({ type }) => opName(type))).toEqual(["WATCH"]);
    wire().reply(sent[0]!, "OK\0");
    await watching;
    wire().event("/a", toText(sent[0]!.payload).split("\0")[1]!);
    expect(events).toEqual(["/a"]);
    await settle();
    expect(wire().sent).toEqual([]);
  });

  test("a watch that ended meanwhile is not armed again", async () => {
    const watching = client.watch("/a", () => {});
    await answer(Op.WATCH, "OK\0");
    const watch = await watching;
    wire().lose();
    const closing = watch.close();
    await clock.advance(100);
    await answer(Op.UNWATCH, null, "ENOENT");
    await closing;
    expect(states).toEqual(["lost", "restored"]);
  });

  test("lost again while watches are armed: once more from the start", async () => {
    const watching = client.watch("/a", () => {});
    await answer(Op.WATCH, "OK\0");
    await watching;
    wire().lose();
    await clock.advance(100);
    expect(wire().take()).toHaveLength(1);
    wire().lose();
    await clock.advance(100);
    expect(transports).toHaveLength(3);
    await answer(Op.WATCH, "OK\0");
    expect(states).toEqual(["lost", "restored"]);
    expect(oddities).toHaveLength(1);
  });

  test("lost again at once, with no watch that would tell", async () => {
    client.close();
    class Stillborn extends FakeTransport {
      override start(sink: TransportSink): void {
        super.start(sink);
        queueMicrotask(() => sink.closed(null));
      }
    }
    const made: FakeTransport[] = [];
    client = await StoreClient.connect({
      clock,
      reconnect: true,
      connect: async () => {
        made.push(made.length === 1 ? new Stillborn() : new FakeTransport());
        return made.at(-1)!;
      },
      onConnection: (state) => states.push(state),
    });
    made[0]!.lose();
    const reading = client.readText("/a");
    await clock.advance(200);
    expect(made).toHaveLength(3);
    made[2]!.reply(made[2]!.take()[0]!, "A");
    expect(await reading).toBe("A");
    expect(states).toEqual(["lost", "restored"]);
  });

  test("a client closed while it connects again leaves no connection behind", async () => {
    client.close();
    const made: FakeTransport[] = [];
    const gate = Promise.withResolvers<void>();
    client = await StoreClient.connect({
      clock,
      reconnect: true,
      connect: async () => {
        if (made.length > 0) await gate.promise;
        made.push(new FakeTransport());
        return made.at(-1)!;
      },
      onConnection: (state) => states.push(state),
    });
    made[0]!.lose();
    const reading = client.read("/a");
    reading.catch(() => {});
    await clock.advance(100);
    client.close();
    gate.resolve();
    await settle();
    expect(made).toHaveLength(2);
    expect(made[1]!.closed).toBeTrue();
    expect(states).toEqual(["lost"]);
    await expect(reading).rejects.toBeInstanceOf(ConnectionError);
    await clock.advance(10_000);
    expect(made).toHaveLength(2);
  });

  test("who waits for the store's return can be called off, before and during", async () => {
    wire().lose();
    const reason = new Error("enough");
    await expect(client.read("/a", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    const abort = new AbortController();
    const waiting = client.watch("/a", () => {}, { signal: abort.signal });
    abort.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    await clock.advance(100);
    expect(wire().sent).toEqual([]);
  });

  test("pauses between attempts grow, up to 2 s", async () => {
    client.close();
    const attempts: number[] = [];
    client = await StoreClient.connect({
      clock,
      reconnect: true,
      connect: async () => {
        if (transports.length > 1) {
          attempts.push(clock.now());
          throw new ConnectionError("no");
        }
        transports.push(new FakeTransport());
        return wire();
      },
    });
    wire().lose();
    await clock.advance(10_000);
    const pauses = attempts.map((at, index) => at - (attempts[index - 1] ?? 0));
    expect(pauses.slice(0, 8)).toEqual([20, 40, 80, 160, 320, 640, 1280, 2000]);
    client.close();
  });

  test("without reconnection a loss is final, and is told", async () => {
    client.close();
    client = await StoreClient.connect({
      clock,
      connect: async () => {
        transports.push(new FakeTransport());
        return wire();
      },
      onConnection: (state) => states.push(state),
    });
    wire().lose();
    await expect(client.read("/a")).rejects.toBeInstanceOf(ConnectionError);
    expect(states).toEqual(["lost"]);
    expect(clock.pending).toBe(0);
  });

  test("a closed client: nothing is told, nothing is asked", async () => {
    const outstanding = client.read("/a");
    outstanding.catch(() => {});
    await settle();
    client.close();
    await expect(outstanding).rejects.toBeInstanceOf(ConnectionError);
    await expect(client.read("/a")).rejects.toBeInstanceOf(ConnectionError);
    await expect(client.watch("/a", () => {})).rejects.toBeInstanceOf(ConnectionError);
    expect(wire().closed).toBeTrue();
    expect(states).toEqual([]);
    expect(clock.pending).toBe(0);
  });

  test("a transaction does not go on over another connection: it is done again", async () => {
    let runs = 0;
    const outcome = client.transaction(async (t) => {
      if (++runs === 1) {
        wire().lose();
        await clock.advance(100);
      }
      await t.write("/a", String(runs));
      return runs;
    });
    await answer(Op.TRANSACTION_START, "5\0");
    for (let turn = 0; turn < 5; turn++) await settle();
    expect(transports).toHaveLength(2);
    await answer(Op.TRANSACTION_START, "6\0");
    expect(await answer(Op.WRITE, "OK\0")).toBe("/a\x002");
    await answer(Op.TRANSACTION_END, "OK\0");
    expect(await outcome).toBe(2);
    expect(wire().sent).toEqual([]);
  });

  test("no more transactions are open at a time than allowed", async () => {
    client.close();
    client = await StoreClient.connect({
      clock,
      transactions: 1,
      connect: async () => {
        transports.push(new FakeTransport());
        return wire();
      },
    });
    const order: string[] = [];
    const one = client.transaction((t) => t.write("/a", "1")).then(() => order.push("one"));
    const two = client.transaction(async () => {
      order.push("fails");
      throw new Error("no");
    }).catch(() => {});
    const three = client.transaction((t) => t.write("/a", "3")).then(() => order.push("three"));
    await answer(Op.TRANSACTION_START, "5\0");
    await answer(Op.WRITE, "OK\0");
    expect(wire().sent.map(({ type }) => opName(type))).toEqual(["TRANSACTION_END"]);
    await answer(Op.TRANSACTION_END, "OK\0");
    await answer(Op.TRANSACTION_START, "6\0");
    await answer(Op.TRANSACTION_END, "OK\0");
    await answer(Op.TRANSACTION_START, "7\0");
    await answer(Op.WRITE, "OK\0");
    await answer(Op.TRANSACTION_END, "OK\0");
    await Promise.all([one, two, three]);
    expect(order).toEqual(["one", "fails", "three"]);
  });
});

test("a connection on which the watches cannot be armed again is closed, and another one made", async () => {
  const watch = client.watch("/a", () => {});
  await answer(Op.WATCH, "OK\0");
  await watch;
  wire().lose();
  await clock.advance(20);
  expect(transports).toHaveLength(2);
  const useless = wire();
  // The store takes the connection, and says nothing for as long as any request may take.
  await clock.advance(90_000);
  expect(useless.closed).toBe(true);
  await clock.advance(2_000);
  expect(transports.length).toBeGreaterThan(2);
  expect(states).toEqual(["lost"]);
  await answer(Op.WATCH, "OK\0");
  expect(states).toEqual(["lost", "restored"]);
  expect(wire().closed).toBe(false);
});

describe("a silent store", () => {
  test("one that answers now and then, within the interval, is not silent", async () => {
    client.close();
    const told: string[] = [];
    client = await StoreClient.connect({
      clock,
      silenceMs: 10_000,
      onSilence: (state, ms) => told.push(`${state} ${ms}`),
      connect: async () => {
        transports.push(new FakeTransport());
        return wire();
      },
    });
    const reads = [1, 2, 3, 4].map((at) => client.readText(`/${at}`, { timeoutMs: 300_000 }));
    // Something is owed all the time; each answer comes just in time.
    for (const at of [1, 2, 3]) {
      await clock.advance(9_999);
      await answer(Op.READ, String(at));
    }
    expect(told).toEqual([]);
    await clock.advance(9_999);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual(["silent 10000"]);
    await answer(Op.READ, "4");
    expect(await Promise.all(reads)).toEqual(["1", "2", "3", "4"]);
    expect(told).toEqual(["silent 10000", "answering 10000"]);
  });

  test("is told of once, and once more when it answers; nothing is looked at meanwhile", async () => {
    client.close();
    const told: string[] = [];
    client = await StoreClient.connect({
      clock,
      silenceMs: 10_000,
      onSilence: (state, ms) => told.push(`${state} ${ms}`),
      connect: async () => {
        transports.push(new FakeTransport());
        return wire();
      },
    });
    await clock.advance(60_000);
    expect(told).toEqual([]);
    const first = client.readText("/a", { timeoutMs: 300_000 });
    await clock.advance(6_000);
    const second = client.readText("/b", { timeoutMs: 300_000 });
    await clock.advance(3_999);
    expect(told).toEqual([]);
    await clock.advance(1);
    expect(told).toEqual(["silent 10000"]);
    await clock.advance(100_000);
    await answer(Op.READ, "A");
    expect(told).toEqual(["silent 10000", "answering 110000"]);
    await clock.advance(10_000);
    expect(told).toHaveLength(3);
    await answer(Op.READ, "B");
    expect(await Promise.all([first, second])).toEqual(["A", "B"]);
    await clock.advance(60_000);
    expect(told).toHaveLength(4);
    expect(clock.pending).toBe(0);
  });
});
