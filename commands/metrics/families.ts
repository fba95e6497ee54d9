/** What the daemon has counted, as metrics. Pure. */
import type { DaemonReport } from "../../core/daemon/control/report.ts";
import type { Family, Labels } from "./exposition.ts";

/** Most series of one name that come from names that others choose. */
const SERIES_MAX = 500;

/** That none answers. */
export function silentFamilies(): Family[] {
  return [up(0)];
}

/** @param nodesLeft how many nodes this domain can still make in the store, as far as anybody looked; null: unknown */
export function families(report: DaemonReport, nodesLeft: number | null): Family[] {
  const { operations, devices } = report;
  const of = ({ kind, operation }: { kind: string; operation: string }): Labels => ({
    kind,
    operation,
  });
  return [
    up(1),
    gauge("xdevd_info", "The daemon that answers; always 1.", [
      [{ version: report.version, domid: report.domid }, 1],
    ]),
    gauge("xdevd_start_time_seconds", "When the daemon was started, in seconds since 1970.", [
      [{}, Math.round(Date.parse(report.startedAt) / 1000)],
    ]),
    gauge(
      "xdevd_devices",
      "Devices, by kind, by how they are set up, and by state.",
      devices.slice(0, SERIES_MAX).map(({ kind, way, state, count }) => [
        { kind, way: way ?? "", state },
        count,
      ]),
    ),
    counter(
      "xdevd_operations_total",
      "Attaches and detaches that have ended.",
      operations.slice(0, SERIES_MAX).flatMap((one) => [
        [{ ...of(one), result: "succeeded" }, one.succeeded],
        [{ ...of(one), result: "failed" }, one.failed],
      ]),
    ),
    {
      name: "xdevd_operation_duration_seconds",
      help: "How long attaches and detaches took that succeeded.",
      type: "histogram",
      histograms: operations.slice(0, SERIES_MAX).map((one) => ({
        labels: of(one),
        count: one.duration.count,
        sum: seconds(one.duration.sumMs),
        buckets: one.duration.buckets.map(({ leMs, count }) => [seconds(leMs), count]),
      })),
    },
    counter(
      "xdevd_failures_total",
      "Failures, by their code (docs/troubleshooting.md).",
      report.failures.slice(0, SERIES_MAX).map(({ code, count }) => [{ cause: code }, count]),
    ),
    counter("xdevd_retries_total", "Tries of what had failed or was refused before.", [
      [{}, report.retries],
    ]),
    gauge("xdevd_storage_helpers_left", "Processes that wait for storage that does not answer.", [
      [{}, report.storageHelpersLeft],
    ]),
    counter("xdevd_store_requests_total", "Requests to the store.", [[{}, report.storeRequests]]),
    counter("xdevd_store_round_trips_total", "Times that an answer of the store was waited for.", [
      [{}, report.storeRoundTrips],
    ]),
    gauge("xdevd_resident_memory_bytes", "Memory of the daemon.", [[{}, report.residentBytes]]),
    gauge(
      "xdevd_store_nodes_left",
      "Nodes that this domain can still make in the store; 100 means as many or more.",
      nodesLeft === null ? [] : [[{}, nodesLeft]],
    ),
  ];
}

function up(value: 0 | 1): Family {
  return gauge("xdevd_up", "Whether the daemon answers.", [[{}, value]]);
}

function gauge(name: string, help: string, samples: (readonly [Labels, number])[]): Family {
  return { name, help, type: "gauge", samples };
}

function counter(name: string, help: string, samples: (readonly [Labels, number])[]): Family {
  return { name, help, type: "counter", samples };
}

/** Without the digits that dividing makes. */
function seconds(ms: number): number {
  return Number((ms / 1000).toFixed(4));
}
