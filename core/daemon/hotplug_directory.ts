/** A device's hotplug directory in the store: its plugin's, and its version 2 script's, own. */
import type { DeviceId } from "../device/id.ts";
import { absentOrHidden } from "../xenstore/access.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { domainPath, parentPath } from "../xenstore/paths.ts";

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

  /** Removes a device's, and what is empty above it. */
  async remove(id: DeviceId): Promise<void> {
    const directory = await this.of(id);
    const base = await this.#base;
    if (!await this.#store.exists(directory)) return;
    await this.#store.transaction(async (t) => {
      await absentOrHidden(t.remove(directory));
      let above = parentPath(directory);
      for (; above !== null && above !== parentPath(base!); above = parentPath(above)) {
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
