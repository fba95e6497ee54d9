/** A guest's connection to a server: its memory, its event channel, and their end. */
import type { GuestMemory } from "../../contract/v2/memory.ts";
import type { ServerManifest } from "../../contract/v2/manifest.ts";
import type { Connection } from "../../contract/v2/server.ts";
import { systemError } from "../system_error.ts";
import type { Clock } from "../types.ts";
import { type Mapping, PAGE, type Port, REFERENCES_MAX, type XenDevices } from "./devices.ts";
import { EventBudget } from "./event_budget.ts";

/** Events of a guest's that are taken in a second, unless the manifest says otherwise. */
export const EVENTS_PER_SECOND = 2_000;

/** What the frontend has told; numbers are checked to be some. */
export interface FrontendOffer {
  readonly guest: number;
  /** Grant references, a list for each of the manifest's `pages`. */
  readonly references: readonly (readonly number[])[];
  readonly port: number;
  readonly nodes: Readonly<Record<string, string>>;
}

/** A connection that whoever made it can end. */
export interface OpenConnection {
  readonly connection: Connection;
  /** Tells the server that it is to end. */
  close(reason: string): void;
  /** Ends it: everything is unmapped and unbound. */
  end(): void;
}

/** @throws SystemError when what the frontend offers cannot be mapped or bound; nothing is left then */
export function openConnection(
  devices: XenDevices,
  manifest: Pick<ServerManifest, "pages" | "eventsPerSecond">,
  { guest, references, port: remote, nodes }: FrontendOffer,
  clock: Clock,
): OpenConnection {
  const mappings = new Map<GuestMemory, Mapping>();
  const closing = new AbortController();
  const budget = new EventBudget(manifest.eventsPerSecond ?? EVENTS_PER_SECOND, clock);
  let ended = false;
  const port = devices.bind(guest, remote);
  const end = () => {
    ended = true;
    closing.abort(new Error("the connection has ended"));
    // While the port is bound: the notice of the unmapping goes through it.
    for (const mapping of mappings.values()) mapping.unmap();
    mappings.clear();
    port.unbind();
  };
  const map = (
    list: readonly number[],
    access: "read" | "write",
    clear?: number,
  ): GuestMemory => {
    if (ended) throw systemError("ENXIO", "the connection has ended");
    checkReferences(list);
    const notice = clear === undefined ? undefined : { clear, port: port.number };
    const mapping = devices.map(guest, list, access, notice);
    mappings.set(mapping.memory, mapping);
    return mapping.memory;
  };
  const checkCopy = (reference: number, offset: number, length: number) => {
    if (ended) throw systemError("ENXIO", "the connection has ended");
    checkReferences([reference]);
    const fits = Number.isInteger(offset) && offset >= 0 && length <= PAGE - offset;
    if (!fits) throw new RangeError(`${length} bytes at ${offset} of a page of ${PAGE}`);
  };
  let memory: GuestMemory[];
  try {
    memory = manifest.pages.map(({ access, clearOnUnmap }, index) =>
      map(references[index] ?? [], access, clearOnUnmap)
    );
  } catch (error) {
    end();
    throw error;
  }
  const connection: Connection = {
    guest,
    memory,
    nodes,
    closing: closing.signal,
    events: {
      wait: () => waitFor(port, budget, clock, closing.signal, () => ended),
      async turn() {
        if (ended) return false;
        await pause(clock, budget.take());
        return !ended;
      },
      notify: () => ended ? undefined : port.notify(),
    },
    map: (list, access) => map(list, access),
    unmap(given) {
      mappings.get(given)?.unmap();
      mappings.delete(given);
    },
    copyFrom(reference, offset, length) {
      checkCopy(reference, offset, length);
      const bytes = new Uint8Array(length);
      devices.copyFrom(guest, reference, offset, bytes);
      return bytes;
    },
    copyTo(reference, offset, bytes) {
      checkCopy(reference, offset, bytes.length);
      devices.copyTo(guest, reference, offset, bytes);
    },
  };
  return { connection, close: (reason) => closing.abort(new Error(reason)), end };
}

function pause(clock: Clock, ms: number): Promise<void> {
  return new Promise((end) => void clock.after(ms, end));
}

/** @throws SystemError EINVAL */
function checkReferences(list: readonly number[]): void {
  const are = list.length >= 1 && list.length <= REFERENCES_MAX &&
    list.every((one) => Number.isInteger(one) && one >= 0 && one <= 0xffff_ffff);
  if (!are) {
    throw systemError(
      "EINVAL",
      `${list.length} grant references; expected 1 to ${REFERENCES_MAX}, each 0 to 2^32-1`,
    );
  }
}

/** Signals of which a wait has told that they fired. */
const told = new WeakSet<AbortSignal>();

async function waitFor(
  port: Port,
  budget: EventBudget,
  clock: Clock,
  closing: AbortSignal,
  isOver: () => boolean,
): Promise<boolean> {
  if (isOver()) return false;
  const { promise: closed, resolve } = Promise.withResolvers<"closing">();
  const onAbort = () => resolve("closing");
  if (!told.has(closing)) {
    if (closing.aborted) onAbort();
    else closing.addEventListener("abort", onAbort, { once: true });
  }
  const event = await Promise.race([port.wait(), closed]);
  closing.removeEventListener("abort", onAbort);
  if (closing.aborted) told.add(closing);
  if (isOver() || event === false) return false;
  if (event === "closing") return true;
  const ms = budget.take();
  if (ms > 0) await pause(clock, ms);
  if (isOver()) return false;
  port.unmask();
  return true;
}
