/** A driver domain, as the store tells of it in domain 0. It writes much of that itself: it is not trusted. */
import { presencePath } from "../../../core/requests/protocol/paths.ts";
import { oneLine } from "../../../core/log/log.ts";
import { knownDomains, nameOfDomain, resolveDomain } from "../../../core/toolstack/domains.ts";
import { deviceLabel } from "../../../core/xen/device_label.ts";
import { XenbusState } from "../../../core/xen/states.ts";
import { absentOrHidden } from "../../../core/xenstore/access.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";
import { domainPath } from "../../../core/xenstore/paths.ts";
import { MESSAGES } from "../../../core/messages/table.ts";
import { bounded, type Finding, type Found, ok, orOk, unknown, warning } from "../finding.ts";
import { devicesOf, type SeenDevices } from "../here.ts";
import { findingsOf } from "./devices.ts";
import { emptyOf, rightsOf } from "./store.ts";

/** Most that is shown of what a driver domain says, in characters. */
const SHOWN_MAX = 100;

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
  const text = await absentOrHidden(store.readText(presencePath(domid)));
  if (!text) {
    return [unknown("no daemon says anything here: one runs that takes no requests, or none")];
  }
  const [version = ""] = text.split(" ");
  return [ok(`its daemon says that it is xdevd ${oneLine(version, SHOWN_MAX)}`)];
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
