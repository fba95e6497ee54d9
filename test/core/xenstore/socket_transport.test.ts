/** How messages are put into a stream. */
import { beforeEach, describe, expect, test } from "bun:test";
import type { ByteStream, ByteStreamHandlers } from "../../../platform/types.ts";
import { SocketTransport } from "../../../core/xenstore/socket_transport.ts";
import { settle } from "../../support/fake_clock.ts";

/** A stream whose peer takes bytes when told to. */
class FakeStream implements ByteStream {
  readonly writes: Uint8Array[] = [];
  queued = 0;
  full = false;
  closed = false;
  gatherings = 0;
  handlers: ByteStreamHandlers | null = null;

  start(handlers: ByteStreamHandlers): void {
    this.handlers = handlers;
  }

  write(bytes: Uint8Array): void {
    this.writes.push(bytes);
    if (this.full) this.queued += bytes.length;
  }

  drain(): void {
    this.queued = 0;
    this.handlers?.drained?.();
  }

  gather(): void {
    this.gatherings++;
  }

  close(): void {
    this.closed = true;
  }
}

describe("a socket transport", () => {
  let stream: FakeStream;
  let transport: SocketTransport;

  beforeEach(() => {
    stream = new FakeStream();
    transport = new SocketTransport(stream, "/s");
    transport.start({ data: () => {}, closed: () => {} });
  });

  test("what is sent in one turn is one write, in order", async () => {
    for (let at = 0; at < 3; at++) transport.send(Uint8Array.of(at, at));
    expect(stream.writes).toHaveLength(0);
    await settle();
    expect(stream.writes.map((bytes) => [...bytes])).toEqual([[0, 0, 1, 1, 2, 2]]);
    transport.send(Uint8Array.of(9));
    await settle();
    expect(stream.writes).toHaveLength(2);
  });

  test("while the peer does not take it, nothing is added; then all follows, whole messages", async () => {
    stream.full = true;
    transport.send(new Uint8Array(10).fill(1));
    await settle();
    for (let at = 0; at < 40; at++) transport.send(new Uint8Array(4112).fill(2));
    await settle();
    expect(stream.writes).toHaveLength(1);
    stream.drain();
    // One batch fills it again.
    expect(stream.writes).toHaveLength(2);
    stream.full = false;
    stream.drain();
    const sizes = stream.writes.slice(1).map((bytes) => bytes.length);
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBe(40 * 4112);
    for (const size of sizes) {
      expect(size % 4112).toBe(0);
      expect(size).toBeLessThanOrEqual(64 * 1024);
    }
  });

  test("one that is longer than a batch goes alone", async () => {
    transport.send(new Uint8Array(100_000));
    transport.send(new Uint8Array(1));
    await settle();
    expect(stream.writes.map((bytes) => bytes.length)).toEqual([100_000, 1]);
  });

  test("that replies may gather is the stream's affair", () => {
    transport.gather();
    expect(stream.gatherings).toBe(1);
  });

  test("what was sent before the close goes out before it", async () => {
    transport.send(Uint8Array.of(1));
    transport.close();
    expect(stream.writes).toHaveLength(1);
    expect(stream.closed).toBeTrue();
    await settle();
    expect(stream.writes).toHaveLength(1);
  });
});
