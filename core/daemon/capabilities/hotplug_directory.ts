/** A device's hotplug directory in the store: its plugin's, and its version 2 script's, own. */
import type { DeviceId } from "../../xen/device_id.ts";
import { parseRecord, RECORD_NODE, type V2Record } from "../../hotplug/v2/convention.ts";
import { absentOrHidden } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { domainPath, parentPath } from "../../xenstore/paths.ts";

/** Where they are, relative to the domain's home, when the toolstack has given it `libxl`. */
const USUAL_BASE = "libxl/hotplug";
/** Where they are otherwise: below what every domain has for its own use. */
const OTHER_BASE = "data/xdevd/hotplug";

/** The hotplug directories of a driver domain. */
export class HotplugDirectories {
  readonly #store: StoreClient;
  #base: Promise<string> | null = null;

  constructor(store: StoreClient) {
    this.#store = store;
  }

  /** Path of a device's. */
  async of(id: DeviceId): Promise<string> {
    const base = await (this.#base ??= this.#findBase(id.backendDomid).catch((error) => {
      this.#base = null;
      throw error;
    }));
    return `${base}/${id.kind}/${id.frontendDomid}/${id.devid}`;
  }

  /** How far a device's version 2 script is; null: there is none. */
  async record(id: DeviceId): Promise<V2Record | null> {
    const text = await absentOrHidden(this.#store.readText(`${await this.of(id)}/${RECORD_NODE}`));
    return text === undefined ? null : parseRecord(text);
  }

  /**
   * Removes a device's, and what is empty above it.
   * @param which by default, not one of which a version 2 script still has need
   */
  async remove(id: DeviceId, which: "unused" | "any" = "unused"): Promise<void> {
    const directory = await this.of(id);
    const base = await this.#base;
    if (!await this.#store.exists(directory)) return;
    await this.#store.transaction(async (t) => {
      const record = which === "any" ? undefined : t.readText(`${directory}/${RECORD_NODE}`);
      if (record !== undefined && await absentOrHidden(record) !== undefined) return;
      await absentOrHidden(t.remove(directory));
      let above = parentPath(directory);
      // What is the toolstack's, `libxl` or `data`, stays.
      const top = `${domainPath(id.backendDomid)}/${base!.split("/")[4]}`;
      for (; above !== null && above !== top; above = parentPath(above)) {
        if ((await absentOrHidden(t.list(above)) ?? []).length > 0) break;
        await absentOrHidden(t.remove(above));
      }
    });
  }

  async #findBase(domid: number): Promise<string> {
    const home = domainPath(domid);
    // Whose directory it is; only with driver_domain=1 is it the domain's own.
    const permissions = await absentOrHidden(this.#store.getPermissions(`${home}/libxl`));
    return `${home}/${permissions?.[0]?.domid === domid ? USUAL_BASE : OTHER_BASE}`;
  }
}
