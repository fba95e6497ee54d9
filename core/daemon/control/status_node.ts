/** Writes what the daemon says of itself to domain 0: seldom, and only when it has changed. */
import type { Cancel, Clock } from "../../../platform/types.ts";
import type { DeviceState } from "../../xen/device_json.ts";
import { openLog } from "../../log/log.ts";
import { isServerError } from "../../xenstore/errors.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { FailureReport } from "../flight/flight.ts";
import { type DomainStatus, domainStatusPath, encodeDomainStatus } from "./domain_status.ts";

/** How soon a change is told, and how often at most, in ms. */
const [SOON_MS, OFTEN_MS] = [1_000, 10_000];

/** How long the last word may take, in ms. */
const LAST_MS = 1_000;

/** What it needs. */
export interface StatusNodeParts {
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly domid: number;
  readonly version: string;
  /** How many devices are in which state. */
  states(): ReadonlyMap<DeviceState, number>;
  failure(): FailureReport | undefined;
}

/** The node. A store that refuses it is asked no more. */
export class StatusNode {
  readonly #parts: StatusNodeParts;
  readonly #startedAt = new Date().toISOString();
  #cancel: Cancel | null = null;
  #writtenAt: number | null = null;
  /** What was written last, without its time. */
  #said = "";
  #refused = false;

  constructor(parts: StatusNodeParts) {
    this.#parts = parts;
  }

  /** Something may have changed. */
  changed(): void {
    if (this.#cancel !== null || this.#refused) return;
    const { clock } = this.#parts;
    const since = this.#writtenAt === null ? Infinity : clock.now() - this.#writtenAt;
    this.#cancel = clock.after(Math.max(SOON_MS, OFTEN_MS - since), () => {
      this.#cancel = null;
      void this.#write(true);
    });
  }

  /** The daemon serves no more. Waits for the store, but not for long. */
  async close(): Promise<void> {
    this.#cancel?.();
    this.#cancel = null;
    // Also what an earlier daemon has said is over.
    await this.#write(false);
    this.#refused = true;
  }

  async #write(ready: boolean): Promise<void> {
    const { store, clock, domid, version, states, failure } = this.#parts;
    if (this.#refused) return;
    const { at, device, code, message } = failure() ?? {};
    const status: Omit<DomainStatus, "at"> = {
      ...{ version, ready, startedAt: this.#startedAt },
      states: Object.fromEntries(states()),
      failure: at === undefined ? null : { at, device: device!, code: code!, message: message! },
    };
    const said = JSON.stringify(status);
    if (said === this.#said) return;
    this.#said = said;
    this.#writtenAt = clock.now();
    const text = encodeDomainStatus({ ...status, at: new Date().toISOString() });
    try {
      const limit = ready ? {} : { timeoutMs: LAST_MS };
      await store.write(domainStatusPath(domid), text, limit);
    } catch (error) {
      if (isServerError(error, "EACCES", "EPERM", "ENOSPC", "EQUOTA")) this.#refused = true;
      else this.#said = "";
      openLog().debug(`domain 0 is not told how it goes: ${(error as Error).message}`);
    }
  }
}
