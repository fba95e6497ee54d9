/** Devices by request, on the real xenstored: each side with its own domain's rights, and no more. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Daemon } from "../../core/daemon/daemon.ts";
import { DirectoryKeeper } from "../../core/daemon/capabilities/directories.ts";
import type { JournalEntry } from "../../core/daemon/journal/entry.ts";
import { type JournalStore, MemoryJournal } from "../../core/daemon/journal/memory.ts";
import { systemParts } from "../../machine/system_parts.ts";
import { DEFAULT_LIMITS } from "../../core/hotplug/run_script.ts";
import { callLimits, DEFAULT_TIMES } from "../../core/xen/times.ts";
import { configureLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { requestPath } from "../../core/requests/protocol/paths.ts";
import { createDomainHome } from "../../simulation/domains.ts";
import { SimulatedFrontend } from "../../simulation/frontend.ts";
import { SimulatedKernel } from "../../simulation/kernel.ts";
import { parseDisk } from "../../core/toolstack/specs/disk/parse.ts";
import { parseNic } from "../../core/toolstack/specs/nic/parse.ts";
import { diskRequest, nicRequest } from "../../core/requests/toolstack/plan.ts";
import {
  attachByRequest,
  awaitRequest,
  detachByRequest,
  releaseRequest,
} from "../../core/requests/toolstack/request.ts";
import { listRequests, requestDaemon, setUpRequests } from "../../core/requests/toolstack/setup.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { PluginRegistry, readyHost } from "../../core/daemon/plugin/host.ts";
import { until } from "../support/daemon_process.ts";
import { Recorder } from "../support/simulated_domain.ts";
import { connectTo } from "../support/store_connection.ts";
import { requireReal, xenstoredPackages } from "./requirements.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

const DRIVER = 1;
const GUEST = 7;
const PLACE = { frontendDomid: GUEST, backendDomid: DRIVER };
const WAITS = { waiting: 8_000, detaching: 8_000, forcing: 2_000 };

if (requireReal("devices by request", { packages: xenstoredPackages })) {
  describe("a request", () => {
    let server: RealXenstored;
    let dom0: StoreClient;
    let directory: string;
    let image: string;
    let log: string[];
    let recorder: Recorder;
    let journal: MemoryJournal;
    let kernel: SimulatedKernel;
    let kernelStore: StoreClient;
    let guest: Guest;
    let daemon: RunningDaemon | null = null;

    const disk = () =>
      diskRequest(parseDisk([image, "raw", "xvda", "w"]), { ...PLACE, devid: 51712 });

    beforeAll(async () => {
      server = await startXenstored({ domains: [DRIVER, GUEST] });
      dom0 = await connectTo(server.socketPath(0));
      directory = await mkdtemp(join(tmpdir(), "xdevd-requests-"));
      image = join(directory, "image");
      await writeFile(image, "x".repeat(4096));
    });

    afterAll(async () => {
      dom0.close();
      await server.stop();
      await rm(directory, { recursive: true });
    });

    beforeEach(async () => {
      log = [];
      configureLog("debug", (line) => log.push(line));
      for (const path of ["/hotplug", "/libxl"]) await dom0.removeOptional(path);
      await createDomainHome(dom0, { domid: DRIVER, name: "driver", driverDomain: true });
      await createDomainHome(dom0, { domid: GUEST, name: "guest" });
      recorder = new Recorder();
      journal = new MemoryJournal();
      kernelStore = await connectTo(server.socketPath(DRIVER));
      kernel = new SimulatedKernel(kernelStore, DRIVER, systemClock);
      await kernel.start();
      guest = await Guest.start(server);
    });

    afterEach(async () => {
      await daemon?.stop();
      daemon = null;
      await guest.stop();
      await kernel.stop();
      kernelStore.close();
    });

    /** @param dies at which of its transactions the daemon is killed, and whether that has effect */
    async function startDaemon(dies?: Death): Promise<RunningDaemon> {
      return daemon = await RunningDaemon.start(server, recorder, journal, dies);
    }

    /** All there is, but for what daemons write for themselves. */
    async function everything(): Promise<Record<string, string>> {
      const found: Record<string, string> = {};
      const walk = async (path: string): Promise<void> => {
        for (const name of await dom0.listOptional(path)) {
          const below = path === "/" ? `/${name}` : `${path}/${name}`;
          if (below === `/local/domain/${DRIVER}/data` || below === "/tool") continue;
          found[below] = `${await dom0.readOptional(below)} ${
            JSON.stringify(await dom0.getPermissions(below))
          }`;
          await walk(below);
        }
      };
      await walk("/");
      const claims = `/local/domain/${DRIVER}/data/xdevd/requests`;
      for (const name of await dom0.listOptional(claims)) found[`${claims}/${name}`] = "claimed";
      delete found[`/hotplug/domain/${DRIVER}/daemon`];
      // What is empty is pruned, as libxl does.
      const home = `/local/domain/${GUEST}/device`;
      for (const path of [`/libxl/${GUEST}/device`, `/libxl/${GUEST}`, home]) {
        if (!Object.keys(found).some((other) => other.startsWith(`${path}/`))) delete found[path];
      }
      return found;
    }

    test("is served: nodes, permissions, and nothing left at the end", async () => {
      await setUpRequests(dom0, DRIVER);
      const before = await everything();
      await startDaemon();
      await until(
        async () => await requestDaemon(dom0, DRIVER) === "test boot",
        () => log.join(""),
      );

      const request = disk();
      const served = await attachByRequest(dom0, request, { waits: WAITS });
      expect(served.state).toBe("connected");
      const backend = `/local/domain/${DRIVER}/backend/vbd/${GUEST}/51712`;
      expect(served.device).toEqual({ ...PLACE, kind: "vbd", devid: 51712 });
      for (
        const [name, value] of Object.entries({
          params: image,
          type: "phy",
          mode: "w",
          dev: "xvda",
          "frontend-id": String(GUEST),
          online: "1",
          script: "/nowhere/block",
          "hotplug-status": "connected",
        })
      ) expect([name, await dom0.readOptional(`${backend}/${name}`)]).toEqual([name, value]);
      expect(await dom0.getPermissions(backend)).toEqual([
        { domid: DRIVER, access: "none" },
        { domid: GUEST, access: "read" },
      ]);
      await guest.connected();
      expect(await dom0.readText(`/libxl/${GUEST}/device/vbd/51712/backend`)).toBe(backend);

      const path = requestPath(request.id);
      expect((await listRequests(dom0)).map(({ report }) => report.state)).toEqual(["connected"]);
      for (const name of ["", "/state", "/params", "/token", "/error", "/config/mode"]) {
        await expect(guest.store.read(`${path}${name}`)).rejects.toThrow(/EACCES/);
      }
      for (const above of ["/hotplug", "/hotplug/domain", `/hotplug/domain/${DRIVER}`]) {
        await expect(guest.store.list(above)).rejects.toThrow(/EACCES/);
      }
      // The driver domain writes what is its own, and nothing else.
      for (const name of ["online", "params", "frontend", "force", "config/mode", "new"]) {
        await expect(kernelStore.write(`${path}/${name}`, "x")).rejects.toThrow(/EACCES/);
      }

      await detachByRequest(dom0, request.id, { waits: WAITS });
      expect(recorder.calls).toEqual(["add vbd/51712", "remove vbd/51712"]);
      expect(await everything()).toEqual(before);
    });

    test("for an interface is served likewise", async () => {
      await setUpRequests(dom0, DRIVER);
      const before = await everything();
      await startDaemon();
      const mac = "00:16:3e:00:00:01";
      const { nic } = parseNic([`mac=${mac}`, "bridge=br9"]);
      const request = nicRequest(nic, { ...PLACE, devid: 0, mac, type: "vif" });
      await attachByRequest(dom0, request, { waits: WAITS });
      const backend = `/local/domain/${DRIVER}/backend/vif/${GUEST}/0`;
      expect(await dom0.readText(`${backend}/bridge`)).toBe("br9");
      expect(await dom0.readText(`${backend}/script`)).toBe("/nowhere/vif-bridge");
      const mtu = `/local/domain/${GUEST}/device/vif/0/mtu`;
      expect((await dom0.getPermissions(mtu))[0]?.domid).toBe(DRIVER);
      await detachByRequest(dom0, request.id, { waits: WAITS });
      expect(await everything()).toEqual(before);
    });

    test("that fails says why, and leaves nothing", async () => {
      await setUpRequests(dom0, DRIVER);
      const before = await everything();
      recorder.fails = true;
      await startDaemon();
      await expect(attachByRequest(dom0, disk(), { waits: WAITS })).rejects
        .toThrow(/xvda \(vbd\/7\/51712\): the driver domain, .*, cannot set it up: no such thing/);
      expect(await everything()).toEqual(before);
      const missing = diskRequest(parseDisk(["/no/such", "raw", "xvda", "w"]), {
        ...PLACE,
        devid: 51712,
      });
      await expect(attachByRequest(dom0, missing, { waits: WAITS })).rejects
        .toThrow(/there is no "\/no\/such" in this driver domain/);
      const image2 = diskRequest(parseDisk([image, "qcow2", "xvda", "w"]), {
        ...PLACE,
        devid: 51712,
      });
      await expect(attachByRequest(dom0, image2, { waits: WAITS })).rejects
        .toThrow(/no plugin of this driver domain serves kind qdisk/);
      expect(await everything()).toEqual(before);
    });

    test("can be held, and is another one's number's only one", async () => {
      await setUpRequests(dom0, DRIVER);
      const before = await everything();
      await startDaemon();
      const request = disk();
      const held = await attachByRequest(dom0, request, { waits: WAITS, hold: true });
      expect(held.state).toBe("held");
      expect(await dom0.exists(`/local/domain/${GUEST}/device/vbd/51712`)).toBeFalse();
      await expect(attachByRequest(dom0, request, { waits: WAITS })).rejects
        .toThrow(/xvda \(vbd\/7\/51712\): the guest has it, or a request for it, already/);
      expect((await releaseRequest(dom0, request.id, { waits: WAITS })).state).toBe("connected");
      expect((await awaitRequest(dom0, request.id, { waits: WAITS })).state).toBe("connected");
      await detachByRequest(dom0, request.id, { waits: WAITS, force: true });
      expect(await everything()).toEqual(before);
    });

    test("without a daemon, or before it is set up, ends with one clear line", async () => {
      await setUpRequests(dom0, DRIVER);
      const before = await everything();
      const waits = { waiting: 100, detaching: 100, forcing: 100 };
      await expect(attachByRequest(dom0, disk(), { waits })).rejects
        .toThrow(
          /\(vbd\/7\/51712\): nobody in domain .*1.* took up the request for it within 1 s/,
        );
      expect(await everything()).toEqual(before);
    });

    test("a driver domain that names somebody else's backend is not followed", async () => {
      await setUpRequests(dom0, DRIVER);
      const before = await everything();
      const request = disk();
      const path = requestPath(request.id);
      const attached = attachByRequest(dom0, request, {
        waits: { ...WAITS, detaching: 100, forcing: 100 },
      }).catch((error: Error) => error);
      await until(() => dom0.exists(`${path}/backend`), () => "no request");
      await kernelStore.write(`${path}/backend`, `/local/domain/0/backend/vbd/${GUEST}/51712`);
      await kernelStore.write(`${path}/state`, "prepared");
      expect((await attached as Error).message).toMatch(/names a backend .* that cannot be its/);
      expect(await everything()).toEqual(before);
    });

    test("whose daemon is killed at any of its transactions is served by the next", async () => {
      await setUpRequests(dom0, DRIVER);
      const before = await everything();
      let deaths = 0;
      for (const effect of [false, true]) {
        for (let at = 0;; at++) {
          recorder.calls.length = 0;
          const mortal = await startDaemon({ at, effect });
          const work = (async () => {
            await attachByRequest(dom0, disk(), { waits: WAITS });
            await detachByRequest(dom0, disk().id, { waits: WAITS });
          })();
          const died = await Promise.race([mortal.died, work.then(() => false)]);
          if (died) {
            deaths++;
            await mortal.stop();
            await startDaemon();
          }
          await work.catch((error) => {
            throw new Error(`killed at ${at}, ${effect}: ${error.message}\n${log.join("")}`);
          });
          await daemon?.stop();
          daemon = null;
          expect({ at, effect, left: await everything() })
            .toEqual({ at, effect, left: before });
          log.length = 0;
          if (!died) break;
        }
      }
      console.log(`${deaths} deaths of the daemon`);
      expect(deaths).toBeGreaterThan(40);
    }, 300_000);

    test(
      "whose toolstack is killed at any of its transactions leaves nothing for ever",
      async () => {
        await setUpRequests(dom0, DRIVER);
        const before = await everything();
        await startDaemon();
        let deaths = 0;
        for (const effect of [false, true]) {
          for (let at = 0;; at++) {
            const mortal = await connectTo(server.socketPath(0));
            const died = mortalize(mortal, { at, effect });
            const work = (async () => {
              await attachByRequest(mortal, disk(), { waits: WAITS });
              await detachByRequest(mortal, disk().id, { waits: WAITS });
              return false;
            })();
            const dead = await Promise.race([died, work.catch(() => true)]);
            mortal.close();
            if (dead) {
              deaths++;
              if (await dom0.exists(requestPath(disk().id))) {
                await detachByRequest(dom0, disk().id, { waits: WAITS });
              }
            }
            expect({ at, effect, left: await everything() })
              .toEqual({ at, effect, left: before });
            if (!dead) break;
          }
        }
        console.log(`${deaths} deaths of the toolstack`);
        expect(deaths).toBeGreaterThan(10);
      },
      300_000,
    );
  });
}

/** When a client's process is killed: at which transaction, and whether that still has effect. */
interface Death {
  readonly at: number;
  readonly effect: boolean;
}

/** @returns a promise of its death */
function mortalize(
  store: StoreClient,
  { at, effect }: Death,
  dying: () => void = () => {},
): Promise<true> {
  const { promise, resolve } = Promise.withResolvers<true>();
  const transaction = store.transaction.bind(store);
  let count = 0;
  store.transaction = (async (...args: Parameters<typeof transaction>) => {
    if (count++ !== at) return await transaction(...args);
    if (effect) await transaction(...args);
    dying();
    store.close();
    resolve(true);
    return await new Promise(() => {});
  }) as typeof store.transaction;
  return promise;
}

/** What a process that is dead would still record, as this one's other half does, is not. */
class MortalJournal implements JournalStore {
  alive = true;
  readonly #journal: JournalStore;

  constructor(journal: JournalStore) {
    this.#journal = journal;
  }

  entries = () => this.#journal.entries();
  get = (name: string) => this.#journal.get(name);
  holders = (undo: string, value: string | number | boolean) => this.#journal.holders(undo, value);
  values = (undo: string) => this.#journal.values(undo);
  put = (entry: JournalEntry) => this.alive ? this.#journal.put(entry) : undefined;
  note = (entry: JournalEntry) => !this.alive || this.#journal.note(entry);
  drop = (name: string) => this.alive ? this.#journal.drop(name) : undefined;
  catchUp = () => this.#journal.catchUp();
}

/** A daemon in this process, with its own connection. */
class RunningDaemon {
  readonly died: Promise<true>;
  readonly #store: StoreClient;
  readonly #daemon: Daemon;

  private constructor(store: StoreClient, daemon: Daemon, died: Promise<true>) {
    this.#store = store;
    this.#daemon = daemon;
    this.died = died;
  }

  static async start(
    server: RealXenstored,
    recorder: Recorder,
    journal: MemoryJournal,
    dies?: Death,
  ): Promise<RunningDaemon> {
    const store = await connectTo(server.socketPath(DRIVER));
    const own = new MortalJournal(journal);
    const died = dies === undefined
      ? new Promise<true>(() => {})
      : mortalize(store, dies, () => own.alive = false);
    const times = { ...DEFAULT_TIMES, initWait: 2_000, hold: 10, orphans: 0 };
    const daemon = new Daemon(DRIVER, {
      ...systemParts(store),
      plugins: PluginRegistry.of(readyHost(recorder.plugin())),
      scripts: {
        policy: { directories: ["/nowhere"], trustedUids: [0] },
        limits: DEFAULT_LIMITS,
        path: "/bin",
        environment: {},
      },
      times,
      journal: own,
      directories: new DirectoryKeeper(systemFiles, `${tmpdir()}/xdevd-test-${process.pid}`),
      calls: callLimits(times),
      requests: { presence: "test boot", files: "loop" },
    });
    await daemon.start();
    return new RunningDaemon(store, daemon, died);
  }

  async stop(): Promise<void> {
    const stopped = this.#daemon.stop(0).catch(() => {});
    await Promise.race([stopped, new Promise((resolve) => setTimeout(resolve, 500))]);
    this.#store.close();
  }
}

/** A guest whose drivers take every device that is shown to them. */
class Guest {
  readonly #frontends = new Map<string, SimulatedFrontend>();

  readonly store: StoreClient;

  private constructor(store: StoreClient) {
    this.store = store;
  }

  static async start(server: RealXenstored): Promise<Guest> {
    const guest = new Guest(await connectTo(server.socketPath(GUEST)));
    for (const [kind, devid] of [["vbd", 51712], ["vif", 0]] as const) {
      const path = `/local/domain/${GUEST}/device/${kind}/${devid}`;
      await guest.store.watch(`${path}/state`, async () => {
        const state = await guest.store.readOptional(`${path}/state`).catch(() => undefined);
        const known = guest.#frontends.get(path);
        if (state === undefined) {
          guest.#frontends.delete(path);
          await known?.stop();
        } else if (known === undefined) {
          const frontend = new SimulatedFrontend(guest.store, { domid: GUEST, kind, devid });
          guest.#frontends.set(path, frontend);
          await frontend.start().catch(() => guest.#frontends.delete(path));
        }
      });
    }
    return guest;
  }

  async connected(): Promise<void> {
    for (const frontend of this.#frontends.values()) await frontend.connected(5_000);
  }

  async stop(): Promise<void> {
    for (const frontend of this.#frontends.values()) await frontend.stop();
    this.store.close();
  }
}
