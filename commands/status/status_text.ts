/** How things are, for people. Pure. */
import { oneLine, oneLineOfEnds, printable } from "../../core/log/log.ts";
import { shownName } from "../../core/xen/device_label.ts";
import type { DeviceStatus } from "../../core/daemon/control/device_status.ts";
import type { DaemonReport, Unanswered } from "../../core/daemon/control/report.ts";
import type { FailureReport } from "../../core/daemon/flight/flight.ts";
import { duration } from "../devd/state_report.ts";

/** All that `status` tells; `--json` prints it as it is. */
export interface Picture {
  /** null: none was asked. */
  readonly daemon:
    | Pick<DaemonReport, "version" | "domid" | "startedAt" | "uptimeMs" | "residentBytes">
    | null;
  /** What to know of where this comes from, when it is not from a daemon. */
  readonly note: string | null;
  readonly devices: readonly DeviceStatus[];
  /** The last, the newest last. */
  readonly failures: readonly FailureReport[];
  readonly unanswered: readonly Unanswered[];
}

/** Widest cell, and longest reason, in characters. */
const [CELL_MAX, REASON_MAX] = [44, 300];

const HEAD = ["guest", "device", "kind", "target", "way", "state", "since"];

/** @param now in ms since 1970 */
export function statusText(picture: Picture, now: number): string {
  const { daemon, note, devices, failures, unanswered } = picture;
  const sorted = [...devices].sort(byGuest);
  const known = new Map(devices.map((one) => [one.device, one]));
  const doing = sorted.filter((device) => device.doing !== null);
  const stuck = sorted.filter(({ state }) => state === "stuck");
  const wrong = sorted.filter(({ state, error }) => state !== "stuck" && error !== null);
  const earlier = failures.filter(({ device, message }) => known.get(device)?.error !== message);
  return [
    ...(note === null ? [] : [`${printable(note)}\n`]),
    ...(devices.length === 0
      ? []
      : columns([HEAD, ...sorted.map((one) => rowOf(one, now))]).map(printable)),
    ...section(
      "under way",
      doing.map((one) => `${nameOf(one)}: ${one.doing}, for ${duration(one.doingMs ?? 0)}`),
    ),
    ...section(
      "stuck: undoing them failed, and is tried again (xdevd retry DEVICE: now; give-up: no more)",
      stuck.map((one) => `${nameOf(one)}: ${one.error}`),
    ),
    ...section("failed", wrong.map((one) => `${nameOf(one)}: ${one.state}: ${one.error}`)),
    ...section(
      "failures before",
      earlier.map(({ at, device, message }) =>
        `${at.slice(0, 19)}Z ${named(known.get(device), device)}: ${message}`
      ),
    ),
    ...section(
      "storage that does not answer",
      unanswered.map(({ place, call, pid, silentMs }) =>
        `${place}, for ${duration(silentMs)}: ${call}, process ${pid}`
      ),
    ),
    ...(devices.length === 0 ? [] : [""]),
    total(devices) + (daemon === null ? "" : `; ${daemonWords(daemon)}`),
  ].map((line) => `${line}\n`).join("");
}

function section(title: string, lines: readonly string[]): string[] {
  if (lines.length === 0) return [];
  return ["", `${title}:`, ...lines.map((line) => `  ${oneLine(line, REASON_MAX)}`)];
}

function daemonWords(daemon: NonNullable<Picture["daemon"]>): string {
  const { version, domid, uptimeMs, residentBytes } = daemon;
  const memory = `${(residentBytes / 1024 / 1024).toFixed(1)} MB`;
  return `xdevd ${version} serves domain ${domid}, for ${duration(uptimeMs)}, with ${memory}`;
}

/** `12 devices: 11 connected, 1 failed` */
export function total(devices: readonly { readonly state: string }[]): string {
  const counts = new Map<string, number>();
  for (const { state } of devices) counts.set(state, (counts.get(state) ?? 0) + 1);
  return totalOf(counts);
}

/** @param counts by states */
export function totalOf(counts: ReadonlyMap<string, number>): string {
  const all = [...counts.values()].reduce((sum, count) => sum + count, 0);
  if (all === 0) return "no devices";
  const parts = [...counts].sort(([, a], [, b]) => b - a)
    .map(([state, count]) => `${count} ${state}`);
  return `${all} device${all === 1 ? "" : "s"}: ${parts.join(", ")}`;
}

/** `web: xvda (vbd/7/51712)` */
export function nameOf({ guestName, name, device }: DeviceStatus): string {
  const label = name === device ? device : `${name} (${device})`;
  return guestName === null ? label : `${shownName(guestName)}: ${label}`;
}

function named(device: DeviceStatus | undefined, name: string): string {
  return device === undefined ? name : nameOf(device);
}

function rowOf(device: DeviceStatus, now: number): string[] {
  const { guest, guestName, name, device: id, devid, kind, target, way, state, since } = device;
  return [
    guestName === null ? String(guest) : cell(`${shownName(guestName)} (${guest})`),
    name === id ? String(devid) : name,
    kind,
    target === null ? "-" : cell(target),
    way === null ? "-" : cell(way),
    state,
    since === null ? "-" : duration(Math.max(0, now - Date.parse(since))),
  ];
}

function cell(text: string): string {
  return oneLineOfEnds(text, CELL_MAX);
}

function byGuest(a: DeviceStatus, b: DeviceStatus): number {
  return a.guest - b.guest || (a.kind < b.kind ? -1 : a.kind > b.kind ? 1 : a.devid - b.devid);
}

/** Lines whose cells stand below each other; the first line is the head. */
export /** Lines of cells, each as wide as its column; the last column is not. */
function columns(lines: readonly (readonly string[])[]): string[] {
  const last = lines[0]!.length - 1;
  const widths: number[] = [];
  for (const line of lines) {
    for (let column = 0; column < last; column++) {
      widths[column] = Math.max(widths[column] ?? 0, line[column]!.length);
    }
  }
  return lines.map((line) => {
    let text = "";
    for (let column = 0; column < last; column++) {
      text += `${line[column]!.padEnd(widths[column]!)}  `;
    }
    return text + line[last];
  });
}
