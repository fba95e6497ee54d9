/**
 * A file system whose server can be told to stop answering. A process of its own, which speaks the protocol
 * of /dev/fuse itself (linux/fuse.h); it ends when its connection is aborted.
 *
 *   bun fuse_server.ts MOUNTPOINT CONTROL FILES SIZE
 *
 * Its root directory has files `disk-0` … of SIZE bytes. A request of a kind for which there is a file in the
 * directory CONTROL (`lookup`, `getattr`, `read`, or `all`) is taken and not answered, until the first other
 * request after that file is gone; `held` there says how many are. It prints a line once it is mounted.
 */
import { spawnSync } from "node:child_process";
import { existsSync, openSync, readSync, writeFileSync, writeSync } from "node:fs";

const [point, control, files, size] = process.argv.slice(2) as [string, string, string, string];
const [FILES, SIZE] = [Number(files), Number(size)];

// linux/fuse.h, enum fuse_opcode
const [LOOKUP, FORGET, GETATTR, SETATTR, OPEN, READ, WRITE, STATFS, RELEASE, FSYNC] = [
  1,
  2,
  3,
  4,
  14,
  15,
  16,
  17,
  18,
  20,
] as const;
const [FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, INTERRUPT, DESTROY, BATCH_FORGET] = [
  25,
  26,
  27,
  28,
  29,
  36,
  38,
  42,
] as const;
const UNANSWERED: readonly number[] = [FORGET, INTERRUPT, BATCH_FORGET];
const SILENCED: Readonly<Record<string, readonly number[]>> = {
  lookup: [LOOKUP],
  getattr: [GETATTR],
  read: [READ],
};

// asm-generic/errno-base.h
const [ENOENT, ENOSYS, ENODEV] = [2, 38, 19];
const ROOT = 1;
const [S_IFDIR, S_IFREG] = [0o040000, 0o100000];

const content = Array.from({ length: FILES }, () => new Uint8Array(SIZE));
const device = openSync("/dev/fuse", "r+");
const options = `fd=3,rootmode=40000,user_id=0,group_id=0,allow_other`;
const mount = spawnSync("mount", ["-i", "-t", "fuse", "-o", options, "xdevd-test", point], {
  stdio: ["ignore", "inherit", "inherit", device],
});
if (mount.status !== 0) process.exit(1);
console.log("mounted");

/** What was taken and not answered. */
let held: Uint8Array[] = [];

const room = new Uint8Array(1024 * 1024);
for (;;) {
  let length: number;
  try {
    length = readSync(device, room);
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "EINTR" || code === "EAGAIN" || code === "ENOENT") continue;
    // Aborted, or unmounted.
    process.exit(0);
  }
  const requests = [...held, room.slice(0, length)];
  held = [];
  for (const request of requests) serve(request);
}

function serve(request: Uint8Array): void {
  const view = new DataView(request.buffer);
  const [opcode, unique, node] = [
    view.getUint32(4, true),
    view.getBigUint64(8, true),
    Number(view.getBigUint64(16, true)),
  ];
  if (UNANSWERED.includes(opcode)) return;
  if (isSilent(opcode)) {
    held.push(request);
    return writeFileSync(`${control}/held`, String(held.length));
  }
  const answer = answerTo(opcode, node, view, request);
  const bytes = typeof answer === "number" ? new Uint8Array(0) : answer;
  const reply = new Uint8Array(16 + bytes.length);
  const head = new DataView(reply.buffer);
  head.setUint32(0, reply.length, true);
  head.setInt32(4, typeof answer === "number" ? -answer : 0, true);
  head.setBigUint64(8, unique, true);
  reply.set(bytes, 16);
  try {
    writeSync(device, reply);
  } catch (error) {
    // Nobody waits for that one any more.
    if ((error as { code?: string }).code === "ENODEV") process.exit(ENODEV);
  }
}

function isSilent(opcode: number): boolean {
  if (existsSync(`${control}/all`) && opcode !== INIT) return true;
  return Object.entries(SILENCED).some(([name, opcodes]) =>
    opcodes.includes(opcode) && existsSync(`${control}/${name}`)
  );
}

/** What is answered, or the errno. */
function answerTo(
  opcode: number,
  node: number,
  view: DataView,
  request: Uint8Array,
): Uint8Array | number {
  switch (opcode) {
    case INIT:
      return init(view);
    case LOOKUP: {
      const name = new TextDecoder().decode(request.subarray(40, request.length - 1));
      const number = Number(/^disk-(\d+)$/.exec(name)?.[1] ?? FILES);
      return number < FILES ? entry(ROOT + 1 + number) : ENOENT;
    }
    case GETATTR:
    case SETATTR:
      return attributes(node);
    case OPEN:
    case OPENDIR:
      return new Uint8Array(16);
    case READ: {
      const at = Number(view.getBigUint64(48, true));
      return content[node - ROOT - 1]!.slice(at, at + view.getUint32(56, true));
    }
    case WRITE: {
      const [at, count] = [Number(view.getBigUint64(48, true)), view.getUint32(56, true)];
      content[node - ROOT - 1]!.set(request.subarray(80, 80 + count), at);
      const answer = new Uint8Array(8);
      new DataView(answer.buffer).setUint32(0, count, true);
      return answer;
    }
    case STATFS:
      return new Uint8Array(80);
    case READDIR:
    case RELEASE:
    case RELEASEDIR:
    case FLUSH:
    case FSYNC:
    case DESTROY:
      return new Uint8Array(0);
    default:
      return ENOSYS;
  }
}

/** struct fuse_init_out */
function init(request: DataView): Uint8Array {
  const answer = new Uint8Array(64);
  const view = new DataView(answer.buffer);
  view.setUint32(0, 7, true);
  view.setUint32(4, Math.min(31, request.getUint32(44, true)), true);
  view.setUint32(8, 128 * 1024, true);
  view.setUint16(16, 16, true);
  view.setUint16(18, 12, true);
  view.setUint32(20, 128 * 1024, true);
  view.setUint32(24, 1, true);
  return answer;
}

/** struct fuse_attr_out; it is asked for again each time. */
function attributes(node: number): Uint8Array {
  const answer = new Uint8Array(16 + 88);
  fill(new DataView(answer.buffer, 16), node);
  return answer;
}

/** struct fuse_entry_out; likewise. */
function entry(node: number): Uint8Array {
  const answer = new Uint8Array(40 + 88);
  const view = new DataView(answer.buffer);
  view.setBigUint64(0, BigInt(node), true);
  fill(new DataView(answer.buffer, 40), node);
  return answer;
}

/** struct fuse_attr */
function fill(view: DataView, node: number): void {
  const isRoot = node === ROOT;
  view.setBigUint64(0, BigInt(node), true);
  view.setBigUint64(8, BigInt(isRoot ? 0 : SIZE), true);
  view.setBigUint64(16, BigInt(isRoot ? 0 : Math.ceil(SIZE / 512)), true);
  view.setUint32(60, isRoot ? S_IFDIR | 0o755 : S_IFREG | 0o644, true);
  view.setUint32(64, isRoot ? 2 : 1, true);
  view.setUint32(80, 4096, true);
}
