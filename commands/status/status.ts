/** `xdevd status`: which devices are served, what is under way, what is wrong. */
import { printTo } from "../../platform/self.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { printJson } from "../json_output.ts";
import { ControlClient, NoDaemon } from "../devd/control_client.ts";
import { ask, deviceCalled } from "./asking.ts";
import type { StatusOptions } from "./options.ts";
import { type Picture, statusText } from "./status_text.ts";

/** @param device by name, or by what its guest calls it; by default, all @throws CodedError */
export async function status(
  device: string | undefined,
  options: StatusOptions,
): Promise<number> {
  if (options.domain !== undefined) {
    if (device !== undefined || options.watch) {
      const line = "--domain tells of a domain as a whole: expected neither a device nor --watch";
      throw new CodedError("usage", line);
    }
    const { domainStatus } = await import("./domain.ts");
    return await domainStatus(options.domain, options);
  }
  if (options.watch) {
    const { watch } = await import("./watch.ts");
    return await withDaemon(options.runDir, (client) => watch(client, device, options));
  }
  show(await pictureOf(options), device, options);
  return ExitCode.Success;
}

/** By the daemon; by journal and store where none answers, or one that does not go on. @throws CodedError */
async function pictureOf(options: StatusOptions): Promise<Picture> {
  try {
    return await withDaemon(options.runDir, ask);
  } catch (error) {
    if (!(error instanceof NoDaemon)) throw error;
    const { withoutDaemon } = await import("./without_daemon.ts");
    return await withoutDaemon(options, error.message);
  }
}

/** @throws NoDaemon */
async function withDaemon<T>(
  runDir: string,
  work: (client: ControlClient) => Promise<T>,
): Promise<T> {
  const client = await ControlClient.open(runDir);
  try {
    return await work(client);
  } finally {
    client.close();
  }
}

/** @throws CodedError when there is no such device */
function show(picture: Picture, device: string | undefined, { json }: StatusOptions): void {
  const shown = device === undefined ? picture : only(device, picture);
  if (json) printJson(shown);
  else printTo(1, statusText(shown, Date.now()));
}

/** Of one device. @throws CodedError */
function only(text: string, picture: Picture): Picture {
  const { device } = deviceCalled(text, picture.devices);
  return {
    ...picture,
    devices: picture.devices.filter((one) => one.device === device),
    failures: picture.failures.filter((failure) => failure.device === device),
  };
}
