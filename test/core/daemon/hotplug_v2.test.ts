/**
 * A version 2 script's order, whenever its caller dies: at each use of the store, the journal, and
 * each start of the script (which then goes on to its end), the rest being undone and done again by
 * another. The store is the embedded one; the script is a model that knows what it may be asked.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { HotplugDirectories } from "../../../core/daemon/capabilities/hotplug_directory.ts";
import { HotplugLocks } from "../../../core/daemon/capabilities/hotplug_locks.ts";
import { checkScript } from "../../../core/hotplug/path_rules.ts";
import { HotplugV2 } from "../../../core/daemon/capabilities/scripts_v2.ts";
import { type Held, NOTHING_HELD } from "../../../core/daemon/journal/held.ts";
import { OPERATION_VARIABLE, Orphans } from "../../../core/daemon/device/orphans.ts";
import { backendNodes } from "../../../core/daemon/capabilities/plugin_nodes.ts";
import { backendPath, type DeviceId } from "../../../core/xen/device_id.ts";
import { DEFAULT_LIMITS } from "../../../core/hotplug/run_script.ts";
import { type V2Action, v2Limits } from "../../../core/hotplug/v2/convention.ts";
import { VersionCache } from "../../../core/hotplug/v2/version.ts";
import { DEFAULT_TIMES } from "../../../core/xen/times.ts";
import { configureLog, openLog } from "../../../core/log/log.ts";
import { Activity } from "../../../core/daemon/activity.ts";
import { systemClock } from "../../../platform/clock.ts";
import { lockFile } from "../../../platform/io/flock.ts";
import { systemFiles } from "../../../platform/io/files.ts";
import type { ChildSpec } from "../../../platform/types.ts";
import { createDomainHome } from "../../../simulation/domains.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { connectInProcess } from "../../../simulation/xenstored/in_process.ts";
import { XenstoreServer } from "../../../simulation/xenstored/server.ts";

const ID: DeviceId = { backendDomid: 1, kind: "vbd", frontendDomid: 7, devid: 51712 };
const TARGET = "the target";
const patient = new AbortController().signal;

class Killed extends Error {}

/** Dies at its n-th use, before it is done or after. */
class Fuse {
  #left: number;
  readonly #after: boolean;
  dead = false;

  constructor(left: number, after: boolean) {
    this.#left = left;
    this.#after = after;
  }

  get unused(): boolean {
    return this.#left > 0 && !this.dead;
  }

  async use<T>(work: () => Promise<T>): Promise<T> {
    if (this.dead) throw new Killed();
    if (--this.#left !== 0) return await work();
    if (this.#after) await work();
    this.dead = true;
    throw new Killed();
  }

  useNow(work: () => void): void {
    if (this.dead) throw new Killed();
    this.#left--;
    if (this.#left !== 0 || this.#after) work();
    if (this.#left !== 0) return;
    this.dead = true;
    throw new Killed();
  }
}

/** What the script has been asked, and whether it should have been. */
class Model {
  readonly faults: string[] = [];
  readonly actions: V2Action[] = [];
  prepared: "no" | "half" | "yes" = "no";
  added: "no" | "half" | "yes" = "no";
  fails: V2Action | null = null;
  killed = false;
  /** What add writes as `physical-device`. */
  number: string | null = "7:0";

  run(action: V2Action): number {
    this.actions.push(action);
    const fails = this.fails === action;
    const allowed: Partial<Record<V2Action, boolean>> = {
      version: this.prepared === "no",
      prepare: this.prepared === "no",
      add: this.prepared === "yes" && this.added === "no",
      // Somebody killed cannot tell whether it had begun: teardown may find nothing to do.
      remove: this.prepared === "yes" && (this.added !== "no" || this.killed),
      unprepare: this.added === "no" && (this.prepared !== "no" || this.killed),
    };
    if (!allowed[action]) {
      this.faults.push(`${action} while prepared: ${this.prepared}, added: ${this.added}`);
    }
    if (action === "prepare") this.prepared = fails ? "half" : "yes";
    if (action === "add") this.added = fails ? "half" : "yes";
    if (action === "remove") this.added = "no";
    if (action === "unprepare") this.prepared = "no";
    return fails ? 1 : 0;
  }
}

describe("version 2, with its caller killed", () => {
  let directory: string;
  let script: string;

  beforeAll(() => {
    directory = fs.mkdtempSync(join(fs.realpathSync(tmpdir()), "xdevd-v2-model-"));
    script = join(directory, "block-model");
    fs.writeFileSync(script, "# HOTPLUG_PATH", { mode: 0o755 });
  });

  afterAll(() => fs.rmSync(directory, { recursive: true }));

  async function machine() {
    const server = new XenstoreServer();
    for (const domid of [1, 7]) server.introduce(domid);
    const connect = (domid: number) =>
      StoreClient.connect({
        clock: systemClock,
        connect: async () => connectInProcess(server, domid),
      });
    const dom0 = await connect(0);
    await createDomainHome(dom0, { domid: 1, name: "driver", driverDomain: true });
    await dom0.write(`${backendPath(ID)}/params`, TARGET);
    await dom0.setPermissions(backendPath(ID), [{ domid: 1, access: "none" }]);
    await dom0.setPermissions(`${backendPath(ID)}/params`, [{ domid: 1, access: "none" }]);
    const driver = await connect(1);
    const model = new Model();
    let held = NOTHING_HELD;

    /** A process of the daemon's, that dies when the fuse blows. */
    function daemon(fuse: Fuse): HotplugV2 {
      const store = new Proxy(driver, {
        get(target, key) {
          const value = Reflect.get(target, key);
          if (typeof value !== "function") return value;
          return (...args: unknown[]) =>
            fuse.use(() => Reflect.apply(value, target, args) as Promise<unknown>);
        },
      });
      const start = async ({ argv, env }: ChildSpec) => {
        const run = async () => {
          const action = argv[1] as V2Action;
          const path = env["HOTPLUG_PATH"] ?? "";
          expect(await driver.readText(`${path}/params`)).toBe(TARGET);
          const code = model.run(action);
          if (code !== 0) return code;
          if (action === "version") await driver.write(`${path}/version`, "2");
          if (action === "add") {
            const backend = env["BACKEND_PATH"] ?? "";
            const { number } = model;
            if (number !== null) await driver.write(`${backend}/physical-device`, number);
            await driver.write(`${backend}/params`, "/dev/loop0");
            await driver.write(`${path}/pdev`, "/dev/loop0");
          }
          return code;
        };
        let code = 0;
        // Killed after it was started: it goes on all the same.
        await fuse.use(async () => {
          code = await run();
        });
        return { pid: 1, exited: Promise.resolve({ code, signal: null }), signalGroup: () => true };
      };
      const parts = {
        store,
        clock: systemClock,
        files: systemFiles,
        processes: { start },
        orphans: new Orphans(
          {
            withVariable: async () => new Map(),
            signal: () => true,
            identityOf: async () => undefined,
            commandLineOf: async () => [],
          },
          systemClock,
        ),
        hotplug: new HotplugDirectories(store),
        scripts: {
          policy: { directories: [directory], trustedUids: [process.getuid?.() ?? 0] },
          limits: DEFAULT_LIMITS,
          path: "/bin",
          environment: {},
        },
      };
      const v2 = {
        limits: v2Limits(DEFAULT_TIMES),
        versions: new VersionCache(systemFiles, new Map(), "/etc/xen/scripts"),
        locks: new HotplugLocks(systemFiles, systemClock, join(directory, "locks"), lockFile),
        orphanMs: 0,
      };
      const record = {
        held: () => held,
        hold: (more: Partial<Held>) => fuse.useNow(() => held = { ...held, ...more }),
      };
      const nodes = backendNodes(store, backendPath(ID), null);
      const environment = { [OPERATION_VARIABLE]: crypto.randomUUID() };
      const check = (script: string) => checkScript(systemFiles, script, parts.scripts.policy);
      const activity = new Activity(systemClock);
      return new HotplugV2(ID, nodes, parts, v2, record, openLog(), environment, activity, check);
    }

    /** Nothing is left that anybody would have to undo. */
    async function isClean(): Promise<void> {
      expect(model.prepared).toBe("no");
      expect(model.added).toBe("no");
      expect(await dom0.listOptional("/local/domain/1/libxl")).toEqual([]);
      expect(await dom0.readText(`${backendPath(ID)}/params`)).toBe(TARGET);
    }

    const forgetHeld = () => held = NOTHING_HELD;
    const close = () => {
      for (const client of [dom0, driver]) client.close();
    };
    return { dom0, model, daemon, isClean, forgetHeld, close };
  }

  const whole = new Fuse(0, false);
  const add = async (daemon: HotplugV2) => {
    expect(await daemon.version(script, patient)).toBe(2);
    await daemon.add(script, patient);
  };
  const remove = async (daemon: HotplugV2) => {
    // As the plugin does: a device that was never asked for has nothing to undo.
    if (await daemon.isUsed()) await daemon.remove(script, patient, undefined);
  };

  for (const after of [false, true]) {
    for (const fails of [null, "prepare", "add"] as const) {
      const when = after ? "after" : "before";
      const what = fails === null ? "that works" : `whose ${fails} fails`;
      test(`at each step, ${when} it, of a script ${what}`, async () => {
        for (let step = 1;; step++) {
          const { model, daemon, isClean, forgetHeld, close } = await machine();
          model.fails = fails;
          const fuse = new Fuse(step, after);
          let phase: "adding" | "added" | "removing" = "adding";
          try {
            const first = daemon(fuse);
            await add(first);
            phase = "added";
            await remove(daemon(fuse));
          } catch (error) {
            if (!(error instanceof Killed) && !fuse.dead) {
              expect(fails).not.toBeNull();
              await remove(daemon(fuse)).catch(() => {});
            }
          }
          if (fuse.unused) {
            await isClean();
            close();
            // Something was tried at all.
            expect(step).toBeGreaterThan(20);
            break;
          }
          model.killed = true;
          // The next daemon: the lifecycle undoes what was half done, and may begin again.
          await remove(daemon(whole));
          await isClean();
          model.fails = null;
          forgetHeld();
          if (phase === "adding") {
            await add(daemon(whole));
            expect([model.prepared, model.added]).toEqual(["yes", "yes"]);
            await remove(daemon(whole));
            await isClean();
          }
          expect(model.faults).toEqual([]);
          close();
        }
      }, 60_000);
    }
  }

  for (const number of [null, "1794", "/dev/loop0"]) {
    test(`an add that leaves ${number} as physical-device has failed, and is undone`, async () => {
      const { model, daemon, isClean, close } = await machine();
      model.number = number;
      const shown = number === null ? "missing" : JSON.stringify(number);
      await expect(add(daemon(whole))).rejects.toThrow(`physical-device is ${shown}; expected MAJ`);
      await remove(daemon(whole));
      await isClean();
      expect(model.faults).toEqual([]);
      close();
    });
  }

  test("of one of which the journal knows nothing, its directory tells whether it is attached", async () => {
    const { model, daemon, isClean, forgetHeld, close } = await machine();
    expect(await daemon(whole).isUsed()).toBeFalse();
    await daemon(whole).version(script, patient);
    await daemon(whole).prepare(script, patient);
    forgetHeld();
    expect(await daemon(whole).isUsed()).toBeFalse();
    await add(daemon(whole));
    forgetHeld();
    expect(await daemon(whole).isUsed()).toBeTrue();
    await remove(daemon(whole));
    forgetHeld();
    expect(await daemon(whole).isUsed()).toBeFalse();
    await isClean();
    expect(model.faults).toEqual([]);
    close();
  });

  test("without anybody being killed, each is asked once, and nothing is taken for lost", async () => {
    const { model, daemon, isClean, close } = await machine();
    const lines: string[] = [];
    configureLog("info", (line) => lines.push(line));
    await add(daemon(whole));
    await remove(daemon(whole));
    await remove(daemon(whole));
    await isClean();
    expect(model.actions).toEqual(["version", "prepare", "add", "remove", "unprepare"]);
    expect(lines.join("")).not.toContain("is gone");
    close();
  });
});
