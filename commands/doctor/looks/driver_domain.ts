/** A driver domain, as the store tells of it in domain 0. It writes much of that itself: it is not trusted. */
import { domainStatusPath, parseDomainStatus } from "../../../core/daemon/control/domain_status.ts";
import { knownDomains, nameOfDomain, resolveDomain } from "../../../core/toolstack/domains.ts";
import { deviceLabel } from "../../../core/xen/device_label.ts";
import { XenbusState } from "../../../core/xen/states.ts";
import { absentOrHidden } from "../../../core/xenstore/access.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";
import { domainPath } from "../../../core/xenstore/paths.ts";
import { MESSAGES } from "../../../core/messages/table.ts";
import {
  bounded,
  failure,
  type Finding,
  type Found,
  ok,
  orOk,
  unknown,
  warning,
} from "../finding.ts";
import { devicesOf, type SeenDevices } from "../here.ts";
import { findingsOf } from "./devices.ts";
import { emptyOf, rightsOf } from "./store.ts";

/** What is looked at in domain 0. */
export async function lookAtDriverDomains(
  store: StoreClient,
  wanted: string | undefined,
): Promise<Found[]> {
  const domids = wanted === undefined
    ? await driverDomains(store)
    : [await resolveDomain(store, wanted)];
  if (domids.length === 0) {
    return [{ check: "domains", ...ok("this is domain 0, and the store knows no driver domain") }];
  }
  const found: Found[] = [];
  for (const domid of domids) {
    const name = await nameOfDomain(store, domid);
    for (const [check, findings] of await looksOf(store, domid)) {
      for (const finding of findings) {
        found.push({ check, ...finding, message: `${name}: ${finding.message}` });
      }
    }
  }
  return found;
}

/** Those that have backends, or may have some. */
async function driverDomains(store: StoreClient): Promise<number[]> {
  const found: number[] = [];
  for (const domid of await knownDomains(store)) {
    if (domid === 0) continue;
    const home = domainPath(domid);
    const signs = await Promise.all(
      ["backend", "libxl"].map((name) => absentOrHidden(store.read(`${home}/${name}`))),
    );
    if (signs.some((sign) => sign !== undefined)) found.push(domid);
  }
  return found;
}

async function looksOf(
  store: StoreClient,
  domid: number,
): Promise<[check: string, findings: readonly Finding[]][]> {
  const devices = await devicesOf(store, domid);
  return [
    ["rights", orOk(await rightsOf(store, domid), "it is made a driver domain")],
    ["daemon", await presenceOf(store, domid)],
    ["devices", await findingsOf(store, devices)],
    ["backends", orOk(bounded(untouched(devices)), "its kernel has taken up all devices")],
    ["quota", orOk(emptyOf(devices), "no guests that are gone use up its quota")],
  ];
}

/** What its daemon says of itself. */
async function presenceOf(store: StoreClient, domid: number): Promise<Finding[]> {
  const text = await store.readVisible(domainStatusPath(domid));
  if (text === undefined) {
    return [unknown("no daemon says anything here: another one may run there, or none")];
  }
  const status = parseDomainStatus(text);
  if (status === null) return [unknown("what it says of its daemon makes no sense")];
  const { version, ready, at } = status;
  return ready
    ? [ok(`xdevd ${version} serves it, by its own word of ${at}`)]
    : [failure(`its daemon has ended, by its own word of ${at}`, MESSAGES["no-answer"].repair)];
}

/** Devices that nobody has begun to serve. */
function untouched({ devices }: SeenDevices): Finding[] {
  return devices.filter(({ nodes: { state, "hotplug-status": status } }) =>
    state === String(XenbusState.Initialising) && !status
  ).map(({ id }) =>
    warning(
      `${deviceLabel(id)}: the driver domain has not begun to serve it`,
      MESSAGES["no-answer"].repair,
    )
  );
}
