/** The nodes by which a guest's device model and those who look for it know each other. */
import { absentOrHidden } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { domainPath } from "../../xenstore/paths.ts";

/** The nodes of one guest's device model, in its driver domain's home. */
export class DeviceModelNodes {
  readonly #store: StoreClient;
  readonly #state: string;
  readonly #directory: string;
  readonly #guest: string;

  constructor(store: StoreClient, backendDomid: number, frontendDomid: number) {
    const home = domainPath(backendDomid);
    this.#store = store;
    this.#directory = `${home}/device-model/${frontendDomid}`;
    this.#state = `${this.#directory}/state`;
    this.#guest = `${home}/libxl/${frontendDomid}`;
  }

  /** Removes the state that an earlier one may have left: it would pass for the next one's. */
  async clearState(): Promise<void> {
    await absentOrHidden(this.#store.remove(this.#state));
  }

  /** Tells tools where it is (libxl_dm.c, `libxl__spawn_qdisk_backend`). */
  async writePid(pid: number): Promise<void> {
    await this.#store.write(`${this.#guest}/qdisk-backend-pid`, String(pid));
  }

  /** The process that the node names; undefined when there is none, or it is no number. */
  async readPid(): Promise<number | undefined> {
    const text = await absentOrHidden(this.#store.readText(`${this.#guest}/qdisk-backend-pid`));
    return text !== undefined && /^[1-9]\d{0,9}$/.test(text) ? Number(text) : undefined;
  }

  /** Resolves when QEMU says that it runs. @throws the signal's reason */
  async running(signal: AbortSignal): Promise<void> {
    const look = async () =>
      await absentOrHidden(this.#store.readText(this.#state)) === "running" || undefined;
    await this.#store.watchUntil(this.#state, look, { signal });
  }

  /** Removes all of them, and what is empty then. */
  async remove(): Promise<void> {
    await this.#store.transaction(async (t) => {
      await absentOrHidden(t.remove(this.#directory));
      await absentOrHidden(t.remove(`${this.#guest}/qdisk-backend-pid`));
      const others = await absentOrHidden(t.list(this.#guest));
      if (others?.length === 0) await absentOrHidden(t.remove(this.#guest));
    });
  }
}
