/** Sockets of domains: when they come and go. */
import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Op } from "../../../core/xenstore/operations.ts";
import { listenStore, socketPath } from "../../../simulation/xenstored/listen.ts";
import { streamPair } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";
import { RawConnection } from "../../conformance/raw_connection.ts";

function connect(server: XenstoreServer): RawConnection {
  const [client, served] = streamPair();
  server.accept(served, 0);
  return RawConnection.over(client);
}

test("INTRODUCE and @introduceDomain wait for the socket, and later requests for INTRODUCE", async () => {
  const server = new XenstoreServer();
  const made = Promise.withResolvers<void>();
  server.onDomains({ introduced: () => made.promise, released: () => {} });
  const [c, other] = [connect(server), connect(server)];
  await c.ask(Op.WATCH, "@introduceDomain\0t\0");
  await c.events();
  c.order.length = 0;
  c.send(Op.INTRODUCE, "7\0" + "1\0" + "1\0");
  c.send(Op.READ, "/tool\0");
  // Others go on.
  expect(await other.ask(Op.IS_DOMAIN_INTRODUCED, "7\0")).toBe("T");
  await new Promise((resolve) => setTimeout(resolve, 20));
  expect(c.order).toEqual([]);
  made.resolve();
  expect(await c.ask(Op.READ, "/tool\0")).toBe("");
  expect(c.order).toEqual(["event @introduceDomain t", "INTRODUCE OK", "READ ", "READ "]);
});

test("a domain whose socket cannot be made: EIO, and the connection goes on", async () => {
  const server = new XenstoreServer();
  server.onDomains({
    introduced: () => Promise.reject(new Error("no room")),
    released: () => {},
  });
  const c = connect(server);
  expect(await c.ask(Op.INTRODUCE, "7\0" + "1\0" + "1\0")).toBe("!EIO");
  expect(await c.ask(Op.IS_DOMAIN_INTRODUCED, "7\0")).toBe("F");
  expect(await c.ask(Op.READ, "/tool\0")).toBe("");
});

test("a domain that goes and comes at once has a socket in the end", async () => {
  const directory = await mkdtemp(join(tmpdir(), "xdevd-listen-"));
  const server = new XenstoreServer();
  const listening = await listenStore(server, directory);
  await listening.introduce(7);
  for (let times = 0; times < 5; times++) {
    const gone = server.destroy(7);
    const back = server.introduce(7);
    await Promise.all([gone, back]);
    const guest = await RawConnection.open(socketPath(directory, 7));
    expect(await guest.ask(Op.GET_DOMAIN_PATH, "7\0")).toBe("/local/domain/7");
    guest.close();
  }
  await server.destroy(7);
  expect(existsSync(socketPath(directory, 7))).toBeFalse();
  await listening.close();
  expect(readdirSync(directory)).toEqual([]);
  await rm(directory, { recursive: true });
});

test("a start that fails leaves no socket behind", async () => {
  const directory = await mkdtemp(join(tmpdir(), "xdevd-listen-"));
  const server = new XenstoreServer();
  await server.introduce(7);
  // No socket, and in its place.
  mkdirSync(socketPath(directory, 7));
  await expect(listenStore(server, directory)).rejects.toThrow();
  expect(readdirSync(directory)).toEqual(["domain-7.sock"]);
  await rm(directory, { recursive: true });
});
