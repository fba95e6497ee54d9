/**
 * Control groups (cgroups(7), both versions), to bound how many processes something makes, and to end
 * them all.
 */
import {
  closeFile,
  list,
  makeDirectories,
  O_WRONLY,
  openFile,
  readText,
  removeDirectory,
  writeOpen,
} from "../io/file_calls.ts";
import { sys } from "../kernel.ts";
import { SIGNALS } from "../signals.ts";
import { hasCode } from "../system_error.ts";

export interface ControlGroup {
  /**
   * Runs something that makes a process, which is then in the group from its first instant.
   * @throws SystemError when the group cannot be entered; what `make` throws
   */
  around<T>(make: () => T): T;
  /**
   * Ends all processes in it, however many and however fast they multiply.
   * @throws SystemError when nobody can tell which there are (EMFILE)
   */
  killAll(): void;
  /** Removes it; false while there are processes in it. */
  remove(): boolean;
}

/** Where a process's control group is. */
interface Place {
  readonly version: 1 | 2;
  /** Where the hierarchy is mounted. */
  readonly mount: string;
  /** The process's own group, `/` for the root. */
  readonly own: string;
}

/** How often `killAll` looks for new ones. */
const KILL_ROUNDS = 20;

/**
 * Makes a control group.
 * @param name of the group; one of that name is taken over
 * @param processes how many processes and threads may be in it
 * @throws Error that says in one line why there cannot be one
 */
export function makeControlGroup(name: string, processes: number): ControlGroup {
  const place = findPlace();
  if (place === null) throw new Error("no control groups for numbers of processes are mounted");
  const reasons: unknown[] = [];
  for (const parent of new Set([place.own, parentOf(place.own)])) {
    const directory = `${place.mount}${parent === "/" ? "" : parent}/${name}`;
    try {
      if (place.version === 2) enablePids(`${place.mount}${parent}`);
      makeDirectories(directory);
      tell(`${directory}/pids.max`, String(processes));
      return groupAt(directory, `${place.mount}${place.own}`, processes);
    } catch (error) {
      reasons.push(error);
    }
  }
  throw reasons[0];
}

/**
 * Removes the groups whose names begin so, as far as no process is in them.
 * @returns whether there is none any more
 * @throws SystemError when nobody can tell
 */
export function removeControlGroups(prefix: string): boolean {
  const place = findPlace();
  if (place === null) return true;
  let gone = true;
  for (const parent of new Set([place.own, parentOf(place.own)])) {
    const directory = `${place.mount}${parent === "/" ? "" : parent}`;
    for (const name of list(directory).filter((name) => name.startsWith(prefix))) {
      try {
        removeDirectory(`${directory}/${name}`);
      } catch {
        // Somebody dies slowly.
        gone = false;
      }
    }
  }
  return gone;
}

function groupAt(directory: string, own: string, processes: number): ControlGroup {
  const pidsFile = `${directory}/cgroup.procs`;
  /** Others than this process, which passes through. */
  const pids = () =>
    readText(pidsFile).split("\n").filter((line) => line !== "").map(Number)
      .filter((pid) => pid !== sys.getpid());
  return {
    around(make) {
      const opened: number[] = [];
      const open = (file: string) => {
        const fd = openFile(file, O_WRONLY);
        opened.push(fd);
        return (text: string) => writeOpen(fd, new TextEncoder().encode(text));
      };
      try {
        // There is no other way to be born into a group than by a parent that is in it; our own
        // threads would count too. The way back is open before: there may be no descriptor left then.
        const [limit, enter, leave] = [
          open(`${directory}/pids.max`),
          open(pidsFile),
          open(`${own}/cgroup.procs`),
        ];
        const self = String(sys.getpid());
        limit("max");
        enter(self);
        try {
          return make();
        } finally {
          leave(self);
          limit(String(processes));
        }
      } finally {
        for (const fd of opened) closeFile(fd);
      }
    },
    killAll() {
      try {
        // None of them makes another one from here on.
        tell(`${directory}/pids.max`, "0");
      } catch {
        // Then the rounds below have to do.
      }
      for (let round = 0; round < KILL_ROUNDS; round++) {
        const left = pids();
        if (left.length === 0) return;
        for (const pid of left) {
          sys.kill(pid, SIGNALS.SIGKILL);
        }
      }
    },
    remove() {
      try {
        removeDirectory(directory);
        return true;
      } catch (error) {
        // Somebody dies slowly; the next start takes over what stays.
        return hasCode(error, "ENOENT");
      }
    },
  };
}

function findPlace(): Place | null {
  const mounts = readLines("/proc/self/mounts").map((line) => line.split(" "));
  for (const line of readLines("/proc/self/cgroup")) {
    const [, hierarchy, controllers = "", own = "/"] = /^(\d+):([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers.split(",").includes("pids")) {
      const mount = mounts.find(([, , type, options]) =>
        type === "cgroup" && (options ?? "").split(",").includes("pids")
      )?.[1];
      if (mount !== undefined) return { version: 1, mount, own: own === "/" ? "" : own };
    }
    if (hierarchy === "0" && controllers === "") {
      const mount = mounts.find(([, , type]) => type === "cgroup2")?.[1];
      if (mount === undefined) continue;
      const available = readLines(`${mount}${own === "/" ? "" : own}/cgroup.controllers`)[0] ?? "";
      if (available.split(" ").includes("pids")) {
        return { version: 2, mount, own: own === "/" ? "" : own };
      }
    }
  }
  return null;
}

/** Version 2 has a controller in a group only if the group above it passes it on. */
function enablePids(parent: string): void {
  const file = `${parent}/cgroup.subtree_control`;
  if (readText(file).trim().split(" ").includes("pids")) return;
  tell(file, "+pids");
}

function parentOf(group: string): string {
  return group.slice(0, Math.max(0, group.lastIndexOf("/")));
}

/** None where there is no such file. @throws SystemError when nobody can tell */
function readLines(file: string): string[] {
  try {
    return readText(file).split("\n");
  } catch (error) {
    if (hasCode(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

/** Writes one of the kernel's files. */
function tell(file: string, text: string): void {
  const fd = openFile(file, O_WRONLY);
  try {
    writeOpen(fd, new TextEncoder().encode(text));
  } finally {
    closeFile(fd);
  }
}
