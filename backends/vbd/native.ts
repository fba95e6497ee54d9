/**
 * What Xen's hotplug script `block` does, without a script: block devices and image files for the
 * kernel's backend. The nodes it leaves are the script's; beyond that
 * - they are written in one transaction, so that nobody sees half of them;
 * - a name (`vg/disk`) is one in `/dev`, as the manual has it;
 * - `physical-device-path` is canonical even where a directory on the way is a link;
 * - a file that cannot be written is refused, not attached read-only, when the guest is to write;
 * - sharing is judged by the daemon's own records, since other guests' nodes cannot be read here.
 */
import type { Device } from "../../contract/v1/plugin.ts";
import type { BlockDevices, LoopDevice, StorageTarget } from "../../contract/v1/block.ts";
import { badNode, type BlockRequest, readRequest, shown } from "./request.ts";
import { writesIn } from "./claim.ts";
import { checkHere, lookHere, refuseBusy, takeClaim } from "./sharing.ts";
import { stackOf } from "./stack.ts";
import type { VbdUndo } from "./undo.ts";

/** Bytes of a sector, as the guest counts them (xen/include/public/io/blkif.h). */
const SECTOR = 512;

/** Nodes that are being read. */
interface Asked {
  readonly request: Promise<BlockRequest>;
  /** Node `physical-device`. */
  readonly done: Promise<string | undefined>;
}

/** Asks for what {@link addNative} will need. */
export function askNative({ nodes }: Device): Asked {
  const asked = { request: readRequest(nodes), done: nodes.read("physical-device") };
  asked.request.catch(() => {});
  asked.done.catch(() => {});
  return asked;
}

/**
 * Sets a block device up.
 * @throws Error with one line of reason; if the target may not be shared or not be written,
 * `hotplug-status` is `busy` then, and `hotplug-error` says why
 */
export async function addNative(
  device: Device,
  blocks: BlockDevices,
  signal: AbortSignal,
  asked: Asked = askNative(device),
): Promise<void> {
  // As the script: it may have been done already.
  if (await asked.done !== undefined) return;
  try {
    await add(device, blocks, signal, await asked.request);
  } catch (error) {
    // Whatever it was: no script is needed to undo it.
    if (!isNative(device)) await device.recordUndo({ native: true });
    throw error;
  }
}

/** Undoes {@link addNative}, by the undo record alone; again and again if need be. */
export async function removeNative(
  device: Device,
  blocks: BlockDevices,
  signal: AbortSignal,
): Promise<void> {
  await releaseLoop(device, blocks, signal);
}

/** Whether a device was set up by {@link addNative}, which {@link removeNative} has to undo. */
export function isNative(device: Device): boolean {
  return (device.undo as VbdUndo).native === true;
}

async function add(
  device: Device,
  blocks: BlockDevices,
  signal: AbortSignal,
  request: BlockRequest,
): Promise<void> {
  const { params } = request;
  // Of an add that was cut short, if any.
  await releaseLoop(device, blocks, signal);
  // Looked for together.
  const own = lookHere(device, request.mode);
  own.catch(() => {});
  const target = await findTarget(blocks, request);
  const isFile = target.kind === "file";
  const held: VbdUndo = isFile
    ? { tag: newTag(), file: target.identity }
    : { use: useName(target.path, target.diskseq) };
  const claim = {
    extents: await stackOf(device.system, target.identity),
    writes: writesIn(request.mode),
  };
  if (!request.unchecked) await checkWritable(device, request, target);
  await checkHere(device, params, claim, request.mode, own);
  await takeClaim(device, params, claim, request.mode, signal, { native: true, params, ...held });
  signal.throwIfAborted();
  const result = isFile
    ? await device.system.exclusively(
      // Scripts' devices with this target tell by what was there before them which is whose.
      `vbd ${params}`,
      signal,
      () => attachFile(device, blocks, request, target),
    )
    : await confirmDevice(blocks, request, target);
  signal.throwIfAborted();
  await device.nodes.write({ ...result, "hotplug-status": "connected" });
}

async function findTarget(blocks: BlockDevices, request: BlockRequest): Promise<StorageTarget> {
  const { params, path, isName } = request;
  const expected = isName ? "the name of a block device in /dev" : "a block device or regular file";
  const looked = isName ? `looked for ${shown(path)}: ` : "";
  const refused = (reason: string) =>
    badNode("params", params, `${looked}${reason}; ${expected} is expected [target-missing]`);
  let target: StorageTarget;
  try {
    target = await blocks.describe(path);
  } catch (error) {
    const { code = error } = error as { code?: unknown };
    if (code === "ENOENT" || code === "ENOTDIR") throw refused("it does not exist");
    if (code === "ENXIO" || code === "ENODEV") throw refused("it has no device behind it");
    if (code === "ETIMEDOUT") throw silent(params, error);
    throw refused(`it cannot be looked at (${code})`);
  }
  if (target.kind === "directory") throw refused("it is a directory");
  if (target.kind === "other" || (isName && target.kind !== "block")) {
    throw refused("it is no block device");
  }
  if (target.size < SECTOR) {
    throw refused(`it has ${target.size} bytes, and a disk has a sector of ${SECTOR} or more`);
  }
  return target;
}

/** Whoever keeps it has not answered. */
function silent(params: string, cause: unknown): Error {
  return new Error(`the storage of ${shown(params)} does not answer [storage-silent]`, { cause });
}

/** @throws NotShareable, as the script has it */
async function checkWritable(
  device: Device,
  { params, mode, readOnly }: BlockRequest,
  target: StorageTarget,
): Promise<void> {
  if (readOnly || !target.readOnly) return;
  await refuseBusy(
    device,
    `${shown(params)} is read-only, and cannot be written as mode ${mode} says`,
    null,
  );
}

async function attachFile(
  device: Device,
  blocks: BlockDevices,
  request: BlockRequest,
  file: StorageTarget,
): Promise<Record<string, string>> {
  // It may have been closed while another device was waited for; that is asked beside the work.
  const asked = device.nodes.read("state");
  asked.catch(() => {});
  const loop = await takeLoop(device, blocks, file, request);
  const state = await asked;
  if (state !== "2") {
    throw new Error(`closed or removed while it was being attached (state ${state ?? "missing"})`);
  }
  return { node: loop.node, ...physicalDevice(loop.node, loop) };
}

/** @throws Error when it is another device than before others were waited for */
async function confirmDevice(
  blocks: BlockDevices,
  request: BlockRequest,
  target: StorageTarget,
): Promise<Record<string, string>> {
  const { path, identity, diskseq } = target;
  const now = await findTarget(blocks, request);
  if (now.path !== path || now.identity !== identity || now.diskseq !== diskseq) {
    throw new Error(`${shown(request.params)} became another device while it was being attached`);
  }
  return physicalDevice(path, target);
}

/** As `stat -c %t:%T` writes it, which is how blkback reads it. */
function physicalDevice(
  path: string,
  { major = 0, minor = 0 }: Pick<LoopDevice, "major" | "minor"> | StorageTarget,
): Record<string, string> {
  return {
    "physical-device": `${major.toString(16)}:${minor.toString(16)}`,
    "physical-device-path": path,
  };
}

/** How long a loop device may stay open elsewhere before it is left to the kernel, in ms. */
const PATIENCE_MS = 5_000;
const PAUSE_MS = 50;

/** A name that no other loop device ever bears. */
function newTag(): string {
  return `xdevd-${crypto.randomUUID()}`;
}

/** Attaches a file under the tag that the undo record has by now. */
async function takeLoop(
  device: Device,
  blocks: BlockDevices,
  { path, identity }: StorageTarget,
  { readOnly, directIo }: BlockRequest,
): Promise<LoopDevice> {
  const { tag } = device.undo as VbdUndo;
  if (tag === undefined) throw new Error("no tag was recorded");
  const request = { path, expectIdentity: identity, readOnly, tag, directIo };
  const loop = await blocks.attachLoop(request);
  await device.recordUndo({ node: loop.node, use: useName(loop.node, loop.diskseq) });
  return loop;
}

/** Names one use of a block device, as the undo records of scripts' devices do. */
function useName(node: string, diskseq: number | undefined): string {
  return `${node}#${diskseq ?? ""}`;
}

/** The number of a use that was recorded; undefined when there was none (before Linux 5.15). */
function sequenceIn(node: string, use: string | undefined): number | undefined {
  const digits = use?.startsWith(`${node}#`) ? use.slice(node.length + 1) : "";
  return /^\d+$/.test(digits) ? Number(digits) : undefined;
}

/**
 * Detaches the loop device that the undo record speaks of, if there (still) is one. When somebody
 * has it open for long it is left to the kernel, which detaches it when that ends.
 */
async function releaseLoop(
  device: Device,
  blocks: BlockDevices,
  signal: AbortSignal,
): Promise<void> {
  const { tag, file, node, use } = device.undo as VbdUndo;
  if (tag === undefined || file === undefined) return;
  for (let waited = 0;; waited += PAUSE_MS) {
    let pending: string | undefined;
    const known = node === undefined ? undefined : sequenceIn(node, use);
    const loops = node !== undefined && known !== undefined
      ? [{ node, diskseq: known }]
      // Killed before it could say which, it has to be looked for.
      : await blocks.loops({ tag, file, ...(node === undefined ? {} : { node }) });
    for (const { node, diskseq } of loops) {
      const use = { tag, file, ...(diskseq === undefined ? {} : { diskseq }) };
      if (await blocks.detachLoop(node, use) === "pending") pending = node;
    }
    if (pending === undefined) return;
    if (waited >= PATIENCE_MS) {
      device.log.warning(`${pending} is still in use: it is detached when that ends`);
      return;
    }
    await device.system.sleep(PAUSE_MS, signal);
  }
}
