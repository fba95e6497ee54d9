/** What devices are called on the command line, and what that is in the store. */
import { isKind, KIND_LENGTH_MAX } from "../../core/xen/device_id.ts";
import type { BuiltIn, PluginRegistry } from "../../core/daemon/plugin/host.ts";
import { frontendKindOf } from "../../core/daemon/plugin/manifest.ts";
import { diskDryRun } from "../../core/toolstack/specs/disk/spec.ts";
import { parseVdev } from "../../core/toolstack/specs/disk/vdev.ts";
import { type DescribedKind, DEVICE_NAMES } from "../../core/toolstack/resolved_spec.ts";
import { nicDryRun } from "../../core/toolstack/specs/nic/spec.ts";
import { BUILT_IN_PARSERS, type BuiltInSpecs } from "../../core/toolstack/specs/registry.ts";
import { CodedError } from "../../core/messages/error.ts";
import { choosePlugins, makeRegistry, type PluginOptions } from "../plugin/set.ts";
import { nameOfDomain } from "../../core/toolstack/domains.ts";
import { listDevices, recordNode } from "../../core/toolstack/list_devices.ts";
import { SpecError } from "../../core/toolstack/specs/spec_error.ts";
import type { DeviceSession } from "./session.ts";

/** A device that needs no plugin to be described. */
interface NamedDevice {
  readonly device: keyof BuiltInSpecs;
  readonly frontendKind: string;
  /** What `xl -N` prints of it; null where it has no such thing. @throws SpecError */
  dryRun(texts: readonly string[]): string | null;
}

const FRONTEND_KINDS: Readonly<Record<keyof BuiltInSpecs, string>> = {
  disk: "vbd",
  vif: "vif",
  vtpm: "vtpm",
  p9: "9pfs",
  pvcalls: "pvcalls",
  vkb: "vkbd",
  usbctrl: "vusb",
  virtio: "virtio",
};

/** By what a device is called, or by its kind (`vbd`, `qdisk`); null if it is neither. */
export function deviceNamed(name: string): NamedDevice | null {
  const device = DEVICE_NAMES.find((known) =>
    known === name || FRONTEND_KINDS[known] === name || BUILT_IN_PARSERS[known].kinds.includes(name)
  );
  if (device === undefined) return null;
  return {
    device,
    frontendKind: FRONTEND_KINDS[device],
    dryRun(texts) {
      if (device === "disk") return diskDryRun(BUILT_IN_PARSERS.disk.parse(texts));
      if (device === "vif") return nicDryRun(BUILT_IN_PARSERS.vif.parse(texts).nic);
      BUILT_IN_PARSERS[device].parse(texts);
      return null;
    },
  };
}

/**
 * Kind of the frontends of a device, by what that is called, by its kind, or by its frontend's.
 * @throws CodedError for a name that can be none of these
 */
export async function frontendKindNamed(
  name: string,
  options: PluginSelection,
  builtIns: readonly BuiltIn[],
): Promise<string> {
  const named = deviceNamed(name);
  if (named !== null) return named.frontendKind;
  if (!isKind(name)) {
    throw new CodedError(
      "usage",
      `unknown device ${JSON.stringify(name)}: expected one of ${DEVICE_NAMES.join(", ")}, or a ` +
        `kind: at most ${KIND_LENGTH_MAX} of a-z 0-9 _ -, the first a letter or digit`,
    );
  }
  const plugin = (await registryOf(options, builtIns)).find(name);
  return plugin === undefined ? name : frontendKindOf(plugin.manifest, name);
}

type PluginSelection = PluginOptions & { readonly runDir: string; readonly scriptPath: string };

async function registryOf(
  options: PluginSelection,
  builtIns: readonly BuiltIn[],
): Promise<PluginRegistry> {
  const { selection } = await choosePlugins(options, builtIns, () => {});
  const { runDir: owner, scriptPath: path } = options;
  return makeRegistry(selection, { owner, path, answerMs: 1_000 });
}

/** A kind that a plugin can describe. @throws CodedError when none can */
export async function describableKind(
  kind: string,
  options: PluginSelection,
  builtIns: readonly BuiltIn[],
): Promise<DescribedKind> {
  const plugin = (await registryOf(options, builtIns)).find(kind);
  const specs = plugin === undefined ? undefined : (await plugin.operations()).spec;
  if (plugin !== undefined && specs !== undefined) {
    return { kind, frontendKind: frontendKindOf(plugin.manifest, kind), specs };
  }
  const why = plugin === undefined
    ? "no plugin serves it"
    : `its plugin ${plugin.manifest.name} brings no specification`;
  throw new CodedError(
    "usage",
    `unknown device ${JSON.stringify(kind)}: ${why}; expected one of ${DEVICE_NAMES.join(", ")}, ` +
      "or a kind whose plugin has one",
  );
}

/** How else a device may be named: by a node of its record. */
const OTHER_NAMES: Readonly<
  Record<string, { node: string; form: RegExp; what: string; called: string } | undefined>
> = {
  vif: {
    node: "mac",
    form: /^[\da-f]{2}(:[\da-f]{2}){5}$/i,
    what: "network interface with address",
    called: "a MAC address",
  },
  vtpm: {
    node: "uuid",
    form: /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/i,
    what: "vTPM",
    called: "a uuid",
  },
};

/** Largest devid of libxl, which is an int. */
const DEVID_MAX = 0x7fffffff;

/** Kind of the frontends of a kind. */
function deviceKindOf(kind: string): string {
  return deviceNamed(kind)?.frontendKind ?? kind;
}

/**
 * @param which a devid; a disk's vdev, an interface's MAC address, or what lists name it
 * @throws CodedError also when there is none
 */
export async function devidOf(
  { store }: DeviceSession,
  frontendDomid: number,
  frontendKind: string,
  which: string,
): Promise<number> {
  if (/^(0|[1-9]\d{0,9})$/.test(which) && Number(which) <= DEVID_MAX) return Number(which);
  // As lists and messages name it: `vif7.0`, `vtpm/7/0`.
  const [, kind, owner, devid] = /^([a-z0-9_-]+)\/(\d+)\/(\d{1,10})$/.exec(which) ??
    /^(vif)(\d+)\.(\d{1,10})$/.exec(which) ?? [];
  if (kind !== undefined && Number(devid) <= DEVID_MAX) {
    if (deviceKindOf(kind) === frontendKind && Number(owner) === frontendDomid) {
      return Number(devid);
    }
    throw new CodedError(
      "usage",
      `device ${JSON.stringify(which)}: expected a ${frontendKind} of domain ${frontendDomid}`,
    );
  }
  if (frontendKind === "vbd") {
    try {
      return parseVdev(which);
    } catch (error) {
      if (error instanceof SpecError) throw new CodedError("usage", error.message);
      throw error;
    }
  }
  const other = OTHER_NAMES[frontendKind];
  if (other?.form.test(which)) {
    for (const device of await listDevices(store, frontendDomid, frontendKind)) {
      // What the guest's directory says is the guest's word.
      const value = await recordNode(store, device, other.node);
      if (value?.toLowerCase() === which.toLowerCase()) return device.devid;
    }
    throw new CodedError(
      "no-such-device",
      `${await nameOfDomain(store, frontendDomid)} has no ${other.what} ${which}`,
    );
  }
  throw new CodedError(
    "usage",
    `device ${JSON.stringify(which)}: expected a devid, a decimal number,` +
      (other === undefined ? " of it" : ` or ${other.called}`),
  );
}
