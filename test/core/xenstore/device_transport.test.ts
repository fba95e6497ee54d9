/** The client above a device that behaves as the kernel's does. */
import { beforeEach, describe, expect, test } from "bun:test";
import { systemClock } from "../../../core/platform/clock.ts";
import type { MessageDevice } from "../../../core/platform/message_device.ts";
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
  readonly #buffer = new Uint8Array(4096);
  #data: (chunk: Uint8Array) => void = () => {};
  writes = 0;

  start(handlers: { data(chunk: Uint8Array): void }): void {
    this.#data = handlers.data;
  }

  write(bytes: Uint8Array): void {
    this.writes++;
    if (bytes.length > this.#buffer.length) {
      throw Object.assign(new Error("write"), { code: "E2BIG" });
    }
    this.#buffer.set(bytes);
    const [header] = new MessageParser(4096).push(bytes);
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
    this.#send(Op.WATCH, message.reqId, 0, nulTerminated("OK"));
  }

  #serve({ type, reqId, txId, payload }: Message): void {
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
