/** The kit for servers, on the simulated pair: memory, events, their end. */
import { afterEach, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { BackRing } from "../../contract/v2/ring.ts";
import { systemClock } from "../../platform/clock.ts";
import { EventBudget } from "../../platform/xen/event_budget.ts";
import { openConnection } from "../../platform/xen/connection.ts";
import { SimulatedGuest, simulatedXen } from "../../simulation/xen/simulated_xen.ts";
import { FakeClock } from "../support/fake_clock.ts";

const directories: string[] = [];
const ends: (() => void)[] = [];

afterEach(() => {
  for (const end of ends.splice(0)) end();
  for (const directory of directories.splice(0)) rmSync(directory, { recursive: true });
});

const MANIFEST = {
  pages: [{ references: ["ring-ref"], access: "write", clearOnUnmap: 4 }],
} as const;

async function pair() {
  const directory = mkdtempSync("/tmp/xdevd-pair-");
  directories.push(directory);
  const guest = new SimulatedGuest(directory, 7);
  const devices = simulatedXen(directory);
  ends.push(() => guest.close(), () => devices.close());
  const grant = guest.grant(1);
  const port = await guest.openPort();
  const open = (references: readonly number[] = grant.references, number = port.number) =>
    openConnection(
      devices,
      MANIFEST,
      { guest: 7, references: [references], port: number, nodes: {} },
      systemClock,
    );
  return { guest, devices, grant, port, open };
}

test("what the guest writes is read, what is written the guest reads, and events go both ways", async () => {
  const { grant, port, open } = await pair();
  const { connection, end } = open();
  const [memory] = connection.memory;
  // Xen tells of a port that was just bound once, whatever has come before.
  expect(await connection.events.wait()).toBe(true);
  grant.memory.write32(0, 0x01020304);
  grant.memory.write(8, Uint8Array.of(9, 8, 7));
  port.notify();
  expect(await connection.events.wait()).toBe(true);
  expect(memory!.read32(0)).toBe(0x01020304);
  expect(memory!.read8(0)).toBe(4);
  expect(memory!.read16(2)).toBe(0x0102);
  expect([...memory!.read(8, 3)]).toEqual([9, 8, 7]);
  memory!.write8(4, 2);
  connection.events.notify();
  await port.wait();
  expect(grant.memory.read8(4)).toBe(2);
  end();
});

test("the end: a wait returns, memory is an error and no crash, its byte is cleared, the guest is told", async () => {
  const { grant, port, open } = await pair();
  const { connection, end } = open();
  const [memory] = connection.memory;
  await connection.events.wait();
  memory!.write8(4, 1);
  const waiting = connection.events.wait();
  end();
  expect(await waiting).toBe(false);
  expect(await connection.events.wait()).toBe(false);
  expect(() => memory!.read8(0)).toThrow("not mapped any more");
  expect(() => memory!.write(0, new Uint8Array(4))).toThrow("not mapped any more");
  expect(() => connection.map(grant.references, "read")).toThrow("has ended");
  connection.events.notify();
  await port.wait();
  expect(grant.memory.read8(4)).toBe(0);
  end();
});

test("closing wakes a wait once, and the guest is still heard until the end", async () => {
  const { port, open } = await pair();
  const { connection, close, end } = open();
  await connection.events.wait();
  const waiting = connection.events.wait();
  close("its toolstack wants it closed");
  expect(await waiting).toBe(true);
  expect(connection.closing.aborted).toBe(true);
  const next = connection.events.wait();
  port.notify();
  expect(await next).toBe(true);
  end();
});

test("what was not granted is refused, and so is a port of nobody; nothing is left of it", async () => {
  const { guest, grant, open, port } = await pair();
  expect(() => open([4000])).toThrow("not granted");
  expect(() => open([])).toThrow("expected 1 to 256");
  expect(() => open([2 ** 32])).toThrow("each 0 to 2^32-1");
  expect(() => open(grant.references, port.number + 1)).toThrow("no port");
  const { connection, end } = open();
  const readOnly = guest.grant(2, "read");
  expect(() => connection.map(readOnly.references, "write")).toThrow("reading only");
  const more = connection.map(readOnly.references, "read");
  expect(more.size).toBe(8192);
  for (const write of [() => more.write8(0, 1), () => more.write(0, new Uint8Array(1))]) {
    expect(write).toThrow("can only be read");
  }
  connection.unmap(more);
  expect(() => more.read8(0)).toThrow("not mapped");
  readOnly.memory.write(10, Uint8Array.of(5));
  expect([...connection.copyFrom(readOnly.references[0]!, 10, 1)]).toEqual([5]);
  expect(() => connection.copyFrom(readOnly.references[0]!, 4090, 10)).toThrow("4096");
  connection.copyTo(grant.references[0]!, 20, Uint8Array.of(6));
  expect(grant.memory.read8(20)).toBe(6);
  end();
});

test("offsets outside, and odd ones, are refused", async () => {
  const { open } = await pair();
  const { connection, end } = open();
  const [memory] = connection.memory;
  for (const [offset, length] of [[-1, 1], [4096, 1], [4095, 2], [0.5, 1], [0, -1], [0, 1e9]]) {
    expect(() => memory!.read(offset!, length!)).toThrow(RangeError);
  }
  expect(() => memory!.read32(2)).toThrow(RangeError);
  expect(() => memory!.write16(4095, 1)).toThrow(RangeError);
  expect(() => memory!.read8(Number.NaN)).toThrow(RangeError);
  end();
});

test("a guest that rings without end is heard at its rate", () => {
  const clock = new FakeClock();
  const budget = new EventBudget(1000, clock);
  let heard = 0;
  let waited = 0;
  while (waited < 10_000) {
    const pause = budget.take();
    heard++;
    waited += pause;
    clock.skip(pause);
  }
  // Ten seconds at 1000 a second, and what may come at once.
  expect(heard).toBeLessThan(10_200);
  expect(heard).toBeGreaterThan(5_000);
});

test("a ring: requests in order, responses shown by push, and the guest told when it wants to be", async () => {
  const { grant, open } = await pair();
  const { connection, end } = open();
  const back = new BackRing(connection.memory[0]!, { requestBytes: 8, responseBytes: 12 });
  const front = grant.memory;
  expect(back.size).toBe(256);
  expect(back.take()).toBeNull();
  expect(back.hasMore()).toBe(false);
  expect(front.read32(4)).toBe(1);
  front.write(64, Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8));
  front.write(64 + 12, Uint8Array.of(9));
  front.write32(12, 1);
  front.write32(0, 2);
  expect(back.hasMore()).toBe(true);
  expect([...back.take()!]).toEqual([1, 2, 3, 4, 5, 6, 7, 8]);
  expect(back.take()![0]).toBe(9);
  expect(back.pending).toBe(2);
  back.respond(Uint8Array.of(11));
  expect(front.read32(8)).toBe(0);
  expect(back.push()).toBe(true);
  expect(front.read32(8)).toBe(1);
  back.respond(Uint8Array.of(12));
  // The guest has asked for an event with the first alone.
  expect(back.push()).toBe(false);
  expect(() => back.respond(new Uint8Array(1))).toThrow("no request");
  end();
});

test("a ring's guest that says more than the ring has is found out, wherever it changes its mind", async () => {
  const { grant, open } = await pair();
  const { connection, end } = open();
  const back = new BackRing(connection.memory[0]!, { requestBytes: 64, responseBytes: 64 });
  const front = grant.memory;
  expect(back.size).toBe(32);
  for (const index of [33, 0xffff_ffff, 0x8000_0000, 64]) {
    front.write32(0, index);
    expect(() => back.take()).toThrow("it has room for 32");
  }
  front.write32(0, 32);
  for (let taken = 0; taken < 32; taken++) expect(back.take()).not.toBeNull();
  expect(back.take()).toBeNull();
  // Backwards: what was taken was taken.
  front.write32(0, 31);
  expect(() => back.take()).toThrow("it has room for 32");
  front.write32(0, 33);
  expect(() => back.take()).toThrow("it has room for 32");
  // Its other indices are its own loss.
  front.write32(8, 77);
  front.write32(12, 0xffff_fff0);
  for (let answered = 0; answered < 32; answered++) back.respond(new Uint8Array(64));
  back.push();
  expect(front.read32(8)).toBe(32);
  end();
});

test("a ring goes round, over the end of its indices as well", async () => {
  const { grant, open } = await pair();
  const front = grant.memory;
  front.write32(8, 0xffff_fffe);
  front.write32(0, 0xffff_fffe);
  const { connection, end } = open();
  const back = new BackRing(connection.memory[0]!, { requestBytes: 16, responseBytes: 16 });
  for (let round = 0; round < 600; round++) {
    const index = (0xffff_fffe + round) >>> 0;
    front.write32(64 + (index & (back.size - 1)) * 16, round);
    front.write32(0, (index + 1) >>> 0);
    const request = back.take()!;
    expect(new DataView(request.buffer).getUint32(0, true)).toBe(round);
    back.respond(request);
    back.push();
    expect(front.read32(8)).toBe((index + 1) >>> 0);
  }
  end();
});
