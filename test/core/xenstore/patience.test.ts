/** Who is about to end waits for the store no longer than it may; and what a silent store is called. */
import { beforeEach, expect, test } from "bun:test";
import { problemOf } from "../../../core/messages/error.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { ConnectionError, DeadlineError, SilenceError } from "../../../core/xenstore/errors.ts";
import { FakeClock, settle } from "../../support/fake_clock.ts";
import { FakeTransport } from "../../support/fake_transport.ts";

let clock: FakeClock;
let wire: FakeTransport;
let refuses: boolean;

async function connect(reconnect: boolean): Promise<StoreClient> {
  return await StoreClient.connect({
    clock,
    reconnect,
    connect: async () => {
      if (refuses) throw new ConnectionError("nobody listens");
      return wire = new FakeTransport();
    },
  });
}

/** What comes of a promise, once it has. */
function outcome(work: Promise<unknown>): { error?: unknown; value?: unknown; over: boolean } {
  const seen: { error?: unknown; value?: unknown; over: boolean } = { over: false };
  work.then(
    (value) => Object.assign(seen, { value, over: true }),
    (error) => Object.assign(seen, { error, over: true }),
  );
  return seen;
}

beforeEach(() => {
  clock = new FakeClock();
  refuses = false;
});

test("a store that owes an answer for so long is given up; all that waits ends", async () => {
  const client = await connect(true);
  const request = outcome(client.read("/a"));
  const waits = outcome(client.waitUntil("/b", () => false));
  await settle();
  client.limitPatience(1_000);
  await clock.advance(900);
  expect([request.over, waits.over]).toEqual([false, false]);
  await clock.advance(300);
  expect(request.error).toBeInstanceOf(ConnectionError);
  expect(waits.error).toBeInstanceOf(ConnectionError);
  await expect(client.read("/c")).rejects.toBeInstanceOf(ConnectionError);
  await clock.advance(60_000);
  expect(clock.pending).toBe(0);
});

test("one that answers is waited for as ever, and what it owes counts from its last answer", async () => {
  const client = await connect(true);
  client.limitPatience(1_000);
  await clock.advance(5_000);
  const [first, second] = [outcome(client.read("/a")), outcome(client.read("/b"))];
  await settle();
  await clock.advance(800);
  wire.reply(wire.sent.shift()!, "A");
  await clock.advance(800);
  expect([first.value !== undefined, second.over]).toEqual([true, false]);
  wire.reply(wire.sent.shift()!, "B");
  await settle();
  expect(second.value !== undefined).toBe(true);
});

test("one that is gone is given up when it does not come back", async () => {
  const client = await connect(true);
  const first = client.read("/a");
  await settle();
  wire.reply(wire.sent.shift()!, "A");
  await first;
  refuses = true;
  wire.lose();
  const request = outcome(client.read("/b"));
  client.limitPatience(1_000);
  await clock.advance(900);
  expect(request.over).toBe(false);
  await clock.advance(5_000);
  expect(request.error).toBeInstanceOf(ConnectionError);
});

test("work that does not ask ends with the connection, unless that comes back", async () => {
  const never = new Promise<never>(() => {});
  const once = await connect(false);
  const ends = outcome(once.whileConnected(never));
  wire.lose();
  await settle();
  expect(ends.error).toBeInstanceOf(ConnectionError);
  const again = await connect(true);
  const goesOn = outcome(again.whileConnected(never));
  wire.lose();
  await clock.advance(10_000);
  expect(goesOn.over).toBe(false);
  again.close();
  await settle();
  expect(goesOn.error).toBeInstanceOf(ConnectionError);
  expect(await (await connect(false)).whileConnected(Promise.resolve(7))).toBe(7);
});

test("a store that does not answer is status 3; something that does not happen is not", async () => {
  const client = await connect(false);
  const silence = outcome(client.read("/a"));
  const nothing = outcome(client.waitUntil("/b", () => false, { timeoutMs: 100 }));
  await settle();
  const watch = wire.sent.find(({ type }) => type === 4)!;
  wire.reply(watch, "OK\0");
  await clock.advance(100);
  expect(nothing.error).toBeInstanceOf(DeadlineError);
  expect(problemOf(nothing.error).status).toBe(1);
  await clock.advance(100_000);
  expect(silence.error).toBeInstanceOf(SilenceError);
  expect(problemOf(silence.error).status).toBe(3);
});
