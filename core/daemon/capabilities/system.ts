/** A few things of the machine, as a device's plugin may use them: bounded in bytes and time. */
import { CAPABILITIES } from "../../../contract/v1/capabilities.ts";
import type { DeviceSystem } from "../../../contract/v1/plugin.ts";
import { OPERATION_VARIABLE, type Orphans } from "../device/orphans.ts";
import type { Clock, Files, Processes } from "../../../platform/types.ts";
import type { Activity } from "../activity.ts";
import type { Exclusive } from "./exclusive.ts";

/** What it is made from. */
export interface SystemParts {
  readonly files: Files;
  readonly processes: Processes;
  readonly orphans: Orphans;
  readonly clock: Clock;
  readonly exclusive: Exclusive;
  readonly blocks: DeviceSystem["blocks"];
  readonly links: DeviceSystem["links"];
}

/** The call that it is for. */
export interface SystemCall {
  readonly activity: Activity;
  /** Variables that all child processes get. */
  readonly environment: Readonly<Record<string, string>>;
  /** Whose locks are its own: a plugin's name, or that of all that are compiled in. */
  readonly lockOwner: string;
}

/** How many lines of a program that fails are told. */
const LINES_MAX = 3;

const { "system.readText": READ, "system.list": LIST, "system.run": RUN } = CAPABILITIES;

/** Where the kernel's tables are: as long as the machine has things. */
const KERNELS = /^\/(proc|sys)\//;

/** It is not there. */
const GONE: ReadonlySet<string> = new Set(["ENOENT", "ENOTDIR"]);
/** What the kernel says of a file that was opened when its device or process was still there. */
const GONE_MEANWHILE: ReadonlySet<string> = new Set(["ENODEV", "ENXIO", "ESRCH"]);

export function deviceSystem(
  { files, processes, orphans, clock, exclusive, blocks, links }: SystemParts,
  { environment, activity, lockOwner }: SystemCall,
): DeviceSystem {
  let programs = 0;
  const optional = async <T>(value: Promise<T>, path: string): Promise<T | undefined> => {
    try {
      return await value;
    } catch (error) {
      const { code = "" } = error as { code?: string };
      if (GONE.has(code) || KERNELS.test(path) && GONE_MEANWHILE.has(code)) return undefined;
      throw error;
    }
  };
  return {
    exists: async (path) => await optional(files.stat(path), path) !== undefined,
    async readText(path) {
      const { bytes, kernelBytes } = READ.limits;
      const text = await optional(
        files.readText(path, KERNELS.test(path) ? kernelBytes : bytes),
        path,
      );
      return text?.trimEnd();
    },
    async identityOf(path) {
      const status = await optional(files.stat(path), path);
      if (status === undefined) return undefined;
      const { kind, dev, ino, rdev } = status;
      return kind === "block" || kind === "character" ? `${kind} ${rdev}` : `${dev}:${ino}`;
    },
    list: async (path) => await optional(files.list(path, LIST.limits.count), path) ?? [],
    realPath: (path) => optional(files.realPath(path), path),
    async run(argv, signal) {
      signal.throwIfAborted();
      const lines: string[] = [];
      const printed: string[] = [];
      let length = 0;
      // Of its own, since only this one is ended by its signal.
      const mark = `${environment[OPERATION_VARIABLE] ?? crypto.randomUUID()}/${++programs}`;
      const child = await processes.start({
        argv,
        env: { ...environment, [OPERATION_VARIABLE]: mark },
        apart: true,
        output: (line, stream) => {
          // The first ones tell what it was about, the last one how it ended.
          if (lines.length === LINES_MAX) lines.pop();
          lines.push(line);
          if (stream === "stdout" && (length += line.length + 1) <= RUN.limits.bytes) {
            printed.push(line);
          }
        },
      });
      let stopped = false;
      const kill = () => {
        stopped = true;
        child.signalGroup("SIGKILL");
      };
      signal.addEventListener("abort", kill, { once: true });
      // It may have fired while the process was being made.
      if (signal.aborted) kill();
      const { code, signal: ended } = await child.exited;
      signal.removeEventListener("abort", kill);
      // Also what is in a session of its own by now.
      if (stopped) await orphans.end(mark, "SIGKILL");
      if (stopped && code === null) {
        const why = signal.reason instanceof Error ? signal.reason.message : String(signal.reason);
        throw new Error(`${argv.join(" ")} was stopped: ${why}`, { cause: signal.reason });
      }
      if (code !== 0) {
        const how = code === null ? `was killed by ${ended}` : `exited with status ${code}`;
        throw new Error([`${argv.join(" ")} ${how}`, ...lines].join(": "));
      }
      return printed.join("\n");
    },
    blocks,
    links,
    async exclusively(name, signal, work) {
      const begun = activity.begin(`its turn: another device is busy with the same, ${name}`);
      const run = () => {
        begun();
        return work();
      };
      return await exclusive.run(`${lockOwner}/${name}`, signal, run).finally(begun);
    },
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (signal.aborted) return reject(signal.reason);
        const onAbort = () => {
          cancel();
          reject(signal.reason);
        };
        const cancel = clock.after(ms, () => {
          signal.removeEventListener("abort", onAbort);
          resolve();
        });
        signal.addEventListener("abort", onAbort, { once: true });
      }),
  };
}
