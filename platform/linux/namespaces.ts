/** Namespaces of this process's own: mounts and network interfaces that nobody else sees. */
import { closeFile, O_RDONLY, openFile, pathBytes } from "../io/file_calls.ts";
import { sys } from "../kernel.ts";
import { readMountTable } from "./mount_table.ts";
import { program } from "../runtime.ts";
import { calledAs, selfCommand } from "../self.ts";
import { errnoName, must } from "../system_error.ts";

// linux/sched.h, linux/mount.h
const CLONE_NEWNS = 0x00020000;
const CLONE_NEWNET = 0x40000000;
const MS_NOSUID = 2;
const MS_NODEV = 4;
const MS_NOEXEC = 8;
const MS_BIND = 4096;
const MS_REC = 16384;
const MS_PRIVATE = 1 << 18;

/**
 * Starts this program once more in its own place, as the same process, in a mount namespace of its
 * own, and if wanted in a network namespace too. What is mounted there is seen by nobody else, and
 * is gone when the last process in it has ended; likewise its interfaces.
 * @param args the program's arguments
 * @param variables more of its environment
 * @returns why it has none: this process may not, or the kernel has no such thing
 * @throws SystemError when it is half done, and must not go on
 */
export function enterNamespaces(
  args: readonly string[],
  variables: Readonly<Record<string, string>>,
  { network }: { network: boolean },
): string {
  const mount = (source: string, target: string, type: string, flags: number) => {
    const [from, at, kind] = [source, target, type].map(pathBytes) as [
      Uint8Array,
      Uint8Array,
      Uint8Array,
    ];
    must(() => sys.mount(from, at, kind, flags), `mounting ${target}`);
  };
  // Only this thread is in them from here on; the program that takes its place is altogether.
  const unshared = sys.unshare(CLONE_NEWNS | (network ? CLONE_NEWNET : 0));
  if (unshared < 0) return `${errnoName(-unshared)}: unshare`;
  mount("none", "/", "none", MS_REC | MS_PRIVATE);
  if (network) renewSysfs(mount);
  const [file, ...prefix] = selfCommand();
  program.exec(file, [calledAs(), ...prefix, ...args], { ...program.environment, ...variables });
}

/** /sys shows the interfaces of the namespace in which it was mounted. */
function renewSysfs(
  mount: (source: string, target: string, type: string, flags: number) => void,
): void {
  const below = readMountTable().map(({ point }) => point).filter((point) =>
    point.startsWith("/sys/")
  );
  const tops = [...new Set(below)].filter((point) =>
    !below.some((other) => point.startsWith(`${other}/`))
  );
  const kept = tops.map((point) => [point, openFile(point, O_RDONLY)] as const);
  mount("sysfs", "/sys", "sysfs", MS_NOSUID | MS_NODEV | MS_NOEXEC);
  for (const [point, fd] of kept) {
    mount(`/proc/self/fd/${fd}`, point, "none", MS_BIND | MS_REC);
    closeFile(fd);
  }
}
