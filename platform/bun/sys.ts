/** System calls by the C library, through Bun's foreign function interface. */
import {
  dlopen,
  type FFIFunction,
  type Library,
  type Pointer,
  ptr,
  read,
  toArrayBuffer,
} from "bun:ffi";
import type { Sys } from "../sys.ts";

/** By the names that glibc and musl give it. */
const LIBRARIES = ["libc.so.6", "libc.musl-x86_64.so.1", "libc.musl-aarch64.so.1"];

/**
 * What is variadic in C (fcntl, ioctl, openat) is passed on x86-64 and aarch64 Linux like any other
 * argument; a length (ssize_t) fits in 32 bits, as what is asked for does.
 */
const FUNCTIONS = {
  accept4: { args: ["i32", "ptr", "ptr", "i32"], returns: "i32" },
  bind: { args: ["i32", "ptr", "u32"], returns: "i32" },
  chdir: { args: ["ptr"], returns: "i32" },
  close: { args: ["i32"], returns: "i32" },
  connect: { args: ["i32", "ptr", "u32"], returns: "i32" },
  dup2: { args: ["i32", "i32"], returns: "i32" },
  faccessat: { args: ["i32", "ptr", "i32", "i32"], returns: "i32" },
  fchmod: { args: ["i32", "u32"], returns: "i32" },
  fchown: { args: ["i32", "u32", "u32"], returns: "i32" },
  fcntl: { args: ["i32", "i32", "i32"], returns: "i32" },
  flock: { args: ["i32", "i32"], returns: "i32" },
  ftruncate: { args: ["i32", "i64"], returns: "i32" },
  geteuid: { args: [], returns: "i32" },
  getpid: { args: [], returns: "i32" },
  getrandom: { args: ["ptr", "usize", "u32"], returns: "i32" },
  getsockopt: { args: ["i32", "i32", "i32", "ptr", "ptr"], returns: "i32" },
  ioctl: { args: ["i32", "u64", "ptr"], returns: "i32" },
  kill: { args: ["i32", "i32"], returns: "i32" },
  linkat: { args: ["i32", "ptr", "i32", "ptr", "i32"], returns: "i32" },
  listen: { args: ["i32", "i32"], returns: "i32" },
  madvise: { args: ["usize", "usize", "i32"], returns: "i32" },
  mkdirat: { args: ["i32", "ptr", "u32"], returns: "i32" },
  mmap: { args: ["ptr", "usize", "i32", "i32", "i32", "i64"], returns: "ptr" },
  mount: { args: ["ptr", "ptr", "ptr", "u64", "ptr"], returns: "i32" },
  munmap: { args: ["ptr", "usize"], returns: "i32" },
  openat: { args: ["i32", "ptr", "i32", "u32"], returns: "i32" },
  pipe2: { args: ["ptr", "i32"], returns: "i32" },
  poll: { args: ["ptr", "u64", "i32"], returns: "i32" },
  prctl: { args: ["i32", "u64", "u64", "u64", "u64"], returns: "i32" },
  pread: { args: ["i32", "ptr", "usize", "i64"], returns: "i32" },
  pwrite: { args: ["i32", "ptr", "usize", "i64"], returns: "i32" },
  read: { args: ["i32", "ptr", "usize"], returns: "i32" },
  readlinkat: { args: ["i32", "ptr", "ptr", "usize"], returns: "i32" },
  recv: { args: ["i32", "ptr", "usize", "i32"], returns: "i32" },
  renameat: { args: ["i32", "ptr", "i32", "ptr"], returns: "i32" },
  sendto: { args: ["i32", "ptr", "usize", "i32", "ptr", "u32"], returns: "i32" },
  setgroups: { args: ["usize", "ptr"], returns: "i32" },
  setresgid: { args: ["u32", "u32", "u32"], returns: "i32" },
  setresuid: { args: ["u32", "u32", "u32"], returns: "i32" },
  setsockopt: { args: ["i32", "i32", "i32", "ptr", "u32"], returns: "i32" },
  shutdown: { args: ["i32", "i32"], returns: "i32" },
  signal: { args: ["i32", "usize"], returns: "i64" },
  socket: { args: ["i32", "i32", "i32"], returns: "i32" },
  statx: { args: ["i32", "ptr", "i32", "u32", "ptr"], returns: "i32" },
  symlinkat: { args: ["ptr", "i32", "ptr"], returns: "i32" },
  syscall: { args: ["i64", "i64", "ptr", "u64"], returns: "i32" },
  umask: { args: ["u32"], returns: "u32" },
  umount2: { args: ["ptr", "i32"], returns: "i32" },
  unshare: { args: ["i32"], returns: "i32" },
  unlinkat: { args: ["i32", "ptr", "i32"], returns: "i32" },
  write: { args: ["i32", "ptr", "usize"], returns: "i32" },
  // glibc and musl both have errno there.
  __errno_location: { args: [], returns: "ptr" },
} as const satisfies Record<string, FFIFunction>;

/** asm/unistd.h: musl has no function of its own for it before 1.2.4, glibc none that is this. */
const GETDENTS64 = process.arch === "arm64" ? 61 : 217;

type Libc = Library<typeof FUNCTIONS>["symbols"];

function load(): Libc {
  for (const library of LIBRARIES) {
    try {
      return dlopen(library, FUNCTIONS).symbols;
    } catch {
      // Not this C library.
    }
  }
  throw new Error(`none of ${LIBRARIES.join(", ")} can be loaded`);
}

const libc = load();
const errno = libc.__errno_location()!;

/** @returns what the function returned, or minus the errno: nothing that could set it lies between. */
function answer(result: number): number {
  return result < 0 ? -read.i32(errno, 0) : result;
}

/** A pointer into memory of no bytes would be refused. */
function pointer(bytes: Uint8Array): Uint8Array | null {
  return bytes.length === 0 ? null : bytes;
}

/** signal.h */
const [SIG_IGN, SIG_ERR] = [1, -1];

/** sys/mman.h */
const MAP_SHARED = 1;
const MAP_FAILED = -1;

// xen/gntdev.h, xen/grant_table.h, asm-generic/errno-base.h
const GRANT_COPY = 0x0010_4708;
const [GNTCOPY_SOURCE, GNTCOPY_DEST] = [1, 2];
const EFAULT = -14;

/** Where each mapped memory is. */
const maps = new WeakMap<ArrayBuffer, { readonly at: Pointer; readonly size: number }>();

/** Room for getsockopt's length, and for poll's `struct pollfd`. */
const length = new Uint32Array(1);
const polled = new Int32Array(2);

/** The kernel, as far as it is asked. */
export const sys: Sys = {
  machine: process.arch === "arm64" ? "aarch64" : "x86_64",
  accept: (fd, flags) => answer(libc.accept4(fd, null, null, flags)),
  access: (dir, path, mode) => answer(libc.faccessat(dir, path, mode, 0)),
  bind: (fd, address) => answer(libc.bind(fd, address, address.length)),
  chdir: (path) => answer(libc.chdir(path)),
  close: (fd) => answer(libc.close(fd)),
  connect: (fd, address) => answer(libc.connect(fd, address, address.length)),
  dup2: (fd, as) => answer(libc.dup2(fd, as)),
  fchmod: (fd, mode) => answer(libc.fchmod(fd, mode)),
  fchown: (fd, user, group) => answer(libc.fchown(fd, user, group)),
  fcntl: (fd, command, argument) => answer(libc.fcntl(fd, command, argument)),
  flock: (fd, operation) => answer(libc.flock(fd, operation)),
  ftruncate: (fd, size) => answer(libc.ftruncate(fd, size)),
  getcwd(to) {
    const text = new TextEncoder().encode(`${process.cwd()}\0`);
    if (text.length > to.length) return -34;
    to.set(text);
    return text.length;
  },
  getdents: (fd, to) => answer(libc.syscall(GETDENTS64, fd, to, to.length)),
  geteuid: () => libc.geteuid(),
  getpid: () => libc.getpid(),
  getrandom: (to, flags) => answer(libc.getrandom(pointer(to), to.length, flags)),
  getsockopt(fd, level, name, to) {
    length[0] = to.length;
    const result = answer(libc.getsockopt(fd, level, name, to, length));
    return result < 0 ? result : length[0]!;
  },
  grantCopy(fd, domid, reference, offset, bytes, toGuest) {
    const [segment, asked] = [new DataView(new ArrayBuffer(24)), new BigUint64Array(2)];
    const [ours, theirs] = toGuest ? [0, 8] : [8, 0];
    segment.setBigUint64(ours, BigInt(ptr(bytes)), true);
    segment.setUint32(theirs, reference, true);
    segment.setUint16(theirs + 4, offset, true);
    segment.setUint16(theirs + 6, domid, true);
    segment.setUint16(16, bytes.length, true);
    segment.setUint16(18, toGuest ? GNTCOPY_DEST : GNTCOPY_SOURCE, true);
    asked.set([1n, BigInt(ptr(segment))]);
    const result = answer(libc.ioctl(fd, GRANT_COPY, ptr(asked)));
    return result < 0 || segment.getInt16(20, true) === 0 ? result : EFAULT;
  },
  ignore: (signal) => Number(libc.signal(signal, SIG_IGN)) === SIG_ERR ? answer(-1) : 0,
  ioctl: (fd, request, argument) => answer(libc.ioctl(fd, request, argument as Pointer)),
  kill: (pid, signal) => answer(libc.kill(pid, signal)),
  link: (fromDir, from, toDir, to) => answer(libc.linkat(fromDir, from, toDir, to, 0)),
  listen: (fd, backlog) => answer(libc.listen(fd, backlog)),
  mkdir: (dir, path, mode) => answer(libc.mkdirat(dir, path, mode)),
  mount: (source, target, type, flags) => answer(libc.mount(source, target, type, flags, null)),
  open: (dir, path, flags, mode) => answer(libc.openat(dir, path, flags, mode)),
  pipe: (to, flags) => answer(libc.pipe2(to, flags)),
  poll(fd, events, ms) {
    polled[0] = fd;
    polled[1] = events;
    const result = answer(libc.poll(polled, 1, ms));
    return result > 0 ? polled[1]! >>> 16 : result;
  },
  pread: (fd, to, position) => answer(libc.pread(fd, pointer(to), to.length, position)),
  prctl: (option, value) => answer(libc.prctl(option, value, 0, 0, 0)),
  pwrite: (fd, bytes, position) => answer(libc.pwrite(fd, pointer(bytes), bytes.length, position)),
  read: (fd, to) => answer(libc.read(fd, pointer(to), to.length)),
  readlink: (dir, path, to) => answer(libc.readlinkat(dir, path, to, to.length)),
  recv: (fd, to, flags) => answer(libc.recv(fd, to, to.length, flags)),
  rename: (fromDir, from, toDir, to) => answer(libc.renameat(fromDir, from, toDir, to)),
  send: (fd, bytes, flags, to) =>
    answer(libc.sendto(fd, pointer(bytes), bytes.length, flags, to, to?.length ?? 0)),
  setgroups: () => answer(libc.setgroups(0, null)),
  setresgid: (group) => answer(libc.setresgid(group, group, group)),
  setresuid: (user) => answer(libc.setresuid(user, user, user)),
  setsockopt: (fd, level, name, value) =>
    answer(libc.setsockopt(fd, level, name, value, value.length)),
  shutdown: (fd, how) => answer(libc.shutdown(fd, how)),
  socket: (domain, type, protocol) => answer(libc.socket(domain, type, protocol)),
  stat(dir, path, flags, mask, to) {
    if (to.length < 256) throw new RangeError("stat: too little memory");
    return answer(libc.statx(dir, path, flags, mask, to));
  },
  symlink: (target, dir, path) => answer(libc.symlinkat(target, dir, path)),
  umask: (mask) => libc.umask(mask),
  unlink: (dir, path, flags) => answer(libc.unlinkat(dir, path, flags)),
  unmount: (target, flags) => answer(libc.umount2(target, flags)),
  unshare: (flags) => answer(libc.unshare(flags)),
  write: (fd, bytes) => answer(libc.write(fd, pointer(bytes), bytes.length)),
  map(fd, size, protection, offset) {
    const at = libc.mmap(null, size, protection, MAP_SHARED, fd, offset);
    if (at === null || Number(at) === MAP_FAILED) return answer(-1);
    const memory = toArrayBuffer(at, 0, size);
    maps.set(memory, { at: Number(at) as Pointer, size });
    return memory;
  },
  unmap(memory) {
    const map = maps.get(memory);
    if (map === undefined) throw new TypeError("unmap: it is not mapped");
    maps.delete(memory);
    // Whoever has a view of it has one of nothing from here on.
    memory.transfer(0);
    return answer(libc.munmap(map.at, map.size));
  },
};

/** madvise(2), for this runtime's own memory. */
export function madvise(start: number, size: number, advice: number): void {
  libc.madvise(start, size, advice);
}
