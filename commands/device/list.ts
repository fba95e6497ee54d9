/** `xdevd list` and its kin. */
import { own } from "../../contract/v1/own.ts";
import { knownDomains, resolveDomain } from "../../core/toolstack/domains.ts";
import {
  kindsOf,
  listDevices,
  type ListedDevice,
  recordNode,
} from "../../core/toolstack/list_devices.ts";
import { printTo } from "../../platform/self.ts";
import { oneLine, oneLineOfEnds, printable } from "../../core/log/log.ts";
import { deviceLabel, shownName } from "../../core/xen/device_label.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { errorJson, printJson } from "../json_output.ts";
import { deviceResult } from "./device_result.ts";
import { columns } from "../status/status_text.ts";
import { type ListOptions, say, withDevices } from "./session.ts";
import { CodedError, ExitCode, type Problem, problemOf } from "../../core/messages/error.ts";

/** What `xl`'s tables have of a kind besides what all have (xl_block.c, xl_nic.c, xl_vtpm.c). */
interface Table {
  readonly head: string;
  /** Nodes of the frontend that are shown. */
  readonly nodes: readonly string[];
  /** A node of the record that is shown: what the guest cannot change. */
  readonly recorded?: string;
  /** @param values those of the nodes, then of the record's; empty where there is none */
  row(device: ListedDevice, values: readonly string[], backendDomid: number): string;
}

/** -1 for what is no number: the guest may have written anything. */
const number = (text: string | number | undefined) =>
  /^\d{1,10}$/.test(String(text)) ? String(text) : "-1";
const left = (text: string | number, width: number) => String(text).padEnd(width);
const right = (text: string | number, width: number) => String(text).padStart(width);

/** As `xl block-list`, `network-list` and `vtpm-list` print them, to the blank. */
const TABLES: Readonly<Record<string, Table>> = {
  vbd: {
    head: "Vdev  BE  handle state evt-ch ring-ref BE-path                       ",
    nodes: ["event-channel", "ring-ref"],
    row: (device, [channel, ring], backendDomid) =>
      [
        left(device.devid, 5),
        left(backendDomid, 3),
        left(device.frontendDomid, 6),
        left(number(device.frontendState), 5),
        left(number(channel), 6),
        left(number(ring), 8),
        left(device.backend, 30),
      ].join(" "),
  },
  vif: {
    head: "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path" + " ".repeat(23),
    nodes: ["event-channel", "tx-ring-ref", "rx-ring-ref"],
    recorded: "mac",
    row: (device, [channel, tx, rx, mac], backendDomid) =>
      [
        left(device.devid, 3),
        left(backendDomid, 2),
        left(mac || "??:??:??:??:??:??", 17) + right(device.devid, 6),
        right(number(device.frontendState), 5),
        right(number(channel), 6),
        `${right(number(tx), 5)}/${left(number(rx), 11)}`,
        left(device.backend, 30),
      ].join(" "),
  },
  vtpm: {
    head: "Idx BE Uuid" + " ".repeat(33) + "handle state evt-ch ring-ref BE-path   ",
    nodes: ["event-channel", "ring-ref"],
    recorded: "uuid",
    row: (device, [channel, ring, uuid], backendDomid) =>
      [
        left(device.devid, 3),
        left(backendDomid, 2),
        left(uuid ?? "", 36),
        right(device.devid, 6),
        right(number(device.frontendState), 5),
        right(number(channel), 6),
        right(number(ring), 8),
        left(device.backend, 30),
      ].join(" "),
  },
};

/** In a driver domain, who wants to know what there is can be told where. */
async function withRecords<T>(...args: Parameters<typeof withDevices<T>>): Promise<T> {
  try {
    return await withDevices(...args);
  } catch (error) {
    const { messageCode, message = "" } = error as Partial<CodedError>;
    // Not of one that is not root, in whatever domain.
    if (messageCode !== "not-permitted" || !message.endsWith("domain 0")) throw error;
    throw new CodedError(messageCode, `${message}; \`xdevd status\` tells what is served here`);
  }
}

/** The devices of one kind of some domains, as `xl` lists them. */
export async function listKind(
  frontendKind: string,
  guests: readonly string[],
  options: ListOptions,
): Promise<number> {
  const { head, nodes, recorded, row } = own(TABLES, frontendKind)!;
  return await withRecords(options, async ({ store }) => {
    let failure: Problem | null = null;
    const all: ListedDevice[] = [];
    if (!options.json) printTo(1, `${head}\n`);
    for (const guest of guests) {
      let domid: number;
      try {
        domid = await resolveDomain(store, guest);
      } catch (error) {
        if (!(error instanceof CodedError) || error.messageCode !== "no-such-domain") throw error;
        // As `xl`: the others are listed all the same.
        say(error.message);
        failure ??= problemOf(error);
        continue;
      }
      const devices = await listDevices(store, domid, frontendKind);
      all.push(...devices);
      if (options.json) continue;
      for (const device of devices) {
        const values = await Promise.all(
          nodes.map(async (name) => await store.readVisible(`${device.frontend}/${name}`) ?? ""),
        );
        if (recorded !== undefined) values.push(await recordNode(store, device, recorded) ?? "");
        const backend = device.id?.backendDomid ?? 0;
        printTo(1, `${printable(row(device, values, backend))}\n`);
      }
    }
    if (options.json) {
      const devices = await Promise.all(all.map((device) => deviceResult(store, device)));
      printJson(failure === null ? devices : { error: errorJson(failure), devices });
    }
    return failure?.status ?? ExitCode.Success;
  });
}

/** Longest target, and longest reason, that is shown, in characters. */
const [TARGET_MAX, ERROR_MAX] = [44, 300];

/** `web (7)`, or `7` where no name is to be seen. */
function withName(domid: number, name: string | null): string {
  return name === null ? String(domid) : `${shownName(name)} (${domid})`;
}

/** All devices of some domains, or of all. */
export async function listAll(guests: readonly string[], options: ListOptions): Promise<number> {
  return await withRecords(options, async ({ store }) => {
    const domids = guests.length === 0
      ? await knownDomains(store)
      : await Promise.all(guests.map((guest) => resolveDomain(store, guest)));
    const devices = (await Promise.all(domids.map((domid) => devicesOf(store, domid)))).flat();
    if (options.json) {
      printJson(await Promise.all(devices.map((device) => deviceResult(store, device))));
      return ExitCode.Success;
    }
    const lines = [["guest", "device", "kind", "backend", "target", "state"]];
    const errors: string[] = [];
    for (const device of devices) {
      const told = await deviceResult(store, device);
      const { guest, guestName, name, kind, devid, backend, backendName, target } = told;
      lines.push([
        withName(guest, guestName),
        name.includes("/") ? String(devid) : name,
        kind,
        backend === null ? "-" : withName(backend, backendName),
        oneLineOfEnds(target ?? "-", TARGET_MAX),
        told.state,
      ]);
      if (told.hotplugError !== null && told.state !== "connected") {
        const { frontendDomid } = device;
        const label = deviceLabel({ kind, frontendDomid, devid }, guestName ?? undefined);
        errors.push(`${label}: ${oneLine(told.hotplugError, ERROR_MAX)}`);
      }
    }
    for (const line of columns(lines)) printTo(1, `${printable(line)}\n`);
    if (errors.length > 0) printTo(1, `\n${errors.map((line) => `${printable(line)}\n`).join("")}`);
    return ExitCode.Success;
  });
}

async function devicesOf(store: StoreClient, domid: number): Promise<ListedDevice[]> {
  const kinds = await kindsOf(store, domid);
  return (await Promise.all(kinds.map((kind) => listDevices(store, domid, kind)))).flat();
}
