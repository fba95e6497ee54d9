/** A child process that is talked to over its standard streams. */
import type { ChildProcess } from "node:child_process";
import { openPipe } from "./pipe.ts";
import { LineSplitter, OUTPUT_GRACE_MS, signalGroup } from "./processes.ts";
import type { Child, ChildExit, ChildSpec } from "./types.ts";

/** Such a child, leader of a process group and session of its own. */
export interface TalkingChild extends Child {
  /** Queues bytes for its standard input. Ignored when it has ended. */
  write(bytes: Uint8Array): void;
  /** Bytes that it has not taken yet. */
  readonly queued: number;
  /** What it prints; it is not read further than it is asked for. */
  readonly output: AsyncIterable<Uint8Array>;
  /** Ends its standard input. */
  closeInput(): void;
}

/** What to run. */
export interface TalkingSpec extends Omit<ChildSpec, "output"> {
  /** Receives what it prints to the standard error, a line at a time. */
  complaint(line: string): void;
  /** Runs the system call that makes the process, and may prepare the ground for it. */
  around?<T>(make: () => T): T;
}

/** Starting them. */
export interface TalkingChildren {
  /** @throws SystemError when the program cannot be started */
  start(spec: TalkingSpec): Promise<TalkingChild>;
}

/** The machine's. */
export const systemTalkingChildren: TalkingChildren = {
  async start(spec) {
    const { spawn } = await import("node:child_process");
    const complaints = await openPipe();
    const splitter = new LineSplitter(spec.complaint, Number.POSITIVE_INFINITY);
    const [file, ...args] = spec.argv;
    const make = () =>
      spawn(file, args, {
        detached: true,
        env: { ...spec.env },
        cwd: spec.cwd ?? "/",
        stdio: ["pipe", "pipe", complaints.writer],
      });
    let child: ChildProcess;
    try {
      child = spec.around?.(make) ?? make();
    } finally {
      complaints.closeWriter();
    }
    const drained = complaints.drain((chunk) => splitter.push(chunk)).catch(() => {})
      .then(() => splitter.end());
    // They are pipes.
    const [stdin, stdout] = [child.stdin!, child.stdout!];
    // It may end at any time; that it has is told by `exited`.
    stdin.on("error", () => {});
    const exited = new Promise<ChildExit>((resolve) => {
      child.once("exit", (code, signal) => {
        const exit = { code, signal };
        // Its last words tell why. A grandchild may keep that open for ever.
        const timer = setTimeout(() => resolve(exit), OUTPUT_GRACE_MS);
        drained.then(() => {
          clearTimeout(timer);
          resolve(exit);
        });
      });
    });
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("spawn", resolve);
    });
    const pid = child.pid!;
    return {
      pid,
      exited,
      write: (bytes) => {
        if (!stdin.destroyed) stdin.write(bytes);
      },
      get queued() {
        return stdin.writableLength;
      },
      output: stdout,
      closeInput: () => stdin.end(),
      signalGroup: (signal) => signalGroup(pid, signal),
    };
  },
};
