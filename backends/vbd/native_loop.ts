/**
 * The loop device of a native attach. It bears a tag that was recorded before it was attached: so it
 * is found again whenever the daemon was killed, and is never taken for anybody else's.
 */
import type { Device } from "../../contract/v1/plugin.ts";
import type { BlockDevices, LoopDevice, StorageTarget } from "../../contract/v1/block.ts";
import type { BlockRequest } from "./request.ts";
import type { VbdUndo } from "./undo.ts";

/** How long a loop device may stay open elsewhere before it is left to the kernel, in ms. */
const PATIENCE_MS = 5_000;
const PAUSE_MS = 50;

/** A name that no other loop device ever bears. */
export function newTag(): string {
  return `xdevd-${crypto.randomUUID()}`;
}

/** Attaches a file under the tag that the undo record has by now. */
export async function takeLoop(
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
export function useName(node: string, diskseq: number | undefined): string {
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
export async function releaseLoop(
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
