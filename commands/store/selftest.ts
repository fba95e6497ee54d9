/**
 * `xdevd store selftest`: does this store, through this transport, behave as the client expects?
 * Works below `data/xdevd-selftest` of the domain it runs in, and cleans up.
 */
import { systemClock } from "../../platform/clock.ts";
import { printTo } from "../../platform/self.ts";
import { StoreClient } from "../../core/xenstore/client.ts";
import { concat, encodeMessage, nulTerminated } from "../../core/xenstore/codec.ts";
import {
  ArgumentError,
  ConnectionError,
  isServerError,
  ServerError,
  StoreError,
} from "../../core/xenstore/errors.ts";
import type { StoreLocation } from "../../core/xenstore/locate.ts";
import { Op } from "../../core/xenstore/operations.ts";
import { connectStore, openTransport } from "../../machine/connect.ts";
import { ExitCode } from "../../core/messages/error.ts";

/** Where the test works, relative to the domain's home. */
const ROOT = "data/xdevd-selftest";

/** No step waits longer, in ms. */
const PATIENCE_MS = 15_000;

/** One check: returns what it saw, for the record. @throws when it is not as expected */
type Check = (context: Context) => Promise<string>;

interface Context {
  readonly location: StoreLocation;
  /** Two connections of the same domain. */
  readonly mine: StoreClient;
  readonly other: StoreClient;
}

function expect(condition: boolean, what: string): void {
  if (!condition) throw new Error(what);
}

const pause = (ms: number) => new Promise<void>((resolve) => systemClock.after(ms, resolve));

const checks: Readonly<Record<string, Check>> = {
  async "read, write, list, remove"({ mine }) {
    await mine.write(`${ROOT}/a`, "1");
    await mine.write(`${ROOT}/b`, new Uint8Array([0, 255, 0]));
    expect(await mine.readText(`${ROOT}/a`) === "1", "a reads differently");
    expect((await mine.read(`${ROOT}/b`)).length === 3, "NULs are not kept");
    expect((await mine.list(ROOT)).length === 2, "the listing is wrong");
    await mine.remove(`${ROOT}/b`);
    expect(!await mine.exists(`${ROOT}/b`), "b is still there");
    return `domid ${await mine.readText("domid")}`;
  },

  async "errors keep their names"({ mine }) {
    const error = await mine.read(`${ROOT}/absent`).catch((thrown) => thrown);
    expect(isServerError(error, "ENOENT"), `reading nothing gives ${error}`);
    return error.code;
  },

  async "largest message"({ mine, location }) {
    const path = `${ROOT}/big`;
    const value = "x".repeat(mine.maxPayload - path.length - 1);
    // A guest's nodes are limited to 2048 bytes: a quota answer proves that it went through whole.
    const result = await mine.write(path, value).then(() => "accepted", (error) => error);
    const fits = result === "accepted" || isServerError(result, "ENOSPC", "E2BIG", "EQUOTA");
    expect(fits, `${mine.maxPayload} bytes of payload: ${result}`);
    const over = await mine.write(path, value + "x").catch((error) => error);
    expect(over instanceof ArgumentError, `one byte more: ${over}`);
    const raw = await oversized(location);
    return `${mine.maxPayload} bytes: ${isServerError(result) ? result.code : result}; ` +
      `4097 bytes past our own check: ${raw}`;
  },

  async "pipelining"({ mine }) {
    await mine.write(`${ROOT}/n`, "0");
    const depth = 200;
    const started = systemClock.now();
    const values = await Promise.all(
      Array.from({ length: depth }, () => mine.readText(`${ROOT}/n`)),
    );
    const together = systemClock.now() - started;
    expect(values.every((value) => value === "0"), "an answer went astray");
    const again = systemClock.now();
    for (let at = 0; at < 20; at++) await mine.readText(`${ROOT}/n`);
    const single = (systemClock.now() - again) / 20;
    return `${depth} at once: ${(together / depth).toFixed(3)} ms each; ` +
      `one at a time: ${single.toFixed(3)} ms`;
  },

  async "answers keep to their requests"({ mine }) {
    const count = 20;
    const rounds = 60;
    for (let at = 0; at < count; at++) await mine.write(`${ROOT}/v${at}`, `value ${at}`);
    const wrong: string[] = [];
    for (let round = 0; round < rounds; round++) {
      await Promise.all(Array.from({ length: count * 2 }, async (_, index) => {
        const at = index >> 1;
        const there = index % 2 === 0;
        const value = await mine.readOptional(`${ROOT}/${there ? "v" : "absent"}${at}`);
        const expected = there ? `value ${at}` : undefined;
        if (value !== expected) wrong.push(`round ${round}: ${expected} became ${value}`);
      }));
    }
    expect(wrong.length === 0, `${wrong.length} wrong, such as ${wrong.slice(0, 3).join("; ")}`);
    return `${rounds * count * 2} mixed answers`;
  },

  async "events between outstanding requests"({ mine, other }) {
    const node = `${ROOT}/watched`;
    await mine.write(node, "start");
    let events = 0;
    let outstanding = 0;
    let between = 0;
    const watch = await mine.watch(node, () => {
      events++;
      if (outstanding > 0) between++;
    });
    await until(() => events > 0, "the first event does not come");
    const rounds = 50;
    await Promise.all(
      Array.from({ length: rounds }, async (_, at) => {
        outstanding++;
        await Promise.all([other.write(node, String(at)), mine.readText(node)]);
        outstanding--;
      }),
    );
    await until(() => events > 1, "no event for a change");
    await watch.close();
    const before = events;
    await other.write(node, "unwatched");
    await pause(200);
    expect(events === before, "an event after the end of its watch");
    return `${events} events for ${rounds} changes, ${between} while requests were outstanding`;
  },

  async "an own change comes back as an event"({ mine }) {
    let events = 0;
    const watch = await mine.watch(`${ROOT}/own`, () => events++);
    await until(() => events === 1, "the first event does not come");
    await mine.write(`${ROOT}/own`, "1");
    const early = events;
    await until(() => events === 2, "no event for an own change");
    await watch.close();
    return early === 2 ? "event before reply" : "reply before event";
  },

  async "a watch that the store refuses"({ mine }) {
    const error = await mine.watch(`@${"x".repeat(2_500)}`, () => {}).catch((thrown) => thrown);
    const isRefused = error instanceof StoreError && !(error instanceof ConnectionError);
    expect(isRefused, `it was accepted, or failed with ${error}`);
    return error instanceof ServerError ? error.code : error.name;
  },

  async "transactions conflict and are repeated"({ mine, other }) {
    await mine.write(`${ROOT}/counter`, "0");
    let runs = 0;
    const add = (client: StoreClient) =>
      client.transaction(async (t) => {
        runs++;
        const value = Number(await t.readText(`${ROOT}/counter`));
        await t.write(`${ROOT}/counter`, String(value + 1));
      });
    for (let at = 0; at < 10; at++) await Promise.all([add(mine), add(other)]);
    const total = await mine.readText(`${ROOT}/counter`);
    expect(total === "20", `20 additions gave ${total}`);
    return `20 additions in ${runs} runs`;
  },

  async "an aborted transaction leaves nothing"({ mine }) {
    const failure = await mine.transaction(async (t) => {
      await t.write(`${ROOT}/never`, "1");
      throw new Error("on purpose");
    }).catch((error: Error) => error.message);
    expect(failure === "on purpose", `it failed with ${failure}`);
    expect(!await mine.exists(`${ROOT}/never`), "its write is there");
    return "as it should";
  },

  async "waiting for a value"({ mine, other }) {
    const waiting = mine.waitUntil(`${ROOT}/soon`, (value) => value === "now", {
      timeoutMs: PATIENCE_MS,
    });
    const writing = async () => {
      await other.write(`${ROOT}/soon`, "not yet");
      await other.write(`${ROOT}/soon`, "now");
    };
    // Together: when the store is gone both fail, and neither may be left unhandled.
    const [value] = await Promise.all([waiting, writing()]);
    return `${value}`;
  },

  async "a long listing"({ mine }) {
    const count = 200;
    for (let at = 0; at < count; at += 50) {
      await mine.transaction(async (t) => {
        for (let child = at; child < at + 50; child++) {
          await t.write(`${ROOT}/list/c${child}`, "");
        }
      });
    }
    const names = await mine.list(`${ROOT}/list`);
    expect(new Set(names).size === count, `${count} children, ${names.length} listed`);
    await mine.remove(`${ROOT}/list`);
    return `${names.join(" ").length} bytes`;
  },
};

/** What the transport makes of a message that breaks the limits, on a connection of its own. */
async function oversized(location: StoreLocation): Promise<string> {
  const transport = await openTransport(location);
  const closed = Promise.withResolvers<string>();
  transport.start({
    data: () => closed.resolve("answered"),
    closed: () => closed.resolve("connection closed"),
  });
  try {
    const payload = concat([nulTerminated(`${ROOT}/big`), "x".repeat(4097 - ROOT.length - 5)]);
    transport.send(encodeMessage({ type: Op.WRITE, reqId: 1, txId: 0, payload }));
    return await Promise.race([closed.promise, pause(2_000).then(() => "no answer in 2 s")]);
  } catch (error) {
    return error instanceof StoreError ? `refused: ${error.message}` : String(error);
  } finally {
    transport.close();
  }
}

async function until(condition: () => boolean, otherwise: string): Promise<void> {
  const end = systemClock.now() + PATIENCE_MS;
  while (!condition()) {
    if (systemClock.now() > end) throw new Error(otherwise);
    await pause(5);
  }
}

/**
 * Runs all checks and prints a line for each.
 * @returns 0 if all is as expected, else 1
 * @throws CodedError when there is no store
 */
export async function selftest(path: string | undefined): Promise<number> {
  const { store: mine, location } = await connectStore(path);
  const context: Context = { location, mine, other: (await connectStore(path)).store };
  printTo(1, `store selftest through ${context.mine.name} (${context.location.kind})\n`);
  let failed = 0;
  for (const [name, check] of Object.entries(checks)) {
    const started = systemClock.now();
    let line: string;
    try {
      line = `OK   ${name}: ${await check(context)}`;
    } catch (error) {
      failed++;
      line = `BAD  ${name}: ${error instanceof Error ? error.message : error}`;
    }
    printTo(1, `${line} [${(systemClock.now() - started).toFixed(0)} ms]\n`);
  }
  await context.mine.removeOptional(ROOT).catch(() => {});
  context.mine.close();
  context.other.close();
  const total = Object.keys(checks).length;
  printTo(1, `${total - failed} passed, ${failed} failed\n`);
  return failed === 0 ? ExitCode.Success : ExitCode.Failure;
}
