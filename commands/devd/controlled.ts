/** The daemon, as whoever connects to its socket may ask it. */
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import type { Controlled } from "../../core/daemon/control/methods.ts";
import { daemonReport } from "../../core/daemon/control/report.ts";
import { StatusNode } from "../../core/daemon/control/status_node.ts";
import { VERSION } from "../../core/version.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import type { PluginOptions } from "../plugin/set.ts";
import type { Serving } from "./serving.ts";
import { readAgain, unansweredCalls } from "./signals.ts";

export function controlled(
  serving: Pick<Serving, "daemon" | "settings"> & Partial<Pick<Serving, "leavesGarbage">>,
  store: StoreClient,
  options: PluginOptions,
): Controlled {
  const { devices, domid } = serving.daemon;
  const { flight } = devices;
  const start = systemClock.now();
  const startedAt = new Date().toISOString();
  return {
    version: VERSION,
    devices,
    history: (name) => flight.recorder.history(name),
    follow(name, tell) {
      const ends = [devices.follow((changed) => {
        if (name === null || changed === name) tell({ name: changed });
      })];
      if (name !== null) {
        ends.push(flight.recorder.listen(name, ({ operation, startedAt }, event) => {
          tell({ name, operation, startedAt: new Date(startedAt).toISOString(), event });
        }));
      }
      return () => {
        for (const end of ends) end();
      };
    },
    asked: () => serving.leavesGarbage?.(),
    reload: () => readAgain(options, serving),
    async report() {
      const { requests, roundTrips } = store.traffic;
      return daemonReport(
        {
          ...{ version: VERSION, domid, startedAt },
          uptimeMs: Math.round(systemClock.now() - start),
          unanswered: unansweredCalls(),
          storeRequests: requests,
          storeRoundTrips: roundTrips,
          residentBytes: await residentBytes(),
        },
        devices.counts(),
        flight,
      );
    },
  };
}

/** Tells domain 0 of each change, until it is closed. */
export function statusNode(
  { devices, domid }: Serving["daemon"],
  store: StoreClient,
): { close(): Promise<void> } {
  const node = new StatusNode({
    ...{ store, clock: systemClock, domid, version: VERSION },
    states: () => devices.stateCounts,
    failure: () => devices.flight.failures.at(-1),
  });
  const end = devices.follow(() => node.changed());
  node.changed();
  return {
    close() {
      end();
      return node.close();
    },
  };
}

/** The memory that this process takes, shared pages included; 0: it cannot be told (proc(5), status). */
async function residentBytes(): Promise<number> {
  const text = await systemFiles.readText("/proc/self/status").catch(() => "");
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(text)?.[1] ?? 0) * 1024;
}
