/** Block devices and loop devices made up for the test. */
import type {
  BlockDevices,
  LoopBounds,
  LoopDetached,
  LoopDevice,
  LoopRequest,
  LoopUse,
  StorageTarget,
} from "../../contract/v1/block.ts";

/** An error as system calls give it. */
export function failure(code: string, message = code): Error {
  return Object.assign(new Error(message), { code });
}

/** What there is, and what is attached. */
export class FakeBlocks implements BlockDevices {
  /** By path. */
  readonly targets = new Map<string, StorageTarget>();
  /** Attached loop devices, by node. */
  readonly attached = new Map<string, LoopDevice>();
  /** Nodes of loop devices that somebody has open. */
  readonly open = new Set<string>();
  /** All requests to attach, in order. */
  readonly requests: LoopRequest[] = [];
  #sequence = 100;

  /** An image file. */
  file(path: string, inode: number, more: Partial<StorageTarget> = {}): void {
    const identity = `1:${inode}`;
    this.targets.set(path, { path, kind: "file", identity, size: 4096, readOnly: false, ...more });
  }

  /** A block device. */
  block(path: string, major: number, minor: number, more: Partial<StorageTarget> = {}): void {
    this.targets.set(path, {
      path,
      kind: "block",
      identity: `block ${major * 256 + minor}`,
      size: 4096,
      readOnly: false,
      major,
      minor,
      diskseq: ++this.#sequence,
      ...more,
    });
  }

  /** Attaches a file as `losetup` would, or as another process does. */
  losetup(file: string, tag: string, readOnly = false): LoopDevice {
    let minor = 0;
    while (this.attached.has(`/dev/loop${minor}`)) minor++;
    const node = `/dev/loop${minor}`;
    const loop: LoopDevice = {
      node,
      identity: `block ${7 * 256 + minor}`,
      major: 7,
      minor,
      file,
      tag,
      diskseq: ++this.#sequence,
      readOnly,
    };
    this.attached.set(node, loop);
    return loop;
  }

  async describe(path: string): Promise<StorageTarget> {
    const target = this.targets.get(path);
    if (target === undefined) throw failure("ENOENT", `ENOENT: ${path}`);
    return target;
  }

  async attachLoop(request: LoopRequest): Promise<LoopDevice> {
    this.requests.push(request);
    const { identity, readOnly } = await this.describe(request.path);
    if (identity !== request.expectIdentity) throw failure("ESTALE", "replaced meanwhile");
    if (readOnly && !request.readOnly) throw failure("EROFS");
    return this.losetup(identity, request.tag, request.readOnly);
  }

  async detachLoop(node: string, { tag, file, diskseq }: LoopUse): Promise<LoopDetached> {
    const loop = this.attached.get(node);
    if (loop === undefined) return "absent";
    const other = diskseq !== undefined && diskseq !== loop.diskseq;
    if (loop.tag !== tag || loop.file !== file || other) return "foreign";
    if (this.open.has(node)) return "pending";
    this.attached.delete(node);
    return "detached";
  }

  async loops(bounds: LoopBounds): Promise<LoopDevice[]> {
    return [...this.attached.values()].filter(({ file, tag, node }) =>
      (bounds.file ?? file) === file && (bounds.tag ?? tag) === tag &&
      (bounds.node ?? node) === node
    );
  }
}
