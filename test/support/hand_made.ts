/**
 * Devices made by hand, node by node if need be: for what no well-behaved toolstack, kernel or
 * guest would write.
 */
import { backendPath, type DeviceId, frontendPath } from "../../core/xen/device_id.ts";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { until } from "./daemon_process.ts";

/** A domain as the toolstack makes it; no driver domain, but may be domain 0. */
export function makeDomain(dom0: StoreClient, domid: number): Promise<void> {
  return domid === 0 ? createDomain0(dom0) : createDomainHome(dom0, { domid });
}

/** One device, as dom0 sees it. */
export class HandMadeDevice {
  readonly id: DeviceId;
  readonly backend: string;
  readonly frontend: string;
  readonly dom0: StoreClient;

  /** @param frontendKind where it differs from the backend's */
  constructor(dom0: StoreClient, id: DeviceId, frontendKind = id.kind) {
    this.dom0 = dom0;
    this.id = id;
    this.backend = backendPath(id);
    this.frontend = frontendPath(id, frontendKind);
  }

  /** Creates both directories at once, with the usual nodes and those given instead or besides. */
  async create(nodes: Record<string, string>): Promise<void> {
    const { backendDomid, frontendDomid } = this.id;
    const all = {
      frontend: this.frontend,
      "frontend-id": String(frontendDomid),
      online: "1",
      mode: "w",
      type: "phy",
      state: "1",
      ...nodes,
    };
    await this.dom0.transaction(async (t) => {
      await t.write(this.frontend, "");
      await t.setPermissions(this.frontend, [
        { domid: frontendDomid, access: "none" },
        { domid: backendDomid, access: "read" },
      ]);
      await t.write(`${this.frontend}/state`, "1");
      await t.write(this.backend, "");
      await t.setPermissions(this.backend, [
        { domid: backendDomid, access: "none" },
        { domid: frontendDomid, access: "read" },
      ]);
      for (const [name, value] of Object.entries(all)) {
        await t.write(`${this.backend}/${name}`, value);
      }
    });
  }

  /** A node of the backend. */
  read(name: string): Promise<string | undefined> {
    return this.dom0.readOptional(`${this.backend}/${name}`);
  }

  /** Writes a node of the backend, as the kernel or anybody might. */
  write(name: string, value: string): Promise<void> {
    return this.dom0.write(`${this.backend}/${name}`, value);
  }

  /** Waits for a value of a backend node. @throws Error that shows the whole directory */
  async reaches(name: string, value: string | RegExp, patienceMs?: number): Promise<void> {
    const fits = (text: string | undefined) =>
      typeof value === "string" ? text === value : text !== undefined && value.test(text);
    await until(
      async () => fits(await this.read(name)),
      async () => `${name} never became ${value}: ${JSON.stringify(await this.nodes())}`,
      patienceMs,
    );
  }

  /** The toolstack wants it removed; the backend closes at once. */
  async detach(): Promise<void> {
    await this.dom0.transaction(async (t) => {
      await t.write(`${this.backend}/online`, "0");
      await t.write(`${this.backend}/state`, "6");
    });
  }

  /** Waits until the backend directory is gone. @throws Error that shows what is left */
  async gone(): Promise<void> {
    await until(
      async () => !await this.dom0.exists(this.backend),
      async () => `${this.backend} is still there: ${JSON.stringify(await this.nodes())}`,
    );
  }

  /** Removes everything by force. */
  async nuke(): Promise<void> {
    await this.dom0.removeOptional(this.frontend);
    await this.dom0.removeOptional(this.backend);
  }

  /** All nodes of the backend directory. */
  async nodes(): Promise<Record<string, string>> {
    const names = await this.dom0.listOptional(this.backend);
    const values = await Promise.all(names.map(async (name) => [name, await this.read(name)]));
    return Object.fromEntries(values);
  }
}
