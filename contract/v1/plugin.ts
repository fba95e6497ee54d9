/**
 * The plugin contract, version 1: what a backend kind's implementation gets, and what it owes.
 *
 * A plugin sees its device through capabilities: a view of the device's own nodes, a runner for
 * hotplug scripts that knows the path rules, and little else. It imports nothing of xdevd but this
 * file, as `xdevd/plugin`. docs/plugins.md is the author's guide.
 */

import type { BlockDevices } from "./block.ts";
import type { DeviceModel } from "./device_model.ts";
import type { KeptDirectories } from "./kept.ts";
import type { NetworkLinks } from "./network.ts";
import type { DeviceSpecs } from "./spec.ts";
import type { DeviceServer, ServerManifest } from "../v2/manifest.ts";

export type * from "./block.ts";
export type * from "./device_model.ts";
export type * from "./kept.ts";
export type * from "./network.ts";
export type * from "./spec.ts";

/** Contracts that this host can serve; see {@link CONTRACT_VERSION}. */
export const CONTRACT_VERSIONS: readonly number[] = [1, 2];

/**
 * The contract's version, to be stated by each plugin; 2 by one with a server. (No constant by itself: esbuild
 * 0.28 puts its value where it is used, and then forgets it where it is exported once more.)
 */
export const CONTRACT_VERSION: number = CONTRACT_VERSIONS[0]!;

/** Identity of a device. */
export interface DeviceIdentity {
  /** Domid of the driver domain, 0 … 32751. */
  readonly backendDomid: number;
  /** Backend kind, such as `vbd`. */
  readonly kind: string;
  /** Domid of the guest, 0 … 32751. */
  readonly frontendDomid: number;
  /** Number of the device within (guest, kind). */
  readonly devid: number;
}

/**
 * The nodes of the device's backend directory. Names are relative (`params`, `port/1`) and cannot
 * lead out of it.
 */
export interface DeviceNodes {
  /** The value of a node; undefined when there is none (or no directory any more). */
  read(name: string): Promise<string | undefined>;
  /** Writes several nodes, all or nothing, in the order given. */
  write(nodes: Readonly<Record<string, string>>): Promise<void>;
  /** Removes a node; one that does not exist is no error. */
  remove(name: string): Promise<void>;
}

/** What a number in a node may be. */
export interface IntegerRange {
  readonly min: number;
  readonly max: number;
  /** What to take when the node is missing or empty; without it, that is an error. */
  readonly otherwise?: number;
}

/**
 * A device's configuration: its nodes, read at once, and parsed. Every error names the node, its
 * value, and what would be accepted.
 */
export interface DeviceConfig {
  /** All nodes, as they are. */
  readonly nodes: Readonly<Record<string, string>>;
  /**
   * A text that is not empty.
   * @param otherwise what to take when the node is missing or empty; without it, that is an error
   * @throws Error when it is missing, or has control characters
   */
  text(name: string, otherwise?: string): string;
  /** A decimal number. @throws Error when it is missing, no number, or out of range */
  integer(name: string, range: IntegerRange): number;
  /** One of several words. @throws Error when it is none of them */
  oneOf<Word extends string>(name: string, words: readonly Word[], otherwise?: Word): Word;
}

/**
 * Processes that serve the device for as long as it is set up. They outlive the call that started
 * them, and the daemon; what of them is left after `remove` is ended. One that ends by itself makes
 * the device fail.
 */
export interface DeviceChildren {
  /**
   * Starts a program, unless it runs already; the undo record of it is written first.
   * @param name of the process within the device: letters, digits, `-`; at most 32 characters
   * @param argv program (absolute path, no shell) and arguments
   * @throws Error when it cannot be started
   */
  start(name: string, argv: readonly [string, ...string[]]): Promise<void>;
  /** Whether it runs, be it since an earlier daemon. */
  running(name: string): Promise<boolean>;
  /**
   * Ends it: TERM, and then KILL. None that runs is no error.
   * @param graceMs how long it has between the two, 0 … 2000; default 2000
   */
  stop(name: string, graceMs?: number): Promise<void>;
}

/** Directories of the device's own, mode 0700; made when asked for. */
export interface DeviceDirectories {
  /** Kept until the device is gone, also when the daemon is restarted; a path. */
  state(): Promise<string>;
  /** Removed when the call has ended; a path. */
  temporary(): Promise<string>;
}

/** Runs the hotplug script that the toolstack chose for the device. */
export interface DeviceScripts {
  /**
   * Checks a script, and the nodes that decide how it is run, without running it.
   * @throws Error with a line fit for `hotplug-error` when it would be refused
   */
  check(family: "block" | "network", script: string): Promise<void>;
  /**
   * Which version of the interface a block script follows; it is asked if that is not known.
   * docs/hotplug-v2.md is about version 2.
   * @throws Error with a line fit for `hotplug-error` when it is refused
   */
  version(script: string, signal: AbortSignal): Promise<1 | 2>;
  /** Whether a version 2 script has set the device up, or was about to. Runs nothing. */
  usesVersion2(): Promise<boolean>;
  /**
   * Has a version 2 script prepare the device, unless that was done; nothing for version 1. Does
   * not connect it, and need not be called before `run`.
   * @throws Error with a line fit for `hotplug-error`
   */
  prepare(script: string, signal: AbortSignal): Promise<void>;
  /**
   * Runs a script by the convention that it follows, all passes of it: one of version 2 is prepared
   * before it adds (unless it was prepared by command), and unprepared after it has removed.
   * `script` is the node's value: it is checked (owner, modes, directory) before it is run, and its
   * failure to exist is a failure. That an `add` is begun is recorded before it is; one that is known
   * not to have been begun is not removed: `remove` then does nothing.
   * @param nodes runs it on a copy of the device with these nodes, since the directory is gone
   * @throws Error with a line fit for `hotplug-error` when it is refused, fails or takes too long. Its
   * `code` tells that it did not come to its end: ETIMEDOUT, or the system's reason why it could not be
   * started (EAGAIN, EMFILE)
   */
  run(
    family: "block" | "network",
    script: string,
    action: "add" | "remove",
    signal: AbortSignal,
    nodes?: Readonly<Record<string, string>>,
  ): Promise<void>;
  /**
   * Runs `add` of a version 1 script on a copy of the device with these nodes: it does not see what
   * is in the device's directory, and does not write there.
   * @returns the nodes that it wrote
   * @throws as `run`
   */
  addOnCopy(
    family: "block" | "network",
    script: string,
    nodes: Readonly<Record<string, string>>,
    signal: AbortSignal,
  ): Promise<Readonly<Record<string, string>>>;
}

/** A few things of the machine. */
export interface DeviceSystem {
  /** Whether a path exists. */
  exists(path: string): Promise<boolean>;
  /**
   * The text of a small regular file such as one of sysfs, without trailing blanks; undefined if absent.
   * @throws Error for what is no regular file, which is not opened, and for one of more than 64 KiB, or
   * 1 MiB below /proc and /sys
   */
  readText(path: string): Promise<string | undefined>;
  /** Names in a directory; none if it does not exist. @throws Error when they are more than 16,384 */
  list(path: string): Promise<string[]>;
  /**
   * What tells a file or block device from all others, whatever it is called: device and inode
   * number, or device number; undefined if it does not exist.
   */
  identityOf(path: string): Promise<string | undefined>;
  /** The canonical path; undefined if it does not exist. */
  realPath(path: string): Promise<string | undefined>;
  /**
   * Runs a program (absolute path, no shell) and waits for it; when the signal fires it is killed, with
   * all that it has started, in whatever session that is.
   * @returns what it printed to its standard output, at most 64 KiB, without the last line end
   * @throws Error when it cannot be started (with the system's `code`) or does not exit with 0
   */
  run(argv: readonly [string, ...string[]], signal: AbortSignal): Promise<string>;
  /** @throws the signal's reason */
  sleep(ms: number, signal: AbortSignal): Promise<void>;
  /**
   * Runs `work` when nothing else runs under this name, in whatever device of whatever kind: what
   * stands behind a device may be shared. Names are the plugin's own: it keeps no other plugin waiting.
   * @throws the signal's reason when it fires while waiting; what `work` throws
   */
  exclusively<T>(name: string, signal: AbortSignal, work: () => Promise<T>): Promise<T>;
  /** Block devices and loop devices, without child processes. */
  readonly blocks: BlockDevices;
  /** Network interfaces, without child processes. */
  readonly links: NetworkLinks;
}

/** What of the guest's own directory a driver domain may have to read or write. */
export interface DeviceFrontend {
  /** The frontend's XenbusState, 0 … 8; undefined when there is none, or it makes no sense. */
  state(): Promise<number | undefined>;
  /**
   * Writes the frontend's `mtu`, where the toolstack has made that node.
   * @param bytes 68 … 65535
   * @throws Error when the node is not there, or not ours to write
   */
  writeMtu(bytes: number): Promise<void>;
  /**
   * A node of the frontend's directory, which the guest writes: whatever it says may be a lie.
   * @param name relative, as of the device's own nodes
   * @returns undefined when there is none, or it is not ours to read
   * @throws Error for one of more than 4096 characters
   */
  read(name: string): Promise<string | undefined>;
}

/** A setting of a plugin. */
export type Setting = string | number | boolean | readonly string[];

/** Lines for the daemon's log; the device is named there by itself. */
export interface DeviceLog {
  info(text: string): void;
  warning(text: string): void;
}

/** What `remove` needs to undo an `add` when the store cannot tell any more. Plain data. */
export type Undo = Readonly<Record<string, string | number | boolean>>;

/** Which device of the driver domain it is. Plain data. */
export interface HolderName {
  readonly kind: string;
  readonly frontendDomid: number;
  readonly devid: number;
}

/** Another device whose undo record has something. Plain data. */
export interface Holder extends HolderName {
  /**
   * Whether it is about to let go: its toolstack has asked for its removal, its directory or its guest
   * is gone, or it is being undone for any other reason.
   */
  readonly ending: boolean;
  /**
   * How far it is: `adding` and `connected` hold on; in `undoing` and `failed` its `add` has failed,
   * in `removing` and `removed` it is no longer wanted. In `failed` and `removed` all is undone.
   */
  readonly stage: "adding" | "connected" | "undoing" | "failed" | "removing" | "removed";
  /** Its undo record. */
  readonly undo: Undo;
}

/** A device as a plugin sees it, for the duration of one call. */
export interface Device {
  readonly id: DeviceIdentity;
  readonly nodes: DeviceNodes;
  /**
   * The nodes, read at once and parsed. When the directory is gone: as they were when it was set
   * up, or none.
   */
  config(): Promise<DeviceConfig>;
  /**
   * The device's hotplug directory, `libxl/hotplug/KIND/DOMID/DEVID` of the driver domain (below
   * `data/xdevd` where `libxl` is not the domain's own): its plugin's alone, gone with the device.
   */
  readonly hotplug: DeviceNodes;
  readonly frontend: DeviceFrontend;
  /** The administrator's settings of this plugin, as far as they are set. */
  readonly settings: Readonly<Record<string, Setting>>;
  readonly scripts: DeviceScripts;
  readonly system: DeviceSystem;
  readonly children: DeviceChildren;
  readonly deviceModel: DeviceModel;
  readonly directories: DeviceDirectories;
  /** Of a plugin with a server (`server` in its manifest). */
  readonly server: DeviceServer;
  readonly kept: KeptDirectories;
  readonly log: DeviceLog;
  /** Milliseconds until the call's signal fires by itself; 0 when it has. */
  timeLeft(): number;
  /** What was recorded by an earlier call, or empty. */
  readonly undo: Undo;
  /** The device's nodes as they were when it was set up; empty if that is not known. */
  readonly copy: Readonly<Record<string, string>>;
  /**
   * Records what undoing will need. To be called before the thing itself is done, so that nothing
   * is ever held of which no record exists; later calls add to it. It outlives the daemon.
   * @throws Error when it cannot be written, or would be longer than 24 KiB: then nothing must be
   * acquired
   */
  recordUndo(more: Undo): Promise<void>;
  /**
   * Whether another device's undo record has this value under this name; `by` leaves out those of
   * the same guest.
   */
  heldElsewhere(name: string, value: string, by?: "any" | "other guests"): boolean;
  /** The other devices of {@link heldElsewhere}, in no order. */
  holders(name: string, value: string, by?: "any" | "other guests"): readonly Holder[];
  /**
   * Whether another guest is the same virtual machine as this device's, as when it is migrated to the
   * same host: both have the same uuid, as far as the driver domain may read it. Never by name.
   */
  sameMachine(frontendDomid: number): Promise<boolean>;
  /**
   * The different values that undo records have under this name, this device's own among them, in
   * no order. Many devices may have the same one: {@link holders} tells which.
   */
  heldValues(name: string): readonly Undo[string][];
}

/**
 * What `xdevd plugin check` makes a device of. `{work}` stands for a directory of its own, `{device}` in a
 * node for twelve digits that no other device has.
 */
export interface PluginSample {
  /** Nodes of the backend directory. */
  readonly backend?: Readonly<Record<string, string>>;
  /** Files that must exist, path and content. */
  readonly files?: Readonly<Record<string, string>>;
  /** Settings, in place of the administrator's. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Whether it can be checked only as root: it attaches loop devices, say. Default false. */
  readonly needsRoot?: boolean;
}

/** See {@link PluginManifest.proof}. */
export type ProofOfSetup = "status" | "state" | "result";

/** What is known of a plugin before its code runs. Plain data. */
export interface PluginManifest {
  /** Short name, such as `vbd`: lower case letters, digits, `-` and `_`; at most 32 characters. */
  readonly name: string;
  /** The plugin's own version. */
  readonly version: string;
  /** The contract it was written for: {@link CONTRACT_VERSION}. */
  readonly api: number;
  /** Backend kinds it serves. */
  readonly kinds: readonly string[];
  /** One line for people. */
  readonly description?: string;
  /**
   * What carries it: `module`, imported by the daemon, or `process`, a program that is spoken to
   * over its standard streams. By default a `.ts`, `.js` or `.mjs` file is a module.
   */
  readonly carrier?: "module" | "process";
  /**
   * Kind of the frontend's directory where it differs from the backend's, as qdisk's is `vbd`: one
   * for all kinds, or a map of those that differ.
   */
  readonly frontendKind?: string | Readonly<Record<string, string>>;
  /** Whether a kernel backend must have reached state 2 before `add`; default true. */
  readonly waitsForBackend?: boolean;
  /** Whether QEMU serves the kind: it is given time to end when its guest has died; default false. */
  readonly servedByQemu?: boolean;
  /**
   * Whether `remove` can go on while the backend directory is deleted: it then is when the removal
   * takes longer than the toolstack waits. Default false: then only a `remove` that undoes a failed
   * `add` is stopped by its signal, and called again without the directory.
   */
  readonly removesWithoutDirectory?: boolean;
  /**
   * What in the store proves that an `add` has succeeded, where there is no record of it: `status`,
   * that `hotplug-status` is `connected`; `state`, that the backend is in state 4, since it gets
   * there only when all is done; `result`, that the first of `results` is there. With `status`, the
   * daemon sees to it that a device that was set up says so. Default `status`; for kinds that QEMU serves, `state`.
   */
  readonly proof?: readonly ProofOfSetup[];
  /** Nodes that `add` leaves in the backend directory: they are removed before a second try. */
  readonly results?: readonly string[];
  /**
   * Says that a process serves the guest itself, and what it needs (contract version 2). With it,
   * `waitsForBackend` is false and `proof` is `state`, whatever they say.
   */
  readonly server?: ServerManifest;
  /** Settings that the configuration may have for it: their names, and what they mean. */
  readonly settings?: Readonly<Record<string, string>>;
  readonly sample?: PluginSample;
}

/** What a check has found. Lines are cut off at 1000 characters, and there are at most 16 of a sort. */
export interface Findings {
  /** Why the device can no longer work: guest and toolstack are told, once. */
  readonly broken?: string;
  /**
   * Why it has to be set up anew, since nothing is left of what `add` did: `remove` is called, and
   * `add` when the backend is ready. Not to be said twice for one reason: it would go on for ever.
   */
  readonly undone?: string;
  /**
   * Why it may no longer be served, since somebody else has what it uses: it is refused as `busy` and
   * closed as if the toolstack had asked for that, by force if its guest does not close it.
   */
  readonly refused?: string;
  /**
   * What is no longer as it was set up, and was left so, since somebody may have meant it. Each is
   * told when two checks in a row have found it, and again only after it was not found.
   */
  readonly notices?: readonly string[];
  /** What was missing, and was done again by this check. */
  readonly mended?: readonly string[];
}

/** What the error of an `add` that is refused has as its `busy`. */
export interface Busy {
  /**
   * The devices that have what it needs: it is tried again when one of them is released. None: now and
   * then.
   */
  readonly holders: readonly HolderName[];
}

/**
 * The error with which `add` refuses a device since something that it needs is in use:
 * `hotplug-status` becomes `busy`, and `add` is called again when that may be free, as long as the
 * toolstack wants the device. Any error will do that has such a property `busy`.
 * @param holders see {@link Busy}
 */
export function busyError(reason: string, holders: readonly HolderName[] = []): Error {
  return Object.assign(new Error(reason), { busy: { holders } satisfies Busy });
}

/** What a plugin does. */
export interface PluginOperations {
  /**
   * Sets a device up. Rejecting fails the attach, and the message becomes its `hotplug-error`;
   * `remove` is then called to undo what was done.
   * @param signal fires when the device is no longer wanted, or the time is up: give up soon
   */
  add(device: Device, signal: AbortSignal): Promise<void>;
  /**
   * Undoes `add`. Must be idempotent: it is called again when the daemon was killed meanwhile, and, for
   * as long as it rejects, after a pause. It has to cope with an `add` that failed anywhere, and do
   * without the device's nodes: by then they may be gone, and then all reads say so, even if there is a
   * new directory of that name.
   */
  remove(device: Device, signal: AbortSignal): Promise<void>;
  /** Called instead of `add` for a device that was set up under an earlier daemon. */
  adopt?(device: Device, signal: AbortSignal): Promise<void>;
  /**
   * Called every few seconds for a device that is set up: why it can no longer work (what stands
   * behind it was unplugged, say), or null. The guest and the toolstack are then told. What else
   * there may be to say is in {@link Findings}.
   */
  check?(device: Device, signal: AbortSignal): Promise<string | Findings | null>;
  /** How a device of the plugin's kinds is described in one text, for attaching one by hand. */
  readonly spec?: DeviceSpecs;
}

/** An implementation of one or more backend kinds. */
export interface BackendPlugin extends PluginManifest, PluginOperations {}

/** Returns its argument; gives authors types without annotations. */
export function definePlugin(plugin: BackendPlugin): BackendPlugin {
  return plugin;
}
