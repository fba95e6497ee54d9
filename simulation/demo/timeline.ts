/** Shows changes in the store as they happen: when, who, what. */
import type { Clock } from "../../platform/types.ts";
import { MessageParser, toText } from "../../core/xenstore/codec.ts";
import { Op, PAYLOAD_MAX } from "../../core/xenstore/operations.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import type { Watch } from "../../core/xenstore/watches.ts";
import type { Transport } from "../../core/xenstore/transport.ts";
import { printable } from "../../core/log/log.ts";
import { timelineLine } from "../../core/log/timeline.ts";

/** Nodes worth a line; the others are written once and say little. */
const SHOWN = [
  "state",
  "online",
  "params",
  "node",
  "physical-device",
  "physical-device-path",
  "hotplug-status",
  "hotplug-error",
];

/** Nodes that only the script writes in this demonstration. */
const OF_THE_SCRIPT = /\/(node|physical-device|physical-device-path|hotplug-status|hotplug-error)$/;

/** Prints lines with the time since its start. */
export class Timeline {
  readonly #clock: Clock;
  readonly #print: (line: string) => void;
  readonly #coloured: boolean;
  readonly #start: number;
  /** Who of this process's actors last wrote a path, or removed it (`-PATH`). */
  readonly #claims = new Map<string, string>();
  readonly #known = new Map<string, string | undefined>();
  readonly #watches: Watch[] = [];
  #pending: Promise<void> = Promise.resolve();

  /** @param coloured whether each actor's name has a colour */
  constructor(clock: Clock, print: (line: string) => void, coloured = false) {
    this.#clock = clock;
    this.#print = print;
    this.#coloured = coloured;
    this.#start = clock.now();
  }

  /** Milliseconds since the start. */
  get elapsed(): number {
    return this.#clock.now() - this.#start;
  }

  line(who: string, what: string): void {
    this.#print(`${timelineLine(this.elapsed, who, what, this.#coloured)}\n`);
  }

  /** A transport whose writer is remembered: changes of these paths are its. */
  claim(transport: Transport, who: string): Transport {
    const note = (message: Uint8Array) => {
      for (const { type, payload } of new MessageParser(PAYLOAD_MAX).push(message)) {
        if (type !== Op.WRITE && type !== Op.RM && type !== Op.MKDIR) continue;
        const path = toText(payload.subarray(0, payload.indexOf(0)));
        this.#claims.set(type === Op.RM ? `-${path}` : path, who);
      }
    };
    return {
      name: transport.name,
      maxPayload: transport.maxPayload,
      ordered: transport.ordered,
      window: transport.window,
      reconnects: transport.reconnects,
      start: (sink) => transport.start(sink),
      send(message) {
        note(message);
        transport.send(message);
      },
      close: () => transport.close(),
    };
  }

  /** Shows the changes at and below a directory under a short name. */
  async follow(dom0: StoreClient, directory: string, shortName: string): Promise<void> {
    this.#watches.push(
      await dom0.watch(directory, (path) => {
        // In order, though each takes a look at the store.
        this.#pending = this.#pending.then(() => this.#show(dom0, directory, shortName, path))
          .catch(() => {});
      }),
    );
  }

  /** Waits for what is still to be shown, then stops following. */
  async stop(): Promise<void> {
    await this.#pending;
    for (const watch of this.#watches) await watch.close().catch(() => {});
  }

  async #show(
    dom0: StoreClient,
    directory: string,
    shortName: string,
    path: string,
  ): Promise<void> {
    const existed = this.#known.get(directory) !== undefined;
    const exists = await dom0.exists(directory);
    this.#known.set(directory, exists ? "" : undefined);
    if (existed && !exists) {
      this.line(this.#writer(`-${directory}`, "daemon"), `${shortName} deleted`);
      return;
    }
    if (!exists) return;
    // A new directory comes all at once, by a transaction: look at everything that is shown.
    const paths = existed ? [path] : SHOWN.map((name) => `${directory}/${name}`);
    for (const one of paths) {
      const name = one.slice(directory.length + 1);
      if (!SHOWN.includes(name)) continue;
      const value = await dom0.readOptional(one);
      if (value === this.#known.get(one)) continue;
      this.#known.set(one, value);
      if (value === undefined || value === "") continue;
      const who = this.#writer(one, OF_THE_SCRIPT.test(one) ? "script" : "daemon");
      this.line(who, `${shortName}/${name} = ${printable(value)}`);
    }
  }

  #writer(claim: string, otherwise: string): string {
    const who = this.#claims.get(claim) ?? otherwise;
    this.#claims.delete(claim);
    return who;
  }
}
