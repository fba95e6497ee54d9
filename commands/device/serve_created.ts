/** `attach --serve` in a driver domain: serving what the toolstack creates, without a daemon. */
import { type DeviceId, parseDecimal, parseDomid } from "../../core/xen/device_id.ts";
import { deviceLabel, nickname } from "../../core/xen/device_label.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { awaitDevice, setupOf } from "../../core/toolstack/await_device.ts";
import { parseDisk } from "../../core/toolstack/specs/disk/parse.ts";
import { parseVdev } from "../../core/toolstack/specs/disk/vdev.ts";
import { BUILT_IN_PARSERS } from "../../core/toolstack/specs/registry.ts";
import { wholeSeconds } from "../../core/toolstack/time_limit.ts";
import { absent } from "../../core/xenstore/access.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DeadlineError } from "../../core/xenstore/errors.ts";
import { CodedError } from "../../core/messages/error.ts";
import { type DeviceResult, resultOf } from "./device_result.ts";
import { deviceNamed, frontendKindNamed } from "./kinds.ts";
import {
  type AttachOptions,
  type DeviceSession,
  timeLimit,
  untilTerminated,
  whenVisible,
} from "./session.ts";
import { whileServing } from "./serving.ts";

/** As the command line has it. */
interface Order {
  readonly device: string;
  /** undefined: any. */
  readonly guest: string | undefined;
  readonly texts: readonly string[];
}

/** Which device is waited for; what is undefined may be any. */
interface Awaited {
  readonly kinds: readonly string[];
  readonly guest: number | undefined;
  readonly devid: number | undefined;
  /** The backend that the specification names, by domid or name. */
  readonly backend: string | undefined;
}

/** Most guests, and devices of one, that are looked at. */
const MANY = 1000;

/**
 * Waits until the toolstack has created the device, and serves it. It stays when that fails: it is the
 * toolstack's.
 * @throws CodedError
 */
export async function serveCreated(
  session: DeviceSession,
  order: Order,
  options: AttachOptions,
  builtIns: readonly BuiltIn[],
): Promise<DeviceResult> {
  const { store, ownDomid } = session;
  const limit = timeLimit(options.timeout);
  const left = () => Math.max(1, limit.left());
  const awaited = awaitedBy(order);
  await checkBackend(session, awaited.backend);
  return await untilTerminated(store, async (told) => {
    const id = await Promise.race([
      whenVisible(store, "backend", () => created(store, ownDomid, awaited), left()),
      told,
    ]).catch((error) => {
      if (!(error instanceof DeadlineError)) throw error;
      const within = wholeSeconds(options.timeout * 1000);
      throw new CodedError(
        "no-answer",
        `${labelOf(order, awaited)}: the toolstack did not create it within ${within}`,
      );
    });
    const frontendKind = await frontendKindNamed(id.kind, options, builtIns);
    await whileServing(session, id, options, builtIns, left(), async (here) => {
      // Who serves it here is gone afterwards: what is not set up by then never is.
      const level = here && options.wait === "created" ? "hotplug" : options.wait;
      await Promise.race([awaitDevice(store, id, frontendKind, level, left()), told]);
    });
    const { frontendDomid, devid } = id;
    return await resultOf(store, { frontendKind, frontendDomid, devid }, id);
  });
}

/** What is wrong with it is told before anything is waited for. @throws SpecError */
export function checkSpec(device: string, texts: readonly string[]): void {
  if (deviceNamed(device)?.device === "disk") parseDisk(texts, { targetOptional: true });
}

/** What is served is what the toolstack writes: of the specification only vdev and backend matter. */
function awaitedBy({ device, guest, texts }: Order): Awaited {
  const named = deviceNamed(device)?.device;
  const which = { guest: guest === undefined ? undefined : guestOf(guest) };
  if (named === "disk") {
    const { vdev, backend } = parseDisk(texts, { targetOptional: true });
    return { ...which, kinds: BUILT_IN_PARSERS.disk.kinds, devid: parseVdev(vdev), backend };
  }
  const items = texts.flatMap((text) => text.split(","));
  const value = (key: string) =>
    items.findLast((item) => item.startsWith(`${key}=`))?.slice(key.length + 1);
  const devid = value("devid");
  return {
    ...which,
    kinds: named === undefined ? [device] : BUILT_IN_PARSERS[named].kinds,
    devid: devid === undefined ? undefined : devidOf(devid),
    backend: value("backend"),
  };
}

/** A driver domain can see no names. */
function guestOf(text: string): number {
  const domid = parseDomid(text);
  if (domid !== undefined) return domid;
  throw new CodedError(
    "no-such-domain",
    `domain ${
      JSON.stringify(text)
    }: expected a domid; a driver domain, as this one, sees no names` +
      " (--any-guest: whichever comes)",
  );
}

function devidOf(text: string): number {
  const devid = parseDecimal(text, 0x7fffffff);
  if (devid !== undefined) return devid;
  throw new CodedError("usage", `devid=${text}: expected a decimal number`);
}

/** @throws CodedError when it is to be another domain */
async function checkBackend(
  { store, ownDomid }: DeviceSession,
  backend: string | undefined,
): Promise<void> {
  if (backend === undefined || backend === String(ownDomid)) return;
  const name = await store.readVisible("name");
  // Where its name is hidden, nothing contradicts.
  if (name === undefined && parseDomid(backend) === undefined || backend === name) return;
  throw new CodedError(
    "usage",
    `--serve: the backend is to be domain ${
      JSON.stringify(backend)
    }, and this is domain ${ownDomid}` +
      (name === undefined ? "" : `, ${JSON.stringify(name)}`),
  );
}

/** The device, once it is there: of any guest's the first that is not set up. */
async function created(
  store: StoreClient,
  backendDomid: number,
  { kinds, guest, devid }: Awaited,
): Promise<DeviceId | undefined> {
  const found: DeviceId[] = [];
  for (const kind of kinds) {
    const guests = guest === undefined ? await numbersIn(store, `backend/${kind}`) : [guest];
    for (const frontendDomid of guests) {
      const directory = `backend/${kind}/${frontendDomid}`;
      const devids = devid === undefined ? await numbersIn(store, directory) : [devid];
      for (const one of devids) {
        // It is created as a whole: what has no state is not one yet, or no more.
        const state = await absent(store.readText(`${directory}/${one}/state`));
        if (state !== undefined) found.push({ backendDomid, kind, frontendDomid, devid: one });
      }
    }
  }
  found.sort((a, b) => a.frontendDomid - b.frontendDomid || a.devid - b.devid);
  const isNamed = guest !== undefined && devid !== undefined;
  for (const id of found) if (isNamed || await setupOf(store, id) === "none") return id;
  return undefined;
}

async function numbersIn(store: StoreClient, path: string): Promise<number[]> {
  const names = await absent(store.list(path)) ?? [];
  return names.slice(0, MANY).map((name) => parseDecimal(name, 0x7fffffff))
    .filter((number) => number !== undefined);
}

function labelOf({ device }: Order, { kinds, guest, devid }: Awaited): string {
  const [kind = device] = kinds;
  if (guest !== undefined && devid !== undefined) {
    return deviceLabel({ kind, frontendDomid: guest, devid });
  }
  const of = guest === undefined ? "any guest" : `domain ${guest}`;
  if (devid === undefined) return `a ${device} of ${of}`;
  // An interface's name has its guest's domid in it.
  const nick = kind === "vif" ? null : nickname({ kind, frontendDomid: 0, devid });
  return `${nick ?? `${device} ${devid}`} of ${of}`;
}
