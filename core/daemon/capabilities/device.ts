/** The device that a plugin is handed: its capabilities, cut to one backend directory. */
import { CAPABILITIES } from "../../../contract/v1/capabilities.ts";
import { backendPath, type DeviceId, frontendPath } from "../../xen/device_id.ts";
import { pack } from "../../message_pack.ts";
import { parseState } from "../../xen/states.ts";
import { type Log, oneLine } from "../../log/log.ts";
import type {
  Device,
  DeviceChildren,
  DeviceDirectories,
  DeviceNodes,
  Holder,
  KeptDirectories,
  Undo,
} from "../../../contract/v1/plugin.ts";
import { deviceConfig } from "../plugin/device_config.ts";
import { absentOrHidden } from "../../xenstore/access.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { Held } from "../journal/held.ts";
import type { AddReads } from "../device/prefetch.ts";
import { copyOf } from "../device/node_backup.ts";
import type { HotplugDirectories } from "./hotplug_directory.ts";
import { HotplugScripts } from "./scripts.ts";
import type { ScriptParts } from "./script_parts.ts";
import { deviceSystem, type SystemCall, type SystemParts } from "./system.ts";
import { readAttachId } from "../device/attach_id_node.ts";
import { backendNodes, ownNodes, pathBelow } from "./plugin_nodes.ts";
import { visible } from "../device/observer.ts";

/** What devices are made from. */
export interface ContextParts extends ScriptParts, SystemParts {
  readonly hotplug: HotplugDirectories;
}

/** Where a device's undo record is kept between calls. */
export interface UndoStore {
  get(): Undo;
  /** @throws Error when it cannot be written */
  add(more: Undo): void;
  /** What the daemon holds for the device. */
  held(): Held;
  /** Adds to that. @throws Error when it cannot be written */
  hold(more: Partial<Held>): void;
  heldElsewhere(name: string, value: string, by: "any" | "other guests"): boolean;
  holders(name: string, value: string, by: "any" | "other guests"): readonly Holder[];
  heldValues(name: string): readonly Undo[string][];
}

/** Longest line of a plugin's, in characters. */
const LINE_MAX = 2000;

/** Longest undo record, in bytes: the journal's has room for the device's nodes besides. */
const UNDO_MAX = CAPABILITIES.recordUndo.limits.bytes;

/** @throws Error when there would be more than there may */
function checkUndo(undo: Undo): void {
  // As the journal has it.
  const { length } = pack(undo);
  if (length > UNDO_MAX) {
    throw new Error(`an undo record of ${length} bytes; expected at most ${UNDO_MAX}`);
  }
}

/** One call of a plugin. */
export interface Call extends SystemCall {
  /** The attach id that the directory must have to be this device's; null: any will do. */
  readonly attachId: string | null;
  /** Of an add: what it reads first. */
  readonly first?: AddReads;
  /** Told of nodes that were written, and how long that took, in ms. */
  wrote?(nodes: Readonly<Record<string, string>>, ms: number): void;
  /** The device's nodes as they were when it was set up. */
  readonly copy: Readonly<Record<string, string>>;
  readonly children: DeviceChildren;
  readonly deviceModel: Device["deviceModel"];
  readonly directories: DeviceDirectories;
  readonly server: Device["server"];
  readonly kept: KeptDirectories;
  timeLeft(): number;
  /** Kind of the frontend's directory. */
  readonly frontendKind: string;
  readonly settings: Device["settings"];
}

/** Puts a device together for one call of a plugin. */
export function deviceContext(
  id: DeviceId,
  parts: ContextParts,
  log: Log,
  undo: UndoStore,
  call: Call,
): Device {
  const { store } = parts;
  const directory = backendPath(id);
  const frontend = frontendPath(id, call.frontendKind);
  const nodes = telling(backendNodes(store, directory, call.attachId, call.first), parts, call);
  const system = deviceSystem(parts, call);
  return {
    id,
    nodes,
    hotplug: ownNodes(store, () => parts.hotplug.of(id), () => {
      if (!undo.held().hotplugDirectory) undo.hold({ hotplugDirectory: true });
    }),
    async config() {
      const present = call.attachId === null
        ? await visible(store, directory)
        : await readAttachId(store, id) === call.attachId;
      return deviceConfig(present ? await copyOf(store, directory) : call.copy);
    },
    frontend: {
      state: async () => parseState(await store.readVisible(`${frontend}/state`) ?? ""),
      writeMtu: (bytes) => writeMtu(store, id.backendDomid, frontend, bytes),
      read: (name) => readFrontend(store, frontend, name),
    },
    settings: call.settings,
    scripts: new HotplugScripts(
      id,
      nodes,
      system,
      parts,
      log,
      undo,
      call.environment,
      call.activity,
    ),
    system,
    children: call.children,
    deviceModel: call.deviceModel,
    directories: call.directories,
    server: call.server,
    kept: call.kept,
    timeLeft: call.timeLeft,
    log: {
      info: (text) => log.info(oneLine(text, LINE_MAX)),
      warning: (text) => log.warning(oneLine(text, LINE_MAX)),
    },
    get undo() {
      return undo.get();
    },
    copy: call.copy,
    async recordUndo(more) {
      checkUndo({ ...undo.get(), ...more });
      undo.add(more);
    },
    heldElsewhere: (name, value, by = "any") => undo.heldElsewhere(name, value, by),
    holders: (name, value, by = "any") => undo.holders(name, value, by),
    sameMachine: (frontendDomid) => areSameMachine(store, id.frontendDomid, frontendDomid),
    heldValues: (name) => undo.heldValues(name),
  };
}

/** Tells of what is written. */
function telling(nodes: DeviceNodes, { clock }: ContextParts, call: Call): DeviceNodes {
  return {
    ...nodes,
    async write(values) {
      const start = clock.now();
      await nodes.write(values);
      call.wrote?.(values, clock.now() - start);
    },
  };
}

/** What node `vm` of a domain says (libxl_create.c, `libxl__domain_make`); dom0's is all zeros. */
const MACHINE = /^\/vm\/(?!0{8}-0{4}-0{4}-0{4}-0{12}$)[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

async function areSameMachine(store: StoreClient, one: number, other: number): Promise<boolean> {
  if (one === other) return true;
  if (!Number.isSafeInteger(other) || other < 0) return false;
  // Hidden, or not there: then nobody can know.
  const [first, second] = await Promise.all(
    [one, other].map((domid) => store.readVisible(`/local/domain/${domid}/vm`)),
  );
  return first !== undefined && first === second && MACHINE.test(first);
}

const FRONTEND_TEXT_MAX = CAPABILITIES["frontend.read"].limits.bytes;

async function readFrontend(
  store: StoreClient,
  frontend: string,
  name: string,
): Promise<string | undefined> {
  const value = await store.readVisible(pathBelow(frontend, name));
  if (value === undefined || value.length <= FRONTEND_TEXT_MAX) return value;
  throw new Error(`the frontend's node ${name} has more than ${FRONTEND_TEXT_MAX} characters`);
}

/** Range of an MTU, in bytes: ETH_MIN_MTU and ETH_MAX_MTU of linux/if_ether.h. */
const [MTU_MIN, MTU_MAX] = [68, 65_535];

async function writeMtu(
  store: StoreClient,
  domid: number,
  frontend: string,
  bytes: number,
): Promise<void> {
  if (!Number.isInteger(bytes) || bytes < MTU_MIN || bytes > MTU_MAX) {
    throw new RangeError(`mtu ${bytes}; expected ${MTU_MIN} to ${MTU_MAX} bytes`);
  }
  const node = `${frontend}/mtu`;
  const check = (value: Uint8Array | undefined) => {
    if (value === undefined) throw new Error("the frontend has no node mtu");
  };
  if (domid !== 0) {
    // A driver domain may write this node, and make none: a frontend that was deleted stays so.
    check(await absentOrHidden(store.read(node)));
    return await store.write(node, String(bytes));
  }
  await store.transaction(async (t) => {
    // A plain write of domain 0 would bring a deleted frontend back.
    const present = absentOrHidden(t.read(node));
    const written = t.write(node, String(bytes));
    written.catch(() => {});
    check(await present);
    await written;
  });
}
