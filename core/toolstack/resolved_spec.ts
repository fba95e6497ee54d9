/** From a specification to the plan of a device, with what only the store and the machine can tell. */
import type { DeviceSpecs } from "../../contract/v1/spec.ts";
import { chooseDiskBackend, type DiskSpec } from "./specs/disk/spec.ts";
import { parseVdev } from "./specs/disk/vdev.ts";
import { randomUuid, resolveUsbctrl } from "./specs/kinds.ts";
import { randomMac } from "./specs/nic/spec.ts";
import { planDisk } from "./nodes/disk.ts";
import { chooseNicType, planNic } from "./nodes/nic.ts";
import { planP9, planPvcalls, planUsbctrl, planVkb, planVtpm } from "./nodes/others.ts";
import type { CreationPlan, ScriptedPlacement } from "./nodes/plan.ts";
import {
  BUILT_IN_PARSERS,
  type BuiltInSpecs,
  planDescribed,
  pluginParser,
} from "./specs/registry.ts";
import {
  type DeviceRequest,
  diskRequest,
  nicRequest,
  requestOfPlan,
} from "../requests/toolstack/plan.ts";
import { placeIn, SpecError } from "./specs/spec_error.ts";
import type { GuestType } from "./domains.ts";

/** What a plan is made with besides the specification. */
export interface SpecContext {
  readonly frontendDomid: number;
  readonly guestType: GuestType;
  readonly scriptDirectory: string;
  /** Domid of a domain that the specification names; without a name, of the usual one. */
  resolveBackend(name: string | undefined): Promise<number>;
  /** What a path of domain 0 leads to. */
  kindOfTarget(path: string): Promise<"block device" | "file" | "other">;
  /** The guest's ABI, such as `x86_64-abi`, if it is a PV guest (protocols.h). */
  readonly protocol: string | undefined;
  randomBytes(count: number): Uint8Array;
}

export interface WantedDevice {
  readonly frontendKind: string;
  readonly backendDomid: number;
  /** null: any that is free. */
  readonly devid: number | null;
  /** Whether the specification names a script, rather than leave it to the default. */
  readonly scriptNamed: boolean;
  /** What there is to be said of the specification though it is accepted: one line each. */
  readonly warnings: readonly string[];
  plan(devid: number): CreationPlan;
  /** The same as a request to the driver domain. @throws RangeError when it cannot be one */
  request(devid: number): DeviceRequest;
}

/** A kind of which only a plugin knows how it is described. */
export interface DescribedKind {
  readonly kind: string;
  readonly frontendKind: string;
  readonly specs: DeviceSpecs;
}

type Maker<Spec> = (spec: Spec, context: SpecContext) => Promise<WantedDevice>;

const MAKERS: { readonly [Device in keyof BuiltInSpecs]: Maker<BuiltInSpecs[Device]> } = {
  disk: wantedDisk,
  async vif({ nic, warnings }, context) {
    const mac = nic.mac ?? randomMac(context.randomBytes(3));
    const type = chooseNicType(nic, context.guestType, true);
    const described = await wanted(
      "vif",
      nic,
      context,
      (placement) => planNic(nic, { ...placement, mac, type }),
    );
    const { frontendDomid } = context;
    const { backendDomid } = described;
    return {
      ...described,
      warnings,
      request: (devid) => nicRequest(nic, { frontendDomid, backendDomid, devid, mac, type }),
    };
  },
  async vtpm(spec, context) {
    const uuid = spec.uuid ?? randomUuid(context.randomBytes(16));
    return await wanted("vtpm", spec, context, (placement) => planVtpm(uuid, placement));
  },
  p9: (spec, context) => wanted("9pfs", spec, context, (placement) => planP9(spec, placement)),
  pvcalls: (spec, context) => wanted("pvcalls", spec, context, planPvcalls),
  vkb: (spec, context) => wanted("vkbd", spec, context, (placement) => planVkb(spec, placement)),
  usbctrl(spec, context) {
    const resolved = resolveUsbctrl(spec, { type: context.guestType, usbback: true });
    return wanted("vusb", spec, context, (placement) => planUsbctrl(resolved, placement));
  },
  virtio() {
    const category = "virtio devices cannot be added to a running guest";
    throw new SpecError("virtio", category, placeIn("virtio", 0, 0, 0), "its configuration file");
  },
};

/** What devices are called that need no plugin to describe them. */
export const DEVICE_NAMES = Object.keys(MAKERS) as (keyof BuiltInSpecs)[];

/**
 * Makes a plan of a specification.
 * @param device one of {@link DEVICE_NAMES}
 * @param texts arguments of a command line
 * @throws SpecError; what `resolveBackend` throws
 */
export async function wantedDevice<Device extends keyof BuiltInSpecs>(
  device: Device,
  texts: readonly string[],
  context: SpecContext,
): Promise<WantedDevice> {
  return await MAKERS[device](BUILT_IN_PARSERS[device].parse(texts), context);
}

/** The same for a kind that a plugin describes. @throws SpecError */
export async function describedDevice(
  { kind, frontendKind, specs }: DescribedKind,
  texts: readonly string[],
  context: SpecContext,
): Promise<WantedDevice> {
  const description = pluginParser(kind, specs).parse(texts);
  return await wanted(
    frontendKind,
    description,
    context,
    (placement) => planDescribed(description, kind, frontendKind, placement),
  );
}

async function wanted(
  frontendKind: string,
  spec: { readonly backend?: string; readonly devid?: number; readonly script?: string },
  { frontendDomid, scriptDirectory, resolveBackend }: SpecContext,
  plan: (placement: ScriptedPlacement) => CreationPlan,
): Promise<WantedDevice> {
  const backendDomid = await resolveBackend(spec.backend || undefined);
  const planFor = (devid: number) => plan({ frontendDomid, backendDomid, devid, scriptDirectory });
  return {
    frontendKind,
    backendDomid,
    devid: spec.devid ?? null,
    scriptNamed: Boolean(spec.script),
    warnings: [],
    plan: planFor,
    request: (devid) => requestOfPlan(planFor(devid)),
  };
}

async function wantedDisk(disk: DiskSpec, context: SpecContext): Promise<WantedDevice> {
  const devid = parseVdev(disk.vdev);
  const { guestType: guest, protocol } = context;
  const described = await wanted("vbd", { ...disk, devid }, context, () => {
    throw new Error("a disk has a plan of its own");
  });
  const { backendDomid } = described;
  const target = backendDomid === 0 && disk.target
    ? { target: await context.kindOfTarget(disk.target) }
    : {};
  const chosen = chooseDiskBackend(disk, { backendDomid, guest, running: true, ...target });
  if (chosen === "standalone") throw new Error("a standalone backend cannot be added");
  const { frontendDomid, scriptDirectory } = context;
  return {
    ...described,
    request: () =>
      diskRequest(disk, {
        ...{ frontendDomid, backendDomid, devid },
        ...(protocol === undefined ? {} : { protocol }),
      }),
    plan: () =>
      planDisk(disk, {
        ...{ frontendDomid, backendDomid, devid, scriptDirectory, backendType: chosen },
        ...(protocol === undefined ? {} : { protocol }),
      }),
  };
}
