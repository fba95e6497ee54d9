/** What a shell may complete to that is not in the table: from the store, as far as it can be seen. */
import { DEVICE_NAMES } from "../../core/toolstack/resolved_spec.ts";
import { domainName, knownDomains, resolveDomain } from "../../core/toolstack/domains.ts";
import { kindsOf, listDevices } from "../../core/toolstack/list_devices.ts";
import { BUILT_IN_PARSERS, type BuiltInSpecs } from "../../core/toolstack/specs/registry.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { isKind, parseDomid } from "../../core/xen/device_id.ts";
import { nickname } from "../../core/xen/device_label.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { KeptStore } from "../../platform/io/kept_directories.ts";
import { deviceNamed } from "../device/kinds.ts";
import type { Source, Suggestion } from "./wanted.ts";

/** Most that are looked at of anything: more cannot be read by a person either. */
const MANY = 200;

/**
 * Looks one source up; sources that the shell itself knows (files) give nothing.
 * @param store connects; called only if need be
 * @param typed what there is of the word
 */
export async function lookUp(
  source: Source,
  typed: string,
  builtIns: readonly BuiltIn[],
  store: () => Promise<StoreClient>,
): Promise<Suggestion[]> {
  switch (source.of) {
    case "file":
    case "directory":
      return [];
    case "plugin":
      return builtIns.map(({ manifest: { name, description = "" } }) => [name, description]);
    case "kind":
      return kindNames(builtIns).map((kind) => [`${kind}${source.separator}`, ""]);
    case "vtpm":
      return new KeptStore(`${source.stateDir}/vtpm`).list().slice(0, MANY)
        .map((uuid) => [uuid, ""]);
    case "device":
      return [...new Set([...DEVICE_NAMES, ...kindNames(builtIns)])].map((name) => [name, ""]);
    case "domain":
      return await domains(await store(), source.names);
    case "served":
      return await served(await store());
    case "guest's device":
      return await guestsDevices(await store(), source.guest, source.device);
    case "store path":
      return await storePaths(await store(), typed);
    case "specification": {
      const [, key, value] = /^([a-z-]+)=(.*)$/s.exec(typed) ?? [];
      if (key === "backend" && value !== undefined) {
        const found = await domains(await store(), true);
        return found.map(([name, meaning]) => [`backend=${name}`, meaning]);
      }
      const device = deviceNamed(source.device)?.device;
      if (key !== undefined || device === undefined) return [];
      return BUILT_IN_PARSERS[device as keyof BuiltInSpecs].keys.map((name) => [`${name}=`, ""]);
    }
  }
}

function kindNames(builtIns: readonly BuiltIn[]): string[] {
  return builtIns.flatMap(({ manifest }) => manifest.kinds);
}

/** Those that the store shows; in a driver domain, the guests that it serves. */
async function domains(store: StoreClient, names: boolean): Promise<Suggestion[]> {
  const all = await knownDomains(store).catch(() => [] as number[]);
  const domids = all.length > 0
    ? all
    : [...new Set((await servedDevices(store)).map(({ domid }) => domid))].sort((a, b) => a - b);
  return (await Promise.all(
    domids.slice(0, MANY).map(async (domid): Promise<Suggestion[]> => {
      const name = await domainName(store, domid).catch(() => String(domid));
      if (name === String(domid)) return [[name, "domain"]];
      return [...names ? [[name, `domain ${domid}`] as const] : [], [String(domid), name]];
    }),
  )).flat();
}

interface ServedDevice {
  readonly kind: string;
  readonly domid: number;
  readonly devid: number;
}

/** What this domain serves, by its own directories. */
async function servedDevices(store: StoreClient): Promise<ServedDevice[]> {
  const list = async (path: string) => (await store.list(path).catch(() => [])).slice(0, MANY);
  const found: ServedDevice[] = [];
  for (const kind of (await list("backend")).filter(isKind)) {
    for (const guest of await list(`backend/${kind}`)) {
      const domid = parseDomid(guest);
      if (domid === undefined || found.length > MANY) continue;
      const devids = (await list(`backend/${kind}/${guest}`)).filter((name) => /^\d+$/.test(name));
      found.push(...devids.map((devid) => ({ kind, domid, devid: Number(devid) })));
    }
  }
  return found;
}

async function served(store: StoreClient): Promise<Suggestion[]> {
  return (await servedDevices(store)).map(({ kind, domid, devid }) => [
    `${kind}/${domid}/${devid}`,
    nickname({ kind, frontendDomid: domid, devid }) ?? "",
  ]);
}

async function guestsDevices(
  store: StoreClient,
  guest: string,
  device: string | undefined,
): Promise<Suggestion[]> {
  const named = device === undefined ? null : deviceNamed(device);
  const only = named?.frontendKind ?? device;
  const found: { readonly kind: string; readonly domid: number; readonly devid: number }[] = [];
  try {
    const domid = await resolveDomain(store, guest);
    for (const kind of await kindsOf(store, domid)) {
      if (only !== undefined && kind !== only) continue;
      const devices = await listDevices(store, domid, kind);
      found.push(...devices.map(({ devid }) => ({ kind, domid, devid })));
    }
  } catch {
    // A driver domain sees what it serves.
    const mine = (kind: string) => named === null || deviceNamed(kind)?.device === named.device;
    found.push(
      ...(await servedDevices(store)).filter(({ kind, domid }) =>
        String(domid) === guest && (mine(kind) || kind === device)
      ),
    );
  }
  return found.slice(0, MANY).map(({ kind, domid, devid }) => {
    const nick = nickname({ kind, frontendDomid: domid, devid });
    return nick === null ? [String(devid), kind] : [nick, `${kind} ${devid}`];
  });
}

/** The children of the node that the word names so far. */
async function storePaths(store: StoreClient, typed: string): Promise<Suggestion[]> {
  const above = typed.slice(0, typed.lastIndexOf("/") + 1);
  const parent = above === "/" ? "/" : above.replace(/\/$/, "");
  const home = async () => `/local/domain/${await store.readText("domid")}`;
  const names = await store.list(parent === "" ? await home() : parent);
  return names.slice(0, MANY).map((name) => [above + name, ""]);
}
