/** Clients that do not read: what waits for them is bounded, and nobody else is kept waiting. */
import { expect, test } from "bun:test";
import { once } from "node:events";
import * as net from "node:net";
import { encodeMessage, MessageParser, toBytes, toText } from "../../../core/xenstore/codec.ts";
import { Op } from "../../../core/xenstore/operations.ts";
import { BACKLOG_MAX } from "../../../simulation/xenstored/connection.ts";
import { RawConnection } from "../../conformance/raw_connection.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../../support/embedded_store.ts";

/** Connects, asks for something, and reads nothing. */
async function lazyClient(store: EmbeddedStore, op: number, payload: string): Promise<net.Socket> {
  const socket = net.connect(store.socketPath(0));
  socket.pause();
  await once(socket, "connect");
  socket.write(encodeMessage({ type: op, reqId: 1, txId: 0, payload: toBytes(payload) }));
  return socket;
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error("it never came to be");
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

/** A path of 2000 bytes; different for each number. */
const longPath = (at: number) => `/w/${String(at).padStart(1997, "0")}`;

test("who does not read is cut off in the end; others are served all the while", async () => {
  const store = await startEmbeddedStore([]);
  const lazy = await lazyClient(store, Op.WATCH, "/w\0t\0");
  const busy = await RawConnection.open(store.socketPath(0));
  await until(() => store.server.used(0, "watches") === 1);
  let written = 0;
  while (store.server.used(0, "watches") === 1 && written < 2 * BACKLOG_MAX) {
    expect(await busy.ask(Op.WRITE, `${longPath(written)}\0`)).toBe("OK");
    written += 2000;
  }
  expect(store.server.used(0, "watches")).toBe(0);
  // Not before the bound: what waits in the kernel comes on top.
  expect(written).toBeGreaterThan(BACKLOG_MAX);
  expect(await busy.ask(Op.READ, "/tool\0")).toBe("");
  busy.close();
  lazy.destroy();
  await store.stop();
}, 20_000);

test.each([[true], [false]])("equal events that wait are sent once: %p", async (coalesce) => {
  const store = await startEmbeddedStore([], { coalesce });
  const lazy = await lazyClient(store, Op.WATCH, "/w\0t\0");
  const busy = await RawConnection.open(store.socketPath(0));
  await until(() => store.server.used(0, "watches") === 1);
  // First the kernel's buffer is filled: what is in it cannot be taken back.
  for (let at = 0; at < 500; at++) await busy.ask(Op.WRITE, `${longPath(at)}\0`);
  for (let at = 0; at < 100; at++) await busy.ask(Op.WRITE, `/w/same\0${at}`);
  await busy.ask(Op.WRITE, "/w/last\0");
  const events: string[] = [];
  const parser = new MessageParser(4096);
  lazy.on("data", (chunk) => {
    for (const message of parser.push(chunk as Uint8Array)) {
      if (message.type === Op.WATCH_EVENT) events.push(toText(message.payload).split("\0")[0]!);
    }
  });
  lazy.resume();
  await until(() => events.includes("/w/last"));
  expect(events.filter((path) => path.startsWith("/w/0"))).toHaveLength(500);
  expect(events.filter((path) => path === "/w/same")).toHaveLength(coalesce ? 1 : 100);
  busy.close();
  lazy.destroy();
  await store.stop();
}, 20_000);
