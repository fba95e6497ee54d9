/**
 * What a xenstore server does, asserted byte by byte. The same assertions run on the embedded server
 * and on Debian's C daemon (Xen 4.17); where a specification says otherwise, reality counts, and a
 * comment says so.
 */
import { afterAll, afterEach, beforeAll, describe } from "bun:test";
import type { Bench, ServerUnderTest } from "./bench.ts";
import { domains } from "./domains.ts";
import { framing } from "./framing.ts";
import { hearers } from "./hearers.ts";
import { nodes } from "./nodes.ts";
import { permissions } from "./permissions.ts";
import { quotas } from "./quotas.ts";
import { RawConnection } from "./raw_connection.ts";
import { transactions } from "./transactions.ts";
import { watches } from "./watches.ts";

/** Registers all cases for one server. */
export function conformance(name: string, start: () => Promise<ServerUnderTest>): void {
  describe(`conformance of ${name}`, () => {
    let server: ServerUnderTest;
    let dom0: RawConnection;
    const opened: RawConnection[] = [];
    let directories = 0;
    let lastDomid = 100;

    const connect = async (domid: number) =>
      server.connect === undefined
        ? await RawConnection.open(server.socketPath(domid))
        : RawConnection.over(server.connect(domid));

    const bench: Bench = {
      get server() {
        return server;
      },
      async open(domid = 0) {
        const connection = await connect(domid);
        opened.push(connection);
        return connection;
      },
      async directory() {
        const path = `/test${++directories}`;
        await dom0.ask(11, `${path}\0`);
        return path;
      },
      async domain() {
        const domid = ++lastDomid;
        await server.introduce(domid);
        await dom0.ask(11, `/local/domain/${domid}\0`);
        await dom0.ask(14, `/local/domain/${domid}\0n${domid}\0`);
        return domid;
      },
    };

    beforeAll(async () => {
      server = await start();
      dom0 = await connect(0);
    });

    afterEach(() => {
      // Also since a transaction left open makes the real server slow down all guests.
      for (const connection of opened.splice(0)) connection.close();
    });

    afterAll(async () => {
      dom0.close();
      await server.stop();
    });

    framing(bench);
    nodes(bench);
    permissions(bench);
    transactions(bench);
    watches(bench);
    hearers(bench);
    domains(bench);
    quotas(bench);
  });
}
