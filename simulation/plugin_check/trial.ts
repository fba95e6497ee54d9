/** One device of a plugin under check, with each call, and all it does during them, in our hands. */
import { DeviceFlight } from "../../core/daemon/flight/device_flight.ts";
import { Flight } from "../../core/daemon/flight/flight.ts";
import { type ActionParts, DeviceActions } from "../../core/daemon/device/device_actions.ts";
import { MemoryJournal } from "../../core/daemon/journal/memory.ts";
import { type DeviceId, deviceName } from "../../core/xen/device_id.ts";
import { openLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import type { Device, Findings, PluginOperations, Undo } from "../../contract/v1/plugin.ts";
import { type Before, checkAnswer, intercept } from "../../core/daemon/plugin/guard.ts";
import type { PluginHost } from "../../core/daemon/plugin/host.ts";
import { LocatedError } from "../../plugins/host/module_host.ts";
import type { Rig } from "./rig.ts";

/** A pause that a plugin asks for takes no longer here, in ms. */
const SLEEP_MAX_MS = 2;

/** What a plugin used, in order. */
export interface Use {
  readonly capability: string;
  readonly args: readonly unknown[];
}

/** How a call went. */
export interface Outcome {
  /** null when it resolved. */
  readonly error: Error | null;
  readonly uses: readonly Use[];
  readonly ms: number;
}

/** Stands in for the daemon around one device. */
export class Trial {
  readonly id: DeviceId;
  readonly #rig: Rig;
  readonly #journal: MemoryJournal;
  #host: PluginHost;
  #actions!: DeviceActions;
  #parts!: ActionParts;
  #before: Before = () => {};
  #uses: Use[] = [];
  /** What the last check has found. */
  #found: Findings = {};
  /** Uses of capabilities after the call had ended. */
  readonly late: string[] = [];
  /** What was thrown, as it was. */
  thrown: unknown = null;

  private constructor(rig: Rig, id: DeviceId, host: PluginHost, journal: MemoryJournal) {
    this.#rig = rig;
    this.id = id;
    this.#host = host;
    this.#journal = journal;
  }

  /**
   * Makes a device's directories, and a fresh plugin for it.
   * @param more nodes of the backend
   * @param beside another device of the same daemon, with the same plugin and journal
   */
  static async open(
    rig: Rig,
    devid: number,
    more: Readonly<Record<string, string>> = {},
    beside?: Trial,
  ): Promise<Trial> {
    const id = rig.device(devid);
    const [host, journal, parts] = beside === undefined
      ? [await rig.freshHost(), new MemoryJournal()]
      : [beside.#host, beside.#journal, beside.#parts];
    const trial = new Trial(rig, id, host, journal);
    await rig.toolstack().create(rig.spec(id, more));
    await rig.kernelReady(id);
    await trial.#newActions(parts);
    await trial.#actions.record(false);
    return trial;
  }

  /** What the plugin has recorded. */
  get undo(): Undo {
    return this.#journal.get(deviceName(this.id))?.undo ?? {};
  }

  /** What happens before each use of a capability, from now on. */
  set before(before: Before) {
    this.#before = before;
  }

  add(signal = new AbortController().signal): Promise<Outcome> {
    return this.#call(() => this.#actions.add(signal));
  }

  remove(signal = new AbortController().signal): Promise<Outcome> {
    return this.#call(() => this.#actions.remove(signal));
  }

  /** @returns what it has found besides: a line, if there is anything */
  check(): Promise<Outcome & { answer: string | null }> {
    this.#found = {};
    return this.#call(async () => void await this.#actions.check()).then((outcome) => {
      const { broken, undone, notices = [], mended = [] } = this.#found;
      const lines = [broken, undone, ...notices, ...mended].filter((line) => line !== undefined);
      return { ...outcome, answer: lines.length === 0 ? null : lines.join("; ") };
    });
  }

  /** The daemon was killed and started again: nothing is left but the journal. */
  async restart(): Promise<void> {
    this.#before = () => {};
    await this.#host.close();
    // What a daemon that was killed had begun to supervise, it supervises no more.
    this.#parts.deviceModels.stop();
    this.#parts.servers.stop();
    this.#host = await this.#rig.freshHost();
    await this.#newActions();
  }

  /** The toolstack deletes everything by force. */
  async deleteDirectories(): Promise<void> {
    const { id } = this;
    const frontendKind = this.#rig.frontendKind(id);
    for (
      const path of [
        `/local/domain/${id.backendDomid}/backend/${id.kind}/${id.frontendDomid}/${id.devid}`,
        `/local/domain/${id.frontendDomid}/device/${frontendKind}/${id.devid}`,
        `/libxl/${id.frontendDomid}/device/${frontendKind}/${id.devid}`,
      ]
    ) await this.#rig.dom0.removeOptional(path);
  }

  /** Ends the trial, whatever is left. */
  async close(): Promise<void> {
    this.#before = () => {};
    this.#parts.deviceModels.stop();
    this.#parts.servers.stop();
    await this.#host.close();
    await this.deleteDirectories();
    await this.#rig.kernelDone(this.id);
  }

  async #newActions(parts?: ActionParts): Promise<void> {
    this.#parts = parts ?? await this.#rig.parts(this.#journal);
    const log = openLog(deviceName(this.id));
    this.#actions = new DeviceActions(this.id, this.#watched(), this.#parts, log, {
      onTrouble: () => {},
      onFrontend: () => this.#parts.servers.look(this.id),
      recheckMs: 15_000,
      phaseOf: () => undefined,
      flight: new DeviceFlight(
        { name: deviceName(this.id), kind: this.id.kind, backend: "kernel" },
        new Flight(systemClock),
      ),
    });
  }

  async #call(work: () => Promise<void>): Promise<Outcome> {
    this.#uses = [];
    const start = systemClock.now();
    let error: Error | null = null;
    try {
      await work();
    } catch (thrown) {
      error = thrown as Error;
    }
    return { error, uses: this.#uses, ms: systemClock.now() - start };
  }

  /** The plugin, with all it does passing by. */
  #watched(): PluginHost {
    const host = this.#host;
    return {
      manifest: host.manifest,
      origin: host.origin,
      settings: host.settings,
      close: () => host.close(),
      probe: () => host.probe(),
      operations: async (): Promise<PluginOperations> => {
        const plugin = await host.operations();
        const watch = async <T>(
          device: Device,
          signal: AbortSignal,
          use: (device: Device) => Promise<T> | undefined,
        ): Promise<T | undefined> => {
          let ended = false;
          const watched = intercept(device, async (capability, args) => {
            if (ended) return void this.late.push(capability);
            this.#uses.push({ capability, args });
            await Promise.race([this.#before(capability, args), aborted(signal)]);
          });
          const { sleep } = watched.system;
          watched.system.sleep = (ms, signal) => sleep(Math.min(ms, SLEEP_MAX_MS), signal);
          try {
            return await use(watched);
          } catch (error) {
            this.thrown = error instanceof LocatedError ? error.cause : error;
            throw error;
          } finally {
            ended = true;
          }
        };
        return {
          add: (device, signal) => watch(device, signal, (seen) => plugin.add(seen, signal)),
          remove: (device, signal) => watch(device, signal, (seen) => plugin.remove(seen, signal)),
          adopt: (device, signal) => watch(device, signal, (seen) => plugin.adopt?.(seen, signal)),
          check: async (device, signal) => {
            const answer = await watch(device, signal, (seen) => plugin.check?.(seen, signal));
            return this.#found = checkAnswer(host.manifest.name, answer);
          },
        };
      },
    };
  }
}

/** Rejects when the signal fires: what a capability does that is waiting for something. */
function aborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
