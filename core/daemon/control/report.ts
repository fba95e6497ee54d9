/** All that the daemon counts, in one: what metrics are made of. Pure. */
import type { OperationCount } from "../flight/counters.ts";
import type { FailureReport, Flight } from "../flight/flight.ts";

/** How many devices of a kind are set up in one way and are in one state. */
export interface DeviceCount {
  readonly kind: string;
  readonly way: string | null;
  readonly state: string;
  readonly count: number;
}

/** A call that storage has not answered. */
export interface Unanswered {
  readonly pid: number;
  /** `stat "/images/a"` */
  readonly call: string;
  /** What does not answer. */
  readonly place: string;
  /** For how long, in ms. */
  readonly silentMs: number;
}

/** What is not the flight's. */
export interface ReportFacts {
  readonly version: string;
  readonly domid: number;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  readonly uptimeMs: number;
  /** The helpers that wait in the kernel for storage. */
  readonly unanswered: readonly Unanswered[];
  readonly storeRequests: number;
  readonly storeRoundTrips: number;
  readonly residentBytes: number;
}

/** The answer to `Report`. */
export interface DaemonReport extends ReportFacts {
  readonly devices: readonly DeviceCount[];
  readonly operations: readonly OperationCount[];
  readonly failures: readonly { readonly code: string; readonly count: number }[];
  /** The newest last. */
  readonly lastFailures: readonly FailureReport[];
  readonly retries: number;
  readonly storageHelpersLeft: number;
}

export function daemonReport(
  facts: ReportFacts,
  devices: readonly DeviceCount[],
  { counters, failures }: Flight,
): DaemonReport {
  return {
    ...facts,
    devices,
    operations: counters.operations,
    failures: counters.failures,
    lastFailures: failures,
    retries: counters.retries,
    storageHelpersLeft: facts.unanswered.length,
  };
}
