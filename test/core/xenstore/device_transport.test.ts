/** The client above a device that behaves as the kernel's does. */
import { beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../platform/clock.ts";
import type { MessageDevice } from "../../../platform/xen/message_device.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import {
  encodeMessage,
  type Message,
  MessageParser,
  nulTerminated,
  splitText,
  toText,
} from "../../../core/xenstore/codec.ts";
import { DeviceTransport } from "../../../core/xenstore/device_transport.ts";
import { ArgumentError, ServerError } from "../../../core/xenstore/errors.ts";
import { Op } from "../../../core/xenstore/operations.ts";

/**
 * The driver in small: one buffer that each `write` fills, from which a request is taken only some
 * time later; watches answered within `write`; events with rubbish for ids, at any time.
 */
class KernelDevice implements MessageDevice {
  readonly nodes = new Map<string, string>();
  /** Transactions that a resume has broken. */
  readonly resumed = new Set<number>();

  get open(): number {
    return this.#transactions.size;
  }

  readonly #buffer = new Uint8Array(4096);
  #data: (chunk: Uint8Array) => void = () => {};
  readonly requests: Message[] = [];
  writes = 0;
  /** Before 4.11, WATCH and UNWATCH were answered with id 0. */
  old = false;
  /** Transactions of this descriptor: the driver lets no other id through. */
  readonly #transactions = new Set<number>();
  #lastTransaction = 0;

  start(handlers: { data(chunk: Uint8Array): void }): void {
    this.#data = handlers.data;
  }

  write(bytes: Uint8Array): void {
    this.writes++;
    if (bytes.length > this.#buffer.length) {
      throw Object.assign(new Error("write"), { code: "E2BIG" });
    }
    this.#buffer.set(bytes);
    // What follows the first message is dropped without a word.
    const [header] = new MessageParser(4096).push(bytes);
    this.requests.push(header!);
    if (header?.type === Op.WATCH) return this.#watch(header);
    // The payload stays where it is until the ring is served.
    setTimeout(() => {
      const start = 16;
      const payload = this.#buffer.slice(start, start + header!.payload.length);
      this.#serve({ ...header!, payload });
    }, 1);
  }

  close(): void {}

  #watch(message: Message): void {
    const [path, token] = splitText(message.payload);
    if (path?.startsWith("@bad")) throw Object.assign(new Error("write"), { code: "EINVAL" });
    // The event overtakes the reply.
    this.#send(Op.WATCH_EVENT, 0xdeadbeef, 0xabcdef, nulTerminated(path!, token!));
    this.#send(Op.WATCH, this.old ? 0 : message.reqId, 0, nulTerminated("OK"));
  }

  #serve({ type, reqId, txId, payload }: Message): void {
    if (txId !== 0 && !this.#transactions.has(txId)) {
      return this.#send(Op.ERROR, reqId, txId, nulTerminated("ENOENT"));
    }
    if (type === Op.TRANSACTION_START) {
      this.#transactions.add(++this.#lastTransaction);
      return this.#send(type, reqId, 0, nulTerminated(String(this.#lastTransaction)));
    }
    if (type === Op.TRANSACTION_END) {
      // Without a transaction the driver warns, and the answer is lost.
      if (txId === 0) return;
      const end = toText(payload);
      if (end !== "T\0" && end !== "F\0") {
        return this.#send(Op.ERROR, reqId, txId, nulTerminated("EINVAL"));
      }
      this.#transactions.delete(txId);
      // After a resume nothing can be committed that was begun before.
      if (end === "T\0" && this.resumed.delete(txId)) {
        return this.#send(Op.ERROR, reqId, txId, nulTerminated("EAGAIN"));
      }
    }
    if (type === Op.UNWATCH && this.old) reqId = 0;
    const value = this.nodes.get(toText(payload).replace(/\0[^]*$/, ""));
    if (type === Op.READ && value !== undefined) {
      this.#send(type, reqId, txId, new TextEncoder().encode(value));
    } else if (type === Op.READ) this.#send(Op.ERROR, reqId, txId, nulTerminated("ENOENT"));
    else this.#send(type, reqId, txId, nulTerminated("OK"));
  }

  #send(type: number, reqId: number, txId: number, payload: Uint8Array): void {
    this.#data(encodeMessage({ type, reqId, txId, payload }));
  }
}

describe("the kernel device", () => {
  let device: KernelDevice;
  let client: StoreClient;

  beforeEach(async () => {
    device = new KernelDevice();
    client = await StoreClient.connect({
      clock: systemClock,
      reconnect: true,
      connect: async () => new DeviceTransport(device, "/dev/xen/xenbus"),
    });
  });

  test("many requests at once: each gets its own answer", async () => {
    for (let at = 0; at < 30; at++) device.nodes.set(`/v${at}`, `value ${at}`);
    const answers = await Promise.all(
      Array.from(
        { length: 60 },
        (_, at) => client.readOptional(`/${at % 2 ? "x" : "v"}${at >> 1}`),
      ),
    );
    expect(answers).toEqual(
      Array.from({ length: 60 }, (_, at) => at % 2 ? undefined : `value ${at >> 1}`),
    );
    expect(device.writes).toBe(60);
  });

  test("an answer that nobody waits for any more still holds up the next request", async () => {
    device.nodes.set("/a", "A").set("/b", "B");
    const abort = new AbortController();
    const given = client.read("/a", { signal: abort.signal });
    abort.abort(new Error("enough"));
    await expect(given).rejects.toThrow("enough");
    expect(await client.readText("/b")).toBe("B");
  });

  test("a watch that the store refuses is a failing write, and the client goes on", async () => {
    const error = await client.watch("@bad", () => {}).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ServerError);
    expect(error).toMatchObject({ code: "EINVAL", operation: "WATCH", path: "@bad" });
    device.nodes.set("/a", "A");
    expect(await client.readText("/a")).toBe("A");
  });

  test("an event before its acknowledgement, with rubbish for ids", async () => {
    const events: string[] = [];
    await client.watch("/a", (path) => events.push(path));
    expect(events).toEqual(["/a"]);
  });

  test("a kernel before 4.11: watches come and go, and what follows is answered", async () => {
    device.old = true;
    device.nodes.set("/a", "A");
    const events: string[] = [];
    const watch = await client.watch("/a", (path) => events.push(path));
    expect(await client.readText("/a")).toBe("A");
    await watch.close();
    expect(await client.readText("/a")).toBe("A");
    expect(await client.waitUntil("/a", (value) => value === "A")).toBe("A");
    expect(events).toEqual(["/a"]);
  });

  test("transactions side by side; one broken by a resume is done again", async () => {
    let runs = 0;
    const both = await Promise.all(["/a", "/b"].map((path) =>
      client.transaction(async (t) => {
        if (++runs === 1) device.resumed.add(t.id);
        await t.write(path, "1");
        return t.id;
      })
    ));
    expect(runs).toBe(3);
    expect(new Set(both).size).toBe(2);
    await client.transaction(() => Promise.reject(new Error("mine"))).catch(() => {});
    await client.readOptional("/barrier");
    expect(device.open).toBe(0);
  });

  test("never what the driver takes ill", async () => {
    const watch = await client.watch("/a", () => {});
    await client.transaction((t) => t.write("/a", "1"));
    await client.transaction(() => Promise.reject(new Error("mine"))).catch(() => {});
    await watch.close();
    await client.readOptional("/barrier");
    client.close();
    expect(device.requests.map(({ type }) => type)).not.toContain(Op.RESET_WATCHES);
    for (const { type, txId, payload } of device.requests) {
      if (type === Op.TRANSACTION_END) expect(txId).toBeGreaterThan(0);
      if (type === Op.WATCH) expect(splitText(payload)).toHaveLength(2);
    }
    expect(device.requests.filter(({ type }) => type === Op.TRANSACTION_END)).toHaveLength(2);
  });

  test("4080 bytes, and one more", async () => {
    await client.write("/a", "x".repeat(4080 - 3));
    const error = await client.write("/a", "x".repeat(4080 - 2)).catch((thrown) => thrown);
    expect(error).toBeInstanceOf(ArgumentError);
    expect(error.message).toMatch(/4081 bytes; \/dev\/xen\/xenbus carries at most 4080/);
  });

  test("no barriers, and no way back", () => {
    expect(client.ordered).toBeFalse();
    expect(new DeviceTransport(device, "x").reconnects).toBeFalse();
  });
});
