/** `xdevd trace`: how the last attaches and detaches of a device went. */
import { takesColour } from "../../platform/io/terminal.ts";
import { onTermination, printTo } from "../../platform/self.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import type { FlightEvent, OperationReport } from "../../core/daemon/flight/flight_recorder.ts";
import { ControlClient, ControlRefused } from "../devd/control_client.ts";
import { printJson, printJsonLine } from "../json_output.ts";
import { writeOutput } from "../output_file.ts";
import type { TraceOptions } from "./options.ts";
import { fullNameOf } from "./asking.ts";
import { eventLine, operationText } from "./operation_text.ts";

/** @param text a device, by name or by what its guest calls it @throws CodedError, NoDaemon */
export async function trace(text: string, options: TraceOptions): Promise<number> {
  if (options.json && options.svg !== undefined) {
    throw new CodedError("usage", "expected --json or --svg, not both");
  }
  const client = await ControlClient.open(options.runDir);
  try {
    const device = await fullNameOf(client, text);
    const history = await historyOf(client, device, options.follow === true);
    if (options.svg !== undefined) {
      const last = history.at(-1);
      if (last === undefined) throw new CodedError("no-such-device", untraced(device));
      const { timelineSvg } = await import("./timeline_svg.ts");
      writeOutput(options.svg, timelineSvg(device, last));
    } else if (options.json && !options.follow) printJson({ device, history });
    else if (!options.json) {
      if (history.length === 0 && !options.follow) printTo(1, `${untraced(device)}\n`);
      for (const one of history) printTo(1, operationText(device, one, takesColour(1)));
    }
    if (options.follow) await follow(client, device, options.json === true);
    return ExitCode.Success;
  } finally {
    client.close();
  }
}

/** @param mayCome whether a device that is not known may come yet @throws CodedError */
async function historyOf(
  client: ControlClient,
  device: string,
  mayCome: boolean,
): Promise<readonly OperationReport[]> {
  try {
    const { history } = await client.call<{ history: OperationReport[] }>("Describe", { device });
    return history;
  } catch (error) {
    if (!(error instanceof ControlRefused) || error.error !== "NoSuchDevice") throw error;
    if (mayCome) return [];
    throw nothingOf(device);
  }
}

/** Of a device that is known: it was set up before the daemon started. */
function untraced(device: string): string {
  return `${device}: no attach and no detach since the daemon was started (xdevd status tells how it is)`;
}

function nothingOf(device: string): CodedError {
  const said = JSON.stringify(device.slice(0, 100));
  return new CodedError(
    "no-such-device",
    `nothing is remembered of ${said}; expected a device of this domain, such as vbd/7/51712`,
  );
}

interface Change {
  readonly operation?: string;
  readonly startedAt?: string;
  readonly event?: FlightEvent;
}

/** What happens from now on, until it is told to end. @throws NoDaemon */
async function follow(client: ControlClient, device: string, json: boolean): Promise<void> {
  let isOver = false;
  const leave = onTermination(() => {
    isOver = true;
    client.close();
  });
  let shown = "";
  try {
    for await (const change of client.follow<Change>("Follow", { device })) {
      const { operation, startedAt = "", event } = change;
      if (event === undefined) continue;
      if (json) printJsonLine({ device, operation, startedAt, ...event });
      else {
        const title = `${operation} of ${device}, ${startedAt}:`;
        printTo(1, `${title === shown ? "" : `${title}\n`}${eventLine(event, takesColour(1))}\n`);
        shown = title;
      }
    }
  } catch (error) {
    if (!isOver) throw error;
  } finally {
    leave();
  }
}
