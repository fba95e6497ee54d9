/** `xdevd status --watch`: the picture as it changes. */
import { printJsonLine } from "../json_output.ts";
import { systemClock } from "../../platform/clock.ts";
import { terminalWidth } from "../../platform/io/terminal.ts";
import type { Cancel } from "../../platform/types.ts";
import { onTermination, printTo } from "../../platform/self.ts";
import { ExitCode } from "../../core/messages/error.ts";
import { oneLine } from "../../core/log/log.ts";
import type { DeviceStatus } from "../../core/daemon/control/device_status.ts";
import { ControlClient } from "../devd/control_client.ts";
import type { StatusOptions } from "./options.ts";
import { ask, deviceCalled } from "./asking.ts";
import { nameOf, statusText } from "./status_text.ts";

/** How often the picture is drawn again at most, and while something is under way, in ms. */
const [REDRAW_MS, BUSY_MS] = [250, 1_000];

/** Longest line, in characters. */
const LINE_MAX = 500;

/** ECMA-48: to the upper left, and erase what follows. */
const CLEAR = "\x1b[H\x1b[J";

interface Change {
  readonly changed: string;
  readonly device?: DeviceStatus;
}

/** Until it is told to end, or the daemon ends. @throws NoDaemon, CodedError */
export async function watch(
  client: ControlClient,
  device: string | undefined,
  options: StatusOptions,
): Promise<number> {
  // Whether it answers at all: who follows is told nothing until something changes.
  const { devices } = await ask(client);
  const name = device === undefined ? null : deviceCalled(device, devices).device;
  let isOver = false;
  const leave = onTermination(() => {
    isOver = true;
    client.close();
  });
  const painting = !options.json && terminalWidth(1) !== undefined
    ? await painter(options.runDir, name)
    : null;
  try {
    for await (
      const change of client.follow<Change>("Follow", name === null ? {} : { device: name })
    ) {
      if (painting === null) tell(change, options.json === true);
      else painting.redraw();
    }
  } catch (error) {
    if (!isOver) throw error;
  } finally {
    leave();
    painting?.stop();
  }
  return ExitCode.Success;
}

/** A line each, for who reads it later, or by a program. Of a named device, what happens to it is `trace`'s. */
function tell(change: Change & { readonly event?: unknown }, json: boolean): void {
  if (change.event !== undefined) return;
  if (json) return printJsonLine(change);
  const { changed, device } = change;
  const time = new Date().toISOString();
  const text = device === undefined
    ? `${changed}: nothing is left of it`
    : `${nameOf(device)}: ${device.state}: ${device.error ?? device.detail}`;
  printTo(1, `${time} ${oneLine(text, LINE_MAX)}\n`);
}

/** Draws all on the terminal: now, soon after each change, and again and again while something is under way. */
async function painter(
  runDir: string,
  name: string | null,
): Promise<{ redraw(): void; stop(): void }> {
  let isDue = false;
  let cancel: Cancel = () => {};
  const later = (ms: number) => {
    if (isDue) return;
    isDue = true;
    cancel = systemClock.after(ms, () => {
      isDue = false;
      // Of a daemon that has ended, the other connection tells.
      paint().catch(() => {});
    });
  };
  const paint = async () => {
    const client = await ControlClient.open(runDir);
    try {
      const { devices, failures, ...rest } = await ask(client);
      const shown = name === null ? devices : devices.filter((one) => one.device === name);
      const text = statusText({ ...rest, devices: shown, failures }, Date.now());
      printTo(1, `${CLEAR}${text}`);
      if (shown.some(({ doing }) => doing !== null)) later(BUSY_MS);
    } finally {
      client.close();
    }
  };
  await paint();
  return { redraw: () => later(REDRAW_MS), stop: () => cancel() };
}
