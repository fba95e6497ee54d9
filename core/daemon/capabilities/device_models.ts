/**
 * The device models of all guests. Which devices one is kept for is in the journal: their records
 * name it, so that no count can be wrong after a crash.
 */
import type { DeviceModel, DeviceModelStatus } from "../../../contract/v1/plugin.ts";
import { type DeviceId, deviceName } from "../../xen/device_id.ts";
import type { ProcessTable } from "../../../platform/linux/process_table.ts";
import type { Clock, Processes } from "../../../platform/types.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Held } from "../journal/held.ts";
import { DeviceModelNodes } from "./device_model_nodes.ts";
import { GuestDeviceModel } from "./guest_device_model.ts";

type HeldModel = Held["deviceModel"];

/** One device, to which a device model is of use. */
export interface DeviceModelContext {
  readonly id: DeviceId;
  readonly path: string;
  readonly environment: Readonly<Record<string, string>>;
  /** What is kept for the device. */
  held(): HeldModel;
  /** Notes what is kept for it. @throws Error when it cannot be written */
  hold(model: HeldModel): void;
  /** All devices that the journal knows. */
  devices(): readonly { readonly id: DeviceId; readonly held: Held }[];
  /** Called when its QEMU has ended, and when another one is ready. */
  onTrouble(): void;
}

/** Keeps them. */
export class DeviceModels {
  readonly #store: StoreClient;
  readonly #processes: Processes;
  readonly #table: ProcessTable;
  readonly #clock: Clock;
  readonly #guests = new Map<number, GuestDeviceModel>();
  #stopped = false;

  constructor(store: StoreClient, processes: Processes, table: ProcessTable, clock: Clock) {
    this.#store = store;
    this.#processes = processes;
    this.#table = table;
    this.#clock = clock;
  }

  /** The guest's device model, as one of its devices sees it. */
  of(context: DeviceModelContext): DeviceModel {
    const { id, held } = context;
    const name = deviceName(id);
    const join = () => {
      const model = this.#open(context);
      context.hold({ mark: model.mark, identity: held()?.identity ?? null });
      model.users.set(name, () => context.onTrouble());
      return model;
    };
    return {
      start: async (program, signal) => {
        signal.throwIfAborted();
        const model = join();
        if (held()?.identity != null && model.pausing) {
          throw new Error(`the guest's QEMU: ${model.detail}`);
        }
        await unlessAborted(model.start(program), signal);
        const { identity } = model;
        if (identity === null) throw new Error(`the guest's QEMU: ${model.detail}`);
        context.hold({ mark: model.mark, identity });
      },
      adopt: async (program) => {
        const model = join();
        await model.adopt(program);
        if (held()?.identity == null && model.identity !== null) {
          context.hold({ mark: model.mark, identity: model.identity });
        }
      },
      status: async () => {
        if (held() === null) return { state: "none", detail: "" };
        const model = this.#open(context);
        await model.takeUp();
        return statusOf(model, held());
      },
      release: async () => {
        if (held() === null) return;
        const model = this.#open(context);
        model.users.delete(name);
        await model.stopIfUnused();
        if (model.users.size === 0) this.#forget(id.frontendDomid, model);
      },
    };
  }

  /** Supervises none any more; they go on. */
  stop(): void {
    this.#stopped = true;
    for (const model of this.#guests.values()) model.abandon();
  }

  /** The guest's; made from what the journal knows, if it is not known. */
  #open(context: DeviceModelContext): GuestDeviceModel {
    const { backendDomid, frontendDomid } = context.id;
    const known = this.#guests.get(frontendDomid);
    if (known !== undefined) return known;
    const others = context.devices().flatMap(({ id, held: { deviceModel } }) =>
      id.frontendDomid === frontendDomid && deviceModel !== null ? [{ id, deviceModel }] : []
    );
    const mark = others[0]?.deviceModel.mark ??
      `device-model/${backendDomid}/${frontendDomid}/${crypto.randomUUID()}`;
    const model = new GuestDeviceModel({
      processes: this.#processes,
      table: this.#table,
      clock: this.#clock,
      nodes: new DeviceModelNodes(this.#store, backendDomid, frontendDomid),
      frontendDomid,
      mark,
      environment: { PATH: context.path, ...context.environment },
      recorded: others.flatMap(({ deviceModel }) => deviceModel.identity ?? []),
      mayBeForeign: others.length === 0,
    });
    for (const { id } of others) model.users.set(deviceName(id), () => {});
    if (this.#stopped) model.abandon();
    this.#guests.set(frontendDomid, model);
    return model;
  }

  #forget(frontendDomid: number, model: GuestDeviceModel): void {
    if (this.#guests.get(frontendDomid) === model) this.#guests.delete(frontendDomid);
  }
}

function statusOf({ identity, detail }: GuestDeviceModel, held: HeldModel): DeviceModelStatus {
  if (identity === null) return { state: "ended", detail };
  const state = identity === held?.identity ? "serving" : "replaced";
  return { state, detail };
}

/** @throws the signal's reason when it fires first; what was waited for goes on then */
function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = () => reject(signal.reason);
  signal.addEventListener("abort", onAbort, { once: true });
  promise.catch(() => {});
  return Promise.race([promise, aborted])
    .finally(() => signal.removeEventListener("abort", onAbort));
}
