/** Devices with which something is the matter, and the bridges that they name. */
import { isThere } from "../../../core/is_there.ts";
import { codeIn, MESSAGES } from "../../../core/messages/table.ts";
import { quoted } from "../../../core/log/quoted.ts";
import { deviceName } from "../../../core/xen/device_id.ts";
import { deviceLabel } from "../../../core/xen/device_label.ts";
import { parseState, XenbusState } from "../../../core/xen/states.ts";
import type { StoreClient } from "../../../core/xenstore/client.ts";
import { absentOrHidden } from "../../../core/xenstore/access.ts";
import { bounded, failure, type Finding, orOk, unknown, warning } from "../finding.ts";
import { type Here, type SeenDevices } from "../here.ts";
import { seen } from "./store.ts";

export async function lookAtDevices(here: Here): Promise<Finding[]> {
  const { store } = await seen(here);
  const devices = await here.devices();
  const findings = await findingsOf(store, devices);
  // What is undone after its directory was deleted, only the daemon knows.
  const known = new Set(devices.devices.map(({ id }) => deviceName(id)));
  const daemon = await here.daemon().catch(() => null);
  const stuck = (daemon?.devices ?? []).filter(({ state, name }) =>
    state === "stuck" && !known.has(name)
  );
  return [
    ...findings,
    ...bounded(stuck.map(({ name, error }) =>
      failure(
        `${name}: stuck: its directory is gone, and it cannot be undone: ${error}`,
        MESSAGES["removal-failed"].repair,
      )
    )),
  ];
}

/** What the store tells of devices; also from domain 0. */
export async function findingsOf(store: StoreClient, seen: SeenDevices): Promise<Finding[]> {
  const { devices, count } = seen;
  const findings: Finding[] = [];
  const there = await Promise.all(
    devices.map(({ nodes: { frontend } }) =>
      frontend === undefined || !frontend.startsWith("/")
        ? undefined
        : absentOrHidden(store.readText(`${frontend}/state`)).catch(() => undefined)
    ),
  );
  devices.forEach(({ id, path, nodes }, index) => {
    const label = deviceLabel(id);
    const { "hotplug-status": status, "hotplug-error": error, state: text } = nodes;
    if (status === "error" || status === "busy" || error) {
      const code = codeIn(error ?? "");
      const stuck = code === "removal-failed"
        ? "stuck: it cannot be undone"
        : status === "connected"
        ? "it was set up, and does not work any more"
        : `it is not served (${quoted(status ?? "")})`;
      findings.push(failure(
        `${label}: ${stuck}: ${error || "no reason is told"}`,
        code === null
          ? "mend the cause, and attach it again; the daemon's log has more"
          : MESSAGES[code].repair,
      ));
    } else if (there[index] === undefined) {
      findings.push(warning(
        `${label}: its guest is gone, and ${path} is left`,
        "the daemon removes it; if it does not, in domain 0: xenstore-rm it",
      ));
    } else if (parseState(text ?? "") === undefined) {
      findings.push(failure(
        `${label}: its state is ${quoted(text ?? "missing")}`,
        "detach it and attach it again",
      ));
    }
  });
  if (count > devices.length) {
    findings.push(unknown(`${count - devices.length} devices more were not looked at`));
  }
  const served =
    devices.filter(({ nodes }) => parseState(nodes.state ?? "") === XenbusState.Connected).length;
  return [...orOk(bounded(findings), `${count} devices, ${served} of them connected`)];
}

/** Longest name of an interface (IFNAMSIZ, linux/if.h). */
const INTERFACE_NAME = /^(?!\.{1,2}$)[^/\s\0]{1,15}$/;

/** The bridges that devices name. */
export async function lookAtBridges(here: Here): Promise<Finding[]> {
  await seen(here);
  const { devices } = await here.devices();
  const asking = new Map<string, { label: string; script: string }>();
  for (const { id, nodes } of devices) {
    if (id.kind !== "vif" || !nodes.bridge) continue;
    asking.set(nodes.bridge, { label: deviceLabel(id), script: nodes.script ?? "" });
  }
  if (asking.size > 0 && !await isThere(here.files, "/sys/class/net")) {
    return [unknown("there is no /sys/class/net")];
  }
  const findings: Finding[] = [];
  for (const [bridge, { label, script }] of asking) {
    const named = `bridge ${quoted(bridge)}, which ${label} names`;
    const repair = MESSAGES["bridge-missing"].repair;
    const path = `/sys/class/net/${bridge}`;
    if (!INTERFACE_NAME.test(bridge) || !await isThere(here.files, path)) {
      findings.push(failure(`there is no ${named}`, repair));
    } else if (!script.includes("openvswitch") && !await isThere(here.files, `${path}/bridge`)) {
      findings.push(failure(`${named}, is an interface and no bridge`, repair));
    }
  }
  const message = asking.size === 0
    ? "no device names a bridge"
    : `the bridges that devices name are there: ${[...asking.keys()].map(quoted).join(", ")}`;
  return [...orOk(bounded(findings), message)];
}
