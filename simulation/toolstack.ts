/** The toolstack's part in the life of a device (tools/libs/light/libxl_device.c). */
import { backendPath, type DeviceId, frontendPath } from "../core/xen/device_id.ts";
import { XenbusState } from "../core/xen/states.ts";
import type { NodeAccess } from "../core/xenstore/access.ts";
import type { StoreClient } from "../core/xenstore/client.ts";
import { DeadlineError } from "../core/xenstore/errors.ts";
import { parentPath } from "../core/xenstore/paths.ts";
import type { Permission } from "../core/xenstore/permissions.ts";

/** How long the toolstack waits for state 2, state 6, and the directory to go, in ms. */
export interface ToolstackWaits {
  /** LIBXL_INIT_TIMEOUT (libxl_internal.h). */
  readonly initMs: number;
  /** LIBXL_DESTROY_TIMEOUT (libxl_internal.h); counts twice, for Closed and for the directory. */
  readonly destroyMs: number;
}

const DEFAULT_WAITS: ToolstackWaits = { initMs: 10_000, destroyMs: 10_000 };

/** A device to be created: what goes into each directory besides the nodes all devices have. */
export interface DeviceSpec {
  readonly id: DeviceId;
  readonly frontendKind: string;
  readonly backend: Readonly<Record<string, string>>;
  readonly frontend: Readonly<Record<string, string>>;
}

/** A disk as `format=raw,vdev=…,target=…` describes it. */
export function diskSpec(
  id: DeviceId,
  disk: { target: string; script: string; vdev: string; readOnly?: boolean },
): DeviceSpec {
  return {
    id,
    frontendKind: "vbd",
    backend: {
      params: disk.target,
      script: disk.script,
      type: "phy",
      dev: disk.vdev,
      mode: disk.readOnly ? "r" : "w",
      "device-type": "disk",
      removable: "0",
      bootable: "1",
      "discard-enable": disk.readOnly ? "0" : "1",
      specification: "xen",
    },
    frontend: { "virtual-device": String(id.devid), "device-type": "disk", trusted: "1" },
  };
}

/** A network interface as `mac=…,bridge=…` describes it. */
export function nicSpec(
  id: DeviceId,
  nic: { mac: string; bridge: string; script: string },
): DeviceSpec {
  const { devid } = id;
  return {
    id,
    frontendKind: "vif",
    backend: {
      script: nic.script,
      handle: String(devid),
      mac: nic.mac,
      bridge: nic.bridge,
      type: "vif",
      "hotplug-status": "",
    },
    frontend: { handle: String(devid), mac: nic.mac, trusted: "1" },
  };
}

/** Acts as the toolstack in domain 0. */
export class SimulatedToolstack {
  readonly #dom0: StoreClient;
  readonly #waits: ToolstackWaits;

  constructor(dom0: StoreClient, waits: Partial<ToolstackWaits> = {}) {
    this.#dom0 = dom0;
    this.#waits = { ...DEFAULT_WAITS, ...waits };
  }

  /**
   * Creates a device: frontend, backend and the toolstack's own record, in one transaction.
   * @throws Error when there is a device of that number
   */
  async create(spec: DeviceSpec): Promise<void> {
    const { id } = spec;
    const { frontendDomid, backendDomid } = id;
    const [front, back] = [frontendPath(id, spec.frontendKind), backendPath(id)];
    const record = recordPath(spec);
    const guests: Permission[] = [
      { domid: frontendDomid, access: "none" },
      { domid: backendDomid, access: "read" },
    ];
    const drivers: Permission[] = [
      { domid: backendDomid, access: "none" },
      { domid: frontendDomid, access: "read" },
    ];
    const frontend = {
      backend: back,
      "backend-id": String(backendDomid),
      state: String(XenbusState.Initialising),
      ...spec.frontend,
    };
    const backend = {
      frontend: front,
      "frontend-id": String(frontendDomid),
      online: "1",
      state: String(XenbusState.Initialising),
      ...spec.backend,
    };
    await this.#dom0.transaction(async (t) => {
      if (await t.exists(record)) throw new Error(`device ${record} exists already`);
      await writeAll(t, record, { frontend: front, backend: back });
      await replace(t, front, guests, frontend);
      await replace(t, back, drivers, backend);
      await writeAll(t, record, { ...backend, backend: back });
    });
  }

  /** Waits until the backend is ready, which is all a toolstack waits for in a driver domain. */
  async waitForBackend(id: DeviceId): Promise<void> {
    await this.#dom0.waitUntil(
      `${backendPath(id)}/state`,
      (state) => state === undefined || Number(state) >= XenbusState.InitWait,
      { timeoutMs: this.#waits.initMs },
    );
  }

  /**
   * Removes a device as `xl block-detach` does.
   * @param mode `graceful` fails when the guest does not let go; `force` deletes the frontend first
   *   and goes on in any case
   * @throws Error when the backend does not close, or its directory does not go, in time
   */
  async remove(spec: DeviceSpec, mode: "graceful" | "force" = "graceful"): Promise<void> {
    const back = backendPath(spec.id);
    await this.#dom0.transaction(async (t) => {
      if (mode === "force") await removeAndPrune(t, frontendPath(spec.id, spec.frontendKind));
      const state = await t.readOptional(`${back}/state`);
      if (state === undefined) return;
      await t.write(`${back}/online`, "0");
      if (state !== String(XenbusState.Closed)) {
        await t.write(`${back}/state`, String(XenbusState.Closing));
      }
    });
    try {
      await this.#waitForClosed(back);
      await this.#dom0.watchUntil(
        back,
        async () => await this.#dom0.exists(back) ? undefined : true,
        { timeoutMs: this.#waits.destroyMs },
      );
    } catch (error) {
      if (mode === "graceful" || !(error instanceof DeadlineError)) throw error;
    }
    await this.#dom0.transaction(async (t) => {
      await removeAndPrune(t, frontendPath(spec.id, spec.frontendKind));
      await removeAndPrune(t, recordPath(spec));
      // Usually gone, but for empty directories above it that a driver domain may not remove.
      await removeAndPrune(t, back);
    });
  }

  /** @throws Error when the directory goes before Closed was seen: the daemon was too quick */
  async #waitForClosed(back: string): Promise<void> {
    let vanished = false;
    await this.#dom0.waitUntil(`${back}/state`, (state) => {
      vanished = state === undefined;
      return vanished || state === String(XenbusState.Closed);
    }, { timeoutMs: this.#waits.destroyMs });
    if (vanished) throw new Error(`${back} was removed while waiting for it to close`);
  }
}

function recordPath(spec: DeviceSpec): string {
  return `/libxl/${spec.id.frontendDomid}/device/${spec.frontendKind}/${spec.id.devid}`;
}

async function writeAll(
  t: NodeAccess,
  directory: string,
  nodes: Readonly<Record<string, string>>,
): Promise<void> {
  for (const [name, value] of Object.entries(nodes)) await t.write(`${directory}/${name}`, value);
}

async function replace(
  t: NodeAccess,
  directory: string,
  permissions: readonly Permission[],
  nodes: Readonly<Record<string, string>>,
): Promise<void> {
  if (await t.exists(directory)) await t.remove(directory);
  await t.write(directory, "");
  await t.setPermissions(directory, permissions);
  await writeAll(t, directory, nodes);
}

/** Removes a path, then its parents as long as they are empty. */
async function removeAndPrune(t: NodeAccess, path: string): Promise<void> {
  if (await t.exists(path)) await t.remove(path);
  for (let parent = parentPath(path); parent !== null && parent !== "/";) {
    const children = await t.listOptional(parent);
    if (children.length > 0 || (await t.readOptional(parent) ?? "") !== "") return;
    await t.removeOptional(parent);
    parent = parentPath(parent);
  }
}
