/** `xdevd request …`: devices that driver domains make themselves (docs/request-protocol.md). */
import { deviceName } from "../device/id.ts";
import { printable } from "../log/log.ts";
import { onTermination, printTo } from "../platform/self.ts";
import type { BuiltIn } from "../../plugins/host/host.ts";
import type { RequestId } from "../request/paths.ts";
import { lowestFreeDevid } from "../toolstack/live/create.ts";
import { resolveDomain } from "../toolstack/live/domains.ts";
import { ToolstackError } from "../toolstack/live/error.ts";
import type { WantedDevice } from "../toolstack/live/planned.ts";
import {
  attachByRequest,
  awaitRequest,
  detachByRequest,
  releaseRequest,
  type ServedDevice,
} from "../toolstack/request/request.ts";
import {
  type ListedRequest,
  listRequests,
  requestDaemon,
  setUpRequests,
} from "../toolstack/request/setup.ts";
import type { StoreClient } from "../xenstore/client.ts";
import { circumstances, describe } from "./device_attach.ts";
import { devidOf } from "./device_detach.ts";
import { deviceNamed } from "./device_kinds.ts";
import type { DeviceOptions } from "./device_options.ts";
import { type DeviceSession, printJson, say, withDevices } from "./device_session.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";

/** Options of the commands that wait, as parsed. */
export interface RequestCommandOptions extends DeviceOptions {
  /** Seconds. */
  readonly timeout: number;
  readonly hold?: boolean;
  readonly force?: boolean;
}

/** `xdevd request attach`. */
export async function attachRequest(
  device: string,
  guest: string,
  texts: readonly string[],
  options: RequestCommandOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  return await withDevices(options, async (session) => {
    const frontendDomid = await resolveDomain(session.store, guest);
    const around = await circumstances(session, frontendDomid, options);
    const wanted = await describe(device, texts, around, options, builtIns);
    for (const warning of wanted.warnings) say(warning);
    const { timeout, hold = false } = options;
    const served = await requestDevice(session, frontendDomid, wanted, { timeout, hold });
    if (options.json) printServed(served);
    return ExitCode.Success;
  });
}

/** Asks for a device and waits for it. @throws ToolstackError; nothing of it is left then */
export async function requestDevice(
  { store }: DeviceSession,
  frontendDomid: number,
  wanted: WantedDevice,
  { timeout, hold = false }: { readonly timeout: number; readonly hold?: boolean },
): Promise<ServedDevice> {
  const { devid, frontendKind, backendDomid } = wanted;
  if (await requestDaemon(store, backendDomid) === undefined) {
    throw new ToolstackError(
      "no answer",
      `no daemon in domain ${backendDomid} takes requests: does it run, and was \`xdevd request ` +
        `setup ${backendDomid}\` done?`,
    );
  }
  const chosen = devid ?? await lowestFreeDevid(store, frontendDomid, frontendKind);
  return await interruptible((signal) =>
    attachByRequest(store, asked(wanted, chosen), {
      hold,
      signal,
      waits: { waiting: timeout * 1000 },
    })
  );
}

/** @throws CommandError for a device that cannot be requested */
function asked(wanted: WantedDevice, devid: number): ReturnType<WantedDevice["request"]> {
  try {
    return wanted.request(devid);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new CommandError(error.message, ExitCode.BadSpecification);
  }
}

/** `xdevd request wait` and `release`. */
export async function continueRequest(
  what: "wait" | "release",
  device: string,
  guest: string,
  which: string,
  options: RequestCommandOptions,
): Promise<number> {
  return await withDevices(options, async (session) => {
    const id = await namedRequest(session, device, guest, which);
    const go = what === "wait" ? awaitRequest : releaseRequest;
    const waits = { waiting: options.timeout * 1000 };
    const served = await interruptible((signal) => go(session.store, id, { signal, waits }));
    if (options.json) printServed(served);
    return ExitCode.Success;
  });
}

/** `xdevd request detach`. */
export async function detachRequest(
  device: string,
  guest: string,
  which: string,
  options: RequestCommandOptions,
): Promise<number> {
  return await withDevices(options, async (session) => {
    const id = await namedRequest(session, device, guest, which);
    const { force = false } = options;
    await interruptible((signal) => detachByRequest(session.store, id, { force, signal }));
    return ExitCode.Success;
  });
}

/** `xdevd request setup`. */
export async function setUp(domain: string, options: DeviceOptions): Promise<number> {
  return await withDevices(options, async ({ store }) => {
    await setUpRequests(store, await resolveDomain(store, domain));
    return ExitCode.Success;
  });
}

/** `xdevd request list`. */
export async function listRequested(
  domain: string | undefined,
  options: DeviceOptions,
): Promise<number> {
  return await withDevices(options, async ({ store }) => {
    const backend = domain === undefined ? undefined : await resolveDomain(store, domain);
    const requests = await listRequests(store, backend);
    if (options.json) printJson(requests.map(described));
    else {
      printTo(1, "Backend  Request         Wanted  State          Result        Error\n");
      for (const { id, online, report } of requests) {
        const { state, result, error } = report;
        const cells = [
          String(id.backendDomid).padEnd(7),
          deviceName(id).padEnd(14),
          (online ? "yes" : "no").padEnd(6),
          (state ?? "-").padEnd(13),
          (result ?? "-").padEnd(12),
          error ?? "",
        ];
        printTo(1, `${printable(cells.join("  ").trimEnd())}\n`);
      }
    }
    return ExitCode.Success;
  });
}

function described({ id, online, report }: ListedRequest): Record<string, unknown> {
  const { state, result, error, pdev, device } = report;
  return {
    backendDomid: id.backendDomid,
    frontendKind: id.kind,
    frontendDomid: id.frontendDomid,
    devid: id.devid,
    online,
    state,
    kind: device?.kind ?? null,
    hotplugStatus: result ?? null,
    error: error ?? null,
    pdev: pdev ?? null,
  };
}

/** The request for a guest's device; undefined when there is none. */
export async function findRequest(
  store: StoreClient,
  frontendKind: string,
  frontendDomid: number,
  devid: number,
): Promise<RequestId | undefined> {
  const requests = await listRequests(store);
  return requests.find(({ id }) =>
    id.kind === frontendKind && id.frontendDomid === frontendDomid && id.devid === devid
  )?.id;
}

async function namedRequest(
  session: DeviceSession,
  device: string,
  guest: string,
  which: string,
): Promise<RequestId> {
  const frontendKind = deviceNamed(device)?.frontendKind ?? device;
  const frontendDomid = await resolveDomain(session.store, guest);
  const devid = await devidOf(session, frontendDomid, frontendKind, which);
  const id = await findRequest(session.store, frontendKind, frontendDomid, devid);
  if (id !== undefined) return id;
  throw new ToolstackError(
    "no device",
    `there is no request for a ${frontendKind} ${which} of domain ${frontendDomid}`,
  );
}

/** Told to end, it ends; the request stays, for `wait` or `detach` to go on with. */
async function interruptible<T>(work: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const abort = new AbortController();
  const ignore = onTermination((signal) =>
    abort.abort(new Error(`${signal}: given up; \`xdevd request list\` shows what is under way`))
  );
  try {
    return await work(abort.signal);
  } finally {
    ignore();
  }
}

/** What was attached, for programs. */
export function printServed({ state, device, pdev }: ServedDevice): void {
  printJson({
    state,
    kind: device?.kind ?? null,
    backendDomid: device?.backendDomid ?? null,
    frontendDomid: device?.frontendDomid ?? null,
    devid: device?.devid ?? null,
    pdev: pdev ?? null,
  });
}
