/** One connection, many requests. */
import { beforeEach, describe, expect, test } from "bun:test";
import { concat, encodeMessage, nulTerminated, toText } from "../../../core/xenstore/codec.ts";
import { Connection, DEFAULT_TIMEOUT_MS } from "../../../core/xenstore/connection.ts";
import {
  ArgumentError,
  ConnectionError,
  ProtocolError,
  ServerError,
  SilenceError,
} from "../../../core/xenstore/errors.ts";
import { Op } from "../../../core/xenstore/operations.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { FakeTransport } from "../../support/fake_transport.ts";

const read = (path: string) => ({ type: Op.READ, payload: nulTerminated(path), path });

describe("a connection", () => {
  let clock: FakeClock;
  let transport: FakeTransport;
  let connection: Connection;
  let oddities: string[];
  let closed: ConnectionError[];

  beforeEach(() => {
    clock = new FakeClock();
    transport = new FakeTransport();
    oddities = [];
    closed = [];
    connection = new Connection(
      transport,
      {
        event: () => {},
        closed: (error) => closed.push(error),
        oddity: (text) => oddities.push(text),
      },
      clock,
      4,
    );
  });

  const ask = (path: string, options = {}) =>
    connection.request(read(path), options).then(({ payload }) => toText(payload));

  test("replies find their request in any order", async () => {
    const answers = ["/a", "/b", "/c"].map((path) => ask(path));
    const [a, b, c] = transport.take();
    transport.reply(c!, "C");
    transport.reply(a!, "A");
    transport.reply(b!, "B");
    expect(await Promise.all(answers)).toEqual(["A", "B", "C"]);
    connection.close();
    expect(clock.pending).toBe(0);
  });

  test("a transport can tell whether an answer is still to come", async () => {
    expect(transport.isAwaited).toBe(false);
    const answers = ["/a", "/b"].map((path) => ask(path));
    const [a, b] = transport.take();
    transport.reply(b!, "B");
    expect(transport.isAwaited).toBe(true);
    transport.reply(a!, "A");
    expect(transport.isAwaited).toBe(false);
    expect(await Promise.all(answers)).toEqual(["A", "B"]);
  });

  test("one timer watches over all requests without limits of their own", async () => {
    const early = ask("/early");
    early.catch(() => {});
    await clock.advance(DEFAULT_TIMEOUT_MS - 1_000);
    const late = ask("/late");
    late.catch(() => {});
    const answered = ask("/answered");
    expect(clock.pending).toBe(1);
    transport.reply(transport.take().at(-1)!, "A");
    expect(await answered).toBe("A");
    await clock.advance(1_000);
    await expect(early).rejects.toThrow(/^READ \/early: no answer from .* within 90000 ms$/);
    expect(await Promise.race([late, Promise.resolve("waits")])).toBe("waits");
    await clock.advance(DEFAULT_TIMEOUT_MS - 1_000);
    await expect(late).rejects.toThrow(/READ \/late: no answer/);
    // With nothing to wait for there is no timer: an idle daemon sleeps.
    expect(clock.pending).toBe(0);
  });

  test("replies are let gather while many are under way, and only then", async () => {
    const many = new Connection(transport = new FakeTransport(), {
      event: () => {},
      closed: () => {},
    }, clock);
    const asked = Array.from({ length: 25 }, (_, at) => many.request(read(`/${at}`)));
    expect(transport.gatherings).toBe(0);
    transport.event("/a", "w1");
    expect(transport.gatherings).toBe(0);
    const requests = transport.take();
    for (const [at, request] of requests.entries()) {
      transport.reply(request, "x");
      // 24 are left after the first.
      expect(transport.gatherings).toBe(1);
      await asked[at];
    }
    many.close();
  });

  test("nor where most of them came at once: who was busy for so long need not wait", () => {
    const many = new Connection(transport = new FakeTransport(), {
      event: () => {},
      closed: () => {},
    }, clock);
    const asked = Array.from({ length: 60 }, (_, at) => many.request(read(`/${at}`)));
    const answers = transport.take().map(({ type, reqId, txId }) =>
      encodeMessage({ type, reqId, txId, payload: nulTerminated("x") })
    );
    transport.deliver(concat(answers.slice(0, 31)));
    expect(transport.gatherings).toBe(0);
    transport.deliver(concat(answers.slice(31, 33)));
    expect(transport.gatherings).toBe(1);
    for (const promise of asked) promise.catch(() => {});
    many.close();
  });

  test("no more than the window is sent; the rest follows as answers come", async () => {
    const answers = Array.from({ length: 6 }, (_, at) => ask(`/${at}`));
    const first = transport.take();
    expect(first).toHaveLength(4);
    transport.reply(first[0]!, "x");
    await settle();
    expect(transport.take()).toHaveLength(1);
    expect(connection.outstanding).toBe(5);
    for (const answer of answers.slice(1)) answer.catch(() => {});
    connection.close();
  });

  test("ids of outstanding requests are distinct and not 0", () => {
    for (let at = 0; at < 4; at++) ask(`/${at}`).catch(() => {});
    const ids = transport.take().map(({ reqId }) => reqId);
    expect(new Set(ids).size).toBe(4);
    expect(ids).not.toContain(0);
    connection.close();
  });

  test("a refusal keeps the server's word", async () => {
    const answer = ask("/a");
    transport.refuse(transport.take()[0]!, "EQUOTA");
    const error = await answer.catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ code: "EQUOTA", operation: "READ", path: "/a" });
    const odd = ask("/a");
    transport.refuse(transport.take()[0]!, "EWHATEVER");
    await expect(odd).rejects.toMatchObject({ code: "EWHATEVER" });
  });

  test("a reply of another type is a protocol error of that request alone", async () => {
    const [odd, fine] = [ask("/a"), ask("/b")];
    const [first, second] = transport.take();
    transport.reply({ ...first!, type: Op.WRITE }, "OK\0");
    transport.reply(second!, "v");
    await expect(odd).rejects.toBeInstanceOf(ProtocolError);
    expect(await fine).toBe("v");
  });

  test("a reply nobody asked for is an oddity", () => {
    transport.reply({ type: Op.READ, reqId: 99, txId: 0, payload: new Uint8Array() }, "");
    expect(oddities).toHaveLength(1);
  });

  test("a deadline; a late answer disturbs nobody", async () => {
    const late = ask("/a", { timeoutMs: 100 });
    late.catch(() => {});
    await clock.advance(99);
    const next = ask("/b");
    await clock.advance(1);
    await expect(late).rejects.toBeInstanceOf(SilenceError);
    const [a, b] = transport.take();
    transport.reply(a!, "too late");
    transport.reply(b!, "B");
    expect(await next).toBe("B");
    expect(oddities).toEqual([]);
  });

  test("an id is not used again while its answer may still come", async () => {
    ask("/a", { timeoutMs: 1 }).catch(() => {});
    await clock.advance(1);
    const [first] = transport.take();
    for (let at = 0; at < 3; at++) ask(`/${at}`).catch(() => {});
    expect(transport.take().map(({ reqId }) => reqId)).not.toContain(first!.reqId);
    connection.close();
  });

  test("an abort before, while it waits, and while it is outstanding", async () => {
    const reason = new Error("enough");
    expect(ask("/a", { signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
    expect(transport.take()).toEqual([]);

    for (let at = 0; at < 4; at++) ask(`/${at}`).catch(() => {});
    const outstanding = transport.take();
    const queued = new AbortController();
    const waiting = ask("/queued", { signal: queued.signal });
    queued.abort(reason);
    await expect(waiting).rejects.toBe(reason);
    transport.reply(outstanding[0]!, "x");
    await settle();
    expect(transport.take()).toEqual([]);

    const sent = new AbortController();
    const going = ask("/sent", { signal: sent.signal });
    const [request] = transport.take();
    sent.abort(reason);
    await expect(going).rejects.toBe(reason);
    transport.reply(request!, "late");
    expect(oddities).toEqual([]);
    connection.close();
  });

  test("too long a request is refused here, and nothing is sent", () => {
    const payload = new Uint8Array(4097);
    expect(connection.request({ type: Op.WRITE, payload, path: "/a" }))
      .rejects.toThrow(/WRITE \/a: 4097 bytes; fake carries at most 4096/);
    expect(connection.request({ type: Op.WRITE, payload })).rejects.toBeInstanceOf(ArgumentError);
    expect(transport.take()).toEqual([]);
  });

  test("a loss rejects everything, sent or not, once, and later requests at once", async () => {
    const answers = Array.from({ length: 6 }, (_, at) => ask(`/${at}`));
    for (const answer of answers) answer.catch(() => {});
    transport.lose(Object.assign(new Error("reset"), { code: "ECONNRESET" }));
    for (const answer of answers) await expect(answer).rejects.toBeInstanceOf(ConnectionError);
    expect(closed).toHaveLength(1);
    expect(closed[0]).toMatchObject({ code: "ECONNRESET" });
    expect(ask("/later")).rejects.toBeInstanceOf(ConnectionError);
    expect(clock.pending).toBe(0);
  });

  test("a malformed frame ends the connection with a reason", async () => {
    const answer = ask("/a");
    transport.deliver(new Uint8Array(16).fill(0xff));
    await expect(answer).rejects.toThrow(/announces 4294967295 bytes/);
    expect(transport.closed).toBeTrue();
  });

  test("a server that never answers: what waits is bounded, and nobody waits for ever", async () => {
    const outcomes: unknown[] = [];
    for (let at = 0; at < 500; at++) {
      ask(`/${at}`, { timeoutMs: 100 }).catch((error) => outcomes.push(error));
      await clock.advance(1);
    }
    await clock.advance(1_000);
    expect(outcomes).toHaveLength(500);
    expect(outcomes.every((error) => error instanceof SilenceError)).toBeTrue();
    // The four that were sent keep their ids; nothing else is left.
    expect(transport.take()).toHaveLength(4);
    expect(connection.outstanding).toBe(4);
    expect(clock.pending).toBe(0);
  });

  test("a deadline is 90 s unless told otherwise", async () => {
    const answer = ask("/a");
    answer.catch(() => {});
    await clock.advance(89_999);
    expect(clock.pending).toBe(1);
    await clock.advance(1);
    await expect(answer).rejects.toThrow("READ /a: no answer from fake within 90000 ms");
  });

  test("an abort leaves no listener on the signal, an answer neither", async () => {
    const { signal } = new AbortController();
    let listeners = 0;
    const counted = Object.assign(Object.create(null), {
      aborted: false,
      reason: undefined,
      addEventListener: () => listeners++,
      removeEventListener: () => listeners--,
    }) as typeof signal;
    const answers = [ask("/a", { signal: counted }), ask("/b", { signal: counted, timeoutMs: 5 })];
    answers[1]!.catch(() => {});
    expect(listeners).toBe(2);
    transport.reply(transport.take()[0]!, "A");
    await clock.advance(5);
    await Promise.allSettled(answers);
    expect(listeners).toBe(0);
  });

  test("WATCH and UNWATCH answered with id 0, as kernels before 4.11 do", async () => {
    const watch = { type: Op.WATCH, payload: nulTerminated("/a", "t") };
    const [value, first, second] = [
      ask("/a"),
      connection.request(watch),
      connection.request(watch),
    ];
    const [read, one] = transport.take();
    transport.reply({ ...one!, reqId: 0 }, "OK\0");
    await first;
    expect(connection.outstanding).toBe(2);
    transport.reply({ ...one!, reqId: 0 }, "OK\0");
    await second;
    const ending = connection.request({ ...watch, type: Op.UNWATCH });
    transport.reply({ ...one!, type: Op.UNWATCH, reqId: 0 }, "OK\0");
    await ending;
    expect(oddities).toEqual([]);
    // Others are not found that way, nor is a WATCH that nobody sent.
    transport.reply({ ...read!, reqId: 0 }, "x");
    transport.reply({ ...one!, reqId: 0 }, "OK\0");
    expect(oddities).toHaveLength(2);
    transport.reply(read!, "A");
    expect(await value).toBe("A");
  });

  test("a transport that refuses one message refuses that request alone", async () => {
    const { promise, resolve } = Promise.withResolvers<void>();
    let refusing = true;
    class Refusing extends FakeTransport {
      override send(message: Uint8Array): void {
        if (refusing) throw new ServerError("EINVAL", "WATCH");
        super.send(message);
        resolve();
      }
    }
    const refusal = new Refusing();
    const other = new Connection(refusal, { event: () => {}, closed: () => {} }, clock);
    await expect(other.request(read("/bad"))).rejects.toMatchObject({
      code: "EINVAL",
      path: "/bad",
    });
    expect(other.outstanding).toBe(0);
    refusing = false;
    const answer = other.request(read("/a"));
    await promise;
    refusal.reply(refusal.take()[0]!, "A");
    expect(toText((await answer).payload)).toBe("A");
  });

  test("an event without a token is an oddity", () => {
    transport.deliver(encodeMessage({
      type: Op.WATCH_EVENT,
      reqId: 0,
      txId: 0,
      payload: nulTerminated("/a"),
    }));
    expect(oddities).toHaveLength(1);
  });

  test("more than 16 MiB in one reply is no reply", async () => {
    const answer = ask("/a");
    const header = encodeMessage({ ...transport.take()[0]!, payload: new Uint8Array() });
    new DataView(header.buffer).setUint32(12, 16 * 1024 * 1024 + 1, true);
    transport.deliver(header);
    await expect(answer).rejects.toThrow(/announces 16777217 bytes/);
    expect(connection.isClosed).toBeTrue();
    expect(closed).toHaveLength(1);
    transport.lose();
    expect(closed).toHaveLength(1);
  });

  test("a reply longer than 4096 bytes is taken", async () => {
    const answer = ask("/a");
    transport.reply(transport.take()[0]!, "x".repeat(100_000));
    expect((await answer).length).toBe(100_000);
  });
});
