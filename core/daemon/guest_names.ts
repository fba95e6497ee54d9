/**
 * Names of guests, for the log. A driver domain usually may not read them; where it may, nothing waits
 * for them.
 */
import { deviceFields, deviceLabel, type Named } from "../xen/device_label.ts";
import type { LogSubject } from "../log/log.ts";
import { isServerError } from "../xenstore/errors.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { domainPath } from "../xenstore/paths.ts";

/** Guests whose names are remembered; of others devices are named without. */
const GUESTS_MAX = 4096;

/** Longest name that is remembered, in characters. */
const NAME_MAX = 256;

/** What guests are called, as far as it is known. */
export class GuestNames {
  readonly #store: StoreClient;
  readonly #names = new Map<number, string>();
  readonly #asking = new Set<number>();
  /** They were hidden when one was asked for: the others are, too. */
  #hidden = false;

  constructor(store: StoreClient) {
    this.#store = store;
  }

  /** What log lines about a device begin with: by then, the name may be known. */
  subjectOf(id: Named): LogSubject {
    const nameOf = () => this.#names.get(id.frontendDomid);
    return {
      get label() {
        return deviceLabel(id, nameOf());
      },
      get fields() {
        return deviceFields(id, nameOf());
      },
    };
  }

  /** What a guest is called, as far as it is known. */
  of(domid: number): string | null {
    return this.#names.get(domid) ?? null;
  }

  /** Asks for a guest's name, which may have changed. */
  ask(domid: number): void {
    if (this.#hidden || this.#asking.has(domid)) return;
    this.#asking.add(domid);
    this.#store.readOptional(`${domainPath(domid)}/name`).then((name) => {
      if (!name || this.#names.size >= GUESTS_MAX) this.#names.delete(domid);
      else this.#names.set(domid, name.slice(0, NAME_MAX));
    }, (error) => {
      if (isServerError(error, "EACCES", "EPERM")) this.#hidden = true;
    }).finally(() => this.#asking.delete(domid));
  }

  /** None of its devices is known any more. */
  forget(domid: number): void {
    this.#names.delete(domid);
  }
}
