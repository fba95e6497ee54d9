/** Child processes, by the runtime's own function: `node:child_process` takes half as long again. */
import { openPipe, type Pipe } from "./pipe.ts";
import type { Child, ChildExit, ChildSpec, Processes } from "./types.ts";

/** Longest line of output handed on, in characters; the rest of it is cut off and said so. */
const LINE_MAX = 2000;

/** Lines handed on from one child; what comes after is counted and dropped. */
const LINES_MAX = 10_000;

/** How long the output is waited for after the end of the process itself, in ms. */
export const OUTPUT_GRACE_MS = 100;

/** The machine's processes. */
export const systemProcesses: Processes = {
  async start(spec: ChildSpec): Promise<Child> {
    const outputs: Output[] = [];
    try {
      if (spec.output) {
        const names = spec.apart ? ["stdout", "stderr"] as const : ["stdout"] as const;
        for (const name of names) {
          outputs.push(await openOutput((line) => spec.output?.(line, name)));
        }
      }
      return launch(spec, outputs);
    } finally {
      for (const { pipe } of outputs) pipe.closeWriter();
    }
  },
};

/** One stream of a child's output, on its way. */
interface Output {
  readonly pipe: Pipe;
  readonly splitter: LineSplitter;
  /** Resolves when nobody holds the other end any more. */
  readonly drained: Promise<void>;
}

async function openOutput(line: (text: string) => void): Promise<Output> {
  const pipe = await openPipe();
  const splitter = new LineSplitter(line);
  return { pipe, splitter, drained: pipe.drain((chunk) => splitter.push(chunk)).catch(() => {}) };
}

/** @throws SystemError when it cannot be started */
function launch(spec: ChildSpec, outputs: readonly Output[]): Child {
  const [stdout, stderr = stdout] = outputs;
  const { promise: exited, resolve } = Promise.withResolvers<ChildExit>();
  const { pid } = Bun.spawn([...spec.argv], {
    // A session and process group of its own, so that all of it can be ended.
    detached: true,
    env: { ...spec.env },
    cwd: spec.cwd ?? "/",
    stdio: ["ignore", stdout?.pipe.writer ?? "ignore", stderr?.pipe.writer ?? "ignore"],
    onExit({ exitCode: code, signalCode: signal }) {
      const finish = () => {
        clearTimeout(timer);
        for (const { splitter } of outputs) splitter.end();
        resolve({ code, signal: typeof signal === "number" ? `signal ${signal}` : signal });
      };
      // A grandchild may keep the output open for ever.
      const timer = setTimeout(finish, OUTPUT_GRACE_MS);
      Promise.all(outputs.map(({ drained }) => drained)).then(finish);
    },
  });
  return { pid, exited, signalGroup: (signal) => signalGroup(pid, signal) };
}

/** Sends a signal to a process group; false when there is none. */
export function signalGroup(leader: number, signal: Parameters<Child["signalGroup"]>[0]): boolean {
  try {
    process.kill(-leader, signal);
    return true;
  } catch {
    return false;
  }
}

/** Cuts a byte stream into lines, bounded in length and number. */
export class LineSplitter {
  readonly #line: (text: string) => void;
  readonly #linesMax: number;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #pending = "";
  #skipping = false;
  #count = 0;
  #ended = false;

  /** @param linesMax how many lines are handed on */
  constructor(line: (text: string) => void, linesMax = LINES_MAX) {
    this.#line = line;
    this.#linesMax = linesMax;
  }

  /** Takes the next bytes. */
  push(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.#pending += this.#decoder.decode(chunk, { stream: true });
    let end: number;
    while ((end = this.#pending.indexOf("\n")) >= 0) {
      const text = this.#pending.slice(0, end).replace(/\r$/, "");
      this.#pending = this.#pending.slice(end + 1);
      if (this.#skipping) this.#skipping = false;
      else this.#emit(text);
    }
    if (this.#pending.length > LINE_MAX) {
      if (!this.#skipping) this.#emit(this.#pending);
      this.#skipping = true;
      this.#pending = "";
    }
  }

  /** Hands out a last line that has no line end; nothing is taken after that. */
  end(): void {
    if (this.#ended) return;
    this.#pending += this.#decoder.decode();
    if (this.#pending !== "" && !this.#skipping) this.#emit(this.#pending);
    this.#pending = "";
    this.#ended = true;
  }

  #emit(text: string): void {
    this.#count++;
    if (this.#count <= this.#linesMax) {
      this.#line(text.length > LINE_MAX ? `${text.slice(0, LINE_MAX)}… (cut)` : text);
    } else if (this.#count === this.#linesMax + 1) {
      this.#line(`(more than ${this.#linesMax} lines; the rest is dropped)`);
    }
  }
}
