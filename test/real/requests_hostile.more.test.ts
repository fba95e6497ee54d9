/** A driver domain that writes what it may write, and more than anybody expects, to a toolstack's harm. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { DRIVER_NODES } from "../../core/requests/protocol/nodes.ts";
import { presencePath, requestPath } from "../../core/requests/protocol/paths.ts";
import { diskRequest } from "../../core/requests/toolstack/plan.ts";
import { attachByRequest } from "../../core/requests/toolstack/request.ts";
import { requestDaemon, setUpRequests } from "../../core/requests/toolstack/setup.ts";
import { createDomainHome } from "../../simulation/domains.ts";
import { parseDisk } from "../../core/toolstack/specs/disk/parse.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { Op } from "../../core/xenstore/operations.ts";
import { RawConnection } from "../conformance/raw_connection.ts";
import { runProgram } from "../support/daemon_process.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const ID = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: 51712 };

/** More than any limit of a reader's; all of a node's names are to fit in a guest's node. */
const MANY = 301;

if (requireReal("requests to a hostile driver domain", { packages: xenstoredPackages })) {
  describe("a hostile driver domain", () => {
    let store: RealXenstored;
    let dom0: StoreClient;
    let driver: StoreClient;
    const request = requestPath(ID);
    const backend = `/local/domain/${DRIVER}/backend/vbd/${GUEST}/51712`;

    const xdevd = (...args: string[]) =>
      runProgram([...args, "--store", store.socketPath(0)], {}, 60_000);
    const attach = (timeout: number) =>
      xdevd(
        ...["attach", "disk", String(GUEST), `vdev=xvda,backend=${DRIVER},target=/image`],
        ...["--via", "request", "--timeout", String(timeout)],
      );

    beforeAll(async () => {
      store = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(store.socketPath(0));
      driver = await connectTo(store.socketPath(DRIVER));
    });

    beforeEach(async () => {
      for (const domid of [DRIVER, GUEST]) {
        await dom0.removeOptional(`/local/domain/${domid}`);
        await createDomainHome(dom0, { domid, driverDomain: domid === DRIVER });
      }
      await setUpRequests(dom0, DRIVER);
      await driver.write(presencePath(DRIVER), "1 boot");
    });

    afterEach(async () => {
      for (const path of ["/hotplug", `/libxl/${GUEST}`]) await dom0.removeOptional(path);
    });

    afterAll(async () => {
      dom0.close();
      driver.close();
      await store.stop();
    });

    async function spread(path: string): Promise<void> {
      for (let at = 0; at < MANY; at++) await driver.write(`${path}/${at.toString(36)}`, "x");
    }

    async function nothingIsLeft(): Promise<void> {
      expect(await dom0.exists(request)).toBe(false);
      expect(await dom0.exists(`/libxl/${GUEST}/device/vbd/51712`)).toBe(false);
      expect(await dom0.exists(`/local/domain/${GUEST}/device/vbd/51712`)).toBe(false);
    }

    test("one that does nothing: an attach takes its time, and a little", async () => {
      const start = performance.now();
      const { code, stderr } = await attach(3);
      expect(code).toBe(12);
      expect(stderr).toMatch(
        /took up the request for it within 3 s: .*; it did not let go of it either/,
      );
      expect(performance.now() - start).toBeLessThan(20_000);
      await nothingIsLeft();
    }, 70_000);

    test("hundreds of nodes below each of its own", async () => {
      const spreading = (async () => {
        for (let tries = 0; tries < 1_000; tries++) {
          if (await driver.exists(`${request}/state`).catch(() => false)) break;
          await new Promise((resolve) => setTimeout(resolve, 10));
        }
        // Its quota ends that some time.
        for (const node of DRIVER_NODES) await spread(`${request}/${node}`);
      })();
      spreading.catch(() => {});
      // It is at work while the request is waited for, and when that is cleaned up.
      const { code, stderr } = await attach(4);
      await expect(spreading).rejects.toThrow(/quota/);
      expect({ code, stderr }).toEqual({ code: 12, stderr: expect.stringMatching(/within 4 s/) });
      await nothingIsLeft();
    }, 70_000);

    test.each([[[]], [["--force"]]])("detach %p of such a request, and the list", async (force) => {
      await leftRequest();
      await spread(`${request}/error`);
      await spread(`${request}/hotplug-status`);
      const list = await xdevd("request", "list");
      expect(list).toMatchObject({ code: 0, stdout: expect.stringMatching(/xvda/) });
      const start = performance.now();
      const detach = await xdevd("block-detach", String(GUEST), "xvda", "--timeout", "3", ...force);
      expect(detach.code).toBe(12);
      expect(detach.stderr).toMatch(/did not let go of it; its nodes were removed all the same/);
      expect(performance.now() - start).toBeLessThan(25_000);
      await nothingIsLeft();
    }, 100_000);

    /** A request that nobody waits for: its command was killed. */
    async function leftRequest(): Promise<void> {
      const wanted = diskRequest(
        parseDisk(["format=raw,vdev=xvda,access=rw,target=/image"]),
        { frontendDomid: GUEST, backendDomid: DRIVER, devid: 51712 },
      );
      const attachment = new AbortController();
      const waiting = attachByRequest(dom0, wanted, { signal: attachment.signal });
      waiting.catch(() => {});
      await dom0.waitUntil(`${request}/state`, (state) => state === "new");
      attachment.abort(new Error("killed"));
      await waiting.catch(() => {});
    }

    test("a backend directory in its own tree, with hundreds of nodes: the stock way", async () => {
      const attaching = xdevd(
        ...["attach", "disk", String(GUEST), `vdev=xvda,backend=${DRIVER},target=/image`],
        ...["--timeout", "4"],
      );
      for (let tries = 0; tries < 1_000; tries++) {
        if (await driver.exists(`${backend}/state`).catch(() => false)) break;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      await spread(`${backend}/hotplug-status`).catch(() => {});
      const { code, stderr } = await attaching;
      expect({ code, stderr }).toEqual({ code: 12, stderr: expect.stringMatching(/within 4 s/) });
      expect(await dom0.exists(backend)).toBe(false);
      await nothingIsLeft();
    }, 70_000);

    test("permissions that make no sense do not keep it from being set up", async () => {
      const raw = await RawConnection.open(store.socketPath(DRIVER));
      const own = `/local/domain/${DRIVER}/backend/own`;
      expect(await raw.ask(Op.WRITE, `${own}\0`)).toBe("OK");
      expect(await raw.ask(Op.SET_PERMS, `${own}\0n${DRIVER}\0r-1\0r99999\0`)).toBe("OK");
      raw.close();
      await setUpRequests(dom0, DRIVER);
      const { code, stdout } = await xdevd("store", "ls", "-p", own.slice(0, -4));
      expect({ code, stdout }).toMatchObject({
        code: 0,
        stdout: expect.stringMatching(/r-1,r99999/),
      });
    });

    test("its presence has a tree below it: the list does not look there", async () => {
      for (let at = 0; at < 100; at++) {
        await driver.write(`${presencePath(DRIVER)}/${at}/1/1/state`, "new");
      }
      expect(await requestDaemon(dom0, DRIVER)).toBe("1 boot");
      const { code, stdout } = await xdevd("request", "list", "--json");
      expect({ code, stdout }).toEqual({ code: 0, stdout: "[]\n" });
    }, 70_000);
  });
}
