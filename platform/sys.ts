/**
 * System calls, by name: all that the program asks of the kernel. Each runtime brings them
 * (`bun/sys.ts`, `quickjs/`); everything else of `platform` is written once above them.
 *
 * They are synchronous. A path is bytes that end with a NUL. The kernel is given the length of the
 * memory that is passed. Each returns what the kernel returns, 0 or more, or minus the errno; no error
 * is thrown but for what no caller may pass.
 */

/** See the manual page of each in section 2; `dir` is a descriptor or `AT_FDCWD`. */
export interface Sys {
  /** As uname(2) tells it: some numbers differ. */
  readonly machine: "x86_64" | "aarch64" | "arm";
  accept(fd: number, flags: number): number;
  /** faccessat */
  access(dir: number, path: Uint8Array, mode: number): number;
  bind(fd: number, address: Uint8Array): number;
  chdir(path: Uint8Array): number;
  close(fd: number): number;
  connect(fd: number, address: Uint8Array): number;
  /** dup2(2), not close-on-exec */
  dup2(fd: number, as: number): number;
  fchmod(fd: number, mode: number): number;
  fchown(fd: number, user: number, group: number): number;
  /** Commands that take an integer: F_DUPFD_CLOEXEC, F_GETFD, F_SETFD, F_GETFL, F_SETFL. */
  fcntl(fd: number, command: number, argument: number): number;
  flock(fd: number, operation: number): number;
  ftruncate(fd: number, length: number): number;
  /** mount(2), without data */
  mount(source: Uint8Array, target: Uint8Array, type: Uint8Array, flags: number): number;
  /** Options that take an integer: PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG, PR_SET_NO_NEW_PRIVS. */
  prctl(option: number, value: number): number;
  /** umount2(2) */
  unmount(target: Uint8Array, flags: number): number;
  unshare(flags: number): number;
  /** The path with its NUL, and how long that is. */
  getcwd(to: Uint8Array): number;
  /** getdents64 */
  getdents(fd: number, to: Uint8Array): number;
  geteuid(): number;
  getpid(): number;
  getrandom(to: Uint8Array, flags: number): number;
  /** How many bytes the option has. */
  getsockopt(fd: number, level: number, name: number, to: Uint8Array): number;
  /**
   * IOCTL_GNTDEV_GRANT_COPY (xen/gntdev.h), of one piece of one page; `toGuest` is 1 or 0. What the hypervisor
   * refuses is EFAULT.
   */
  grantCopy(
    fd: number,
    domid: number,
    reference: number,
    offset: number,
    bytes: Uint8Array,
    toGuest: number,
  ): number;
  /** signal(2) with SIG_IGN */
  ignore(signal: number): number;
  /**
   * Requests that `quickjs/ioctls.h` has, with as much memory as they take, or an integer; of those that
   * take a list, the first word tells how long it is.
   */
  ioctl(fd: number, request: number, argument: Uint8Array | number): number;
  kill(pid: number, signal: number): number;
  /** linkat, without flags */
  link(fromDir: number, from: Uint8Array, toDir: number, to: Uint8Array): number;
  listen(fd: number, backlog: number): number;
  /** mkdirat */
  mkdir(dir: number, path: Uint8Array, mode: number): number;
  /** openat */
  open(dir: number, path: Uint8Array, flags: number, mode: number): number;
  /** pipe2; two descriptors of 32 bits each. */
  pipe(to: Uint8Array, flags: number): number;
  /** One descriptor: the events that came, 0 when the time was up. @param ms -1: for ever */
  poll(fd: number, events: number, ms: number): number;
  pread(fd: number, to: Uint8Array, position: number): number;
  pwrite(fd: number, bytes: Uint8Array, position: number): number;
  read(fd: number, to: Uint8Array): number;
  /** readlinkat; without a NUL. */
  readlink(dir: number, path: Uint8Array, to: Uint8Array): number;
  /** recvfrom, without the sender's address */
  recv(fd: number, to: Uint8Array, flags: number): number;
  /** renameat2, without flags */
  rename(fromDir: number, from: Uint8Array, toDir: number, to: Uint8Array): number;
  /** sendto */
  send(fd: number, bytes: Uint8Array, flags: number, to: Uint8Array | null): number;
  /** setgroups(2), to none */
  setgroups(): number;
  /** setresgid(2), all three the same; `setresuid` likewise: with another user go root's capabilities. */
  setresgid(group: number): number;
  setresuid(user: number): number;
  setsockopt(fd: number, level: number, name: number, value: Uint8Array): number;
  shutdown(fd: number, how: number): number;
  socket(domain: number, type: number, protocol: number): number;
  /** statx; at least 256 bytes. */
  stat(dir: number, path: Uint8Array, flags: number, mask: number, to: Uint8Array): number;
  /** symlinkat */
  symlink(target: Uint8Array, dir: number, path: Uint8Array): number;
  umask(mask: number): number;
  /** unlinkat */
  unlink(dir: number, path: Uint8Array, flags: number): number;
  write(fd: number, bytes: Uint8Array): number;
  /** Shared memory of a descriptor, to be given back by `unmap`; or minus the errno. */
  map(fd: number, size: number, protection: number, offset: number): ArrayBuffer | number;
  /** Who uses the memory afterwards gets a TypeError. */
  unmap(memory: ArrayBuffer): number;
}
