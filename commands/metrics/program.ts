/** The command line of `xdevd metrics`. */
import { type Command, Option } from "../line/command.ts";
import { absoluteFile } from "../../platform/self.ts";
import type { MetricsOptions } from "./metrics.ts";

/** Adds it. */
export function addMetrics(
  program: Command,
  storeOption: () => Option,
  finish: (status: number) => void,
): void {
  program.command("metrics")
    .description("print what this domain's daemon has counted, for Prometheus")
    .example("xdevd metrics", "in Prometheus' text format")
    .example(
      "xdevd metrics --textfile /var/lib/prometheus/node-exporter/xdevd.prom",
      "for node_exporter; to be called each minute",
    )
    .addOption(
      new Option("--textfile <file>", "write them into a file, which is whole at any time")
        .argParser(absoluteFile),
    )
    .addOption(
      new Option("--run-dir <dir>", "the daemon's").default("/run/xdevd").argParser(absoluteFile),
    )
    .addOption(storeOption())
    .action(async (options: MetricsOptions) => {
      finish(await (await import("./metrics.ts")).metrics(options));
    });
}
