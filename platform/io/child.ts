/** Child processes. */
import { LineSplitter } from "./line_splitter.ts";
import { type InputPipe, openInputPipe, openOutputPipe, type OutputPipe } from "./pipe.ts";
import { sys } from "../kernel.ts";
import { sources } from "../runtime.ts";
import { SIGNALS } from "../signals.ts";
import type { Child, ChildExit, ChildSpec, Processes } from "../types.ts";

/** How long the output is waited for after the end of the process itself, in ms. */
const OUTPUT_GRACE_MS = 100;

/** How long what a child that was talked to has said last may be read, in ms. */
const LAST_WORDS_MS = 2_000;

/** A child that is talked to over its standard streams. */
export interface PipedChild extends Child {
  /** Queues bytes for its standard input. Ignored when it has ended. */
  write(bytes: Uint8Array): void;
  /** Bytes that it has not taken yet. */
  readonly queued: number;
  /** What it prints; it is not read further than it is asked for. */
  readonly output: AsyncIterable<Uint8Array>;
  /** Ends its standard input. */
  closeInput(): void;
}

export interface PipedSpec extends Omit<ChildSpec, "output" | "apart"> {
  /** Receives what it prints to the standard error, a line at a time. */
  complaint(line: string): void;
  /** Runs the system call that makes the process, and may prepare the ground for it. */
  around?<T>(make: () => T): T;
}

export interface PipedChildren {
  /** @throws SystemError when the program cannot be started */
  start(spec: PipedSpec): Promise<PipedChild>;
}

/** The machine's processes. */
export const systemProcesses: Processes = {
  async start(spec) {
    const lines: Lines[] = [];
    try {
      if (spec.output) {
        const names = spec.apart ? ["stdout", "stderr"] as const : ["stdout"] as const;
        for (const name of names) lines.push(openLines((line) => spec.output?.(line, name)));
      }
      const [stdout = null, stderr = stdout] = lines.map(({ pipe }) => pipe.theirs);
      return launch(spec, [null, stdout, stderr], lines);
    } finally {
      for (const { pipe } of lines) pipe.closeTheirs();
    }
  },
};

/** The machine's, that are talked to. */
export const systemPipedChildren: PipedChildren = {
  async start({ complaint, around = (make) => make(), ...spec }) {
    const complaints = openLines(complaint, Number.POSITIVE_INFINITY);
    let output: OutputPipe | null = null;
    let input: InputPipe | null = null;
    try {
      output = openOutputPipe();
      const told = input = openInputPipe();
      const stdio = [input.theirs, output.theirs, complaints.pipe.theirs] as const;
      const child = around(() => launch(spec, stdio, [complaints]));
      const said = output;
      child.exited.then(() => {
        told.close();
        if (!said.isOpen) return;
        // No reason for the program to go on.
        (setTimeout(said.stop, LAST_WORDS_MS) as { unref?(): void }).unref?.();
      });
      return {
        ...child,
        write: told.write,
        get queued() {
          return told.queued;
        },
        output: output.read(),
        closeInput: told.end,
      };
    } catch (error) {
      input?.close();
      output?.drain(() => {}).catch(() => {});
      throw error;
    } finally {
      for (const pipe of [input, output, complaints.pipe]) pipe?.closeTheirs();
    }
  },
};

/** A stream of a child's, read a line at a time. */
interface Lines {
  readonly pipe: OutputPipe;
  readonly splitter: LineSplitter;
  /** Resolves when nobody holds the other end any more. */
  readonly drained: Promise<void>;
}

function openLines(line: (text: string) => void, linesMax?: number): Lines {
  const pipe = openOutputPipe();
  const splitter = new LineSplitter(line, linesMax);
  return { pipe, splitter, drained: pipe.drain((chunk) => splitter.push(chunk)).catch(() => {}) };
}

/**
 * Starts a program.
 * @param lines what is read of it before it counts as ended
 * @throws SystemError when it cannot be started
 */
function launch(
  { argv, env, cwd = "/" }: Pick<ChildSpec, "argv" | "env" | "cwd">,
  fds: readonly (number | null)[],
  lines: readonly Lines[],
): Child {
  const { promise: exited, resolve } = Promise.withResolvers<ChildExit>();
  const pid = sources.start({ argv, env, cwd, fds }, (end) => {
    const finish = () => {
      clearTimeout(timer);
      for (const { splitter, pipe } of lines) {
        splitter.end();
        pipe.stop();
      }
      resolve(end);
    };
    // A grandchild may keep the output open for ever: it finds that nobody reads any more.
    const timer = setTimeout(finish, OUTPUT_GRACE_MS);
    Promise.all(lines.map(({ drained }) => drained)).then(finish);
  });
  return { pid, exited, signalGroup: (signal) => signalGroup(pid, signal) };
}

/** Sends a signal to a process group; false when there is none. */
function signalGroup(leader: number, signal: Parameters<Child["signalGroup"]>[0]): boolean {
  return sys.kill(-leader, SIGNALS[signal]) === 0;
}
