/** This program once more, as a child that reports lines on its standard output. */
import { systemPipedChildren } from "./child.ts";
import { chunksOf } from "./descriptor.ts";
import { currentDirectory } from "./file_calls.ts";
import { sys } from "../kernel.ts";
import { writeFully } from "./output.ts";
import { program, sources } from "../runtime.ts";
import { selfCommand } from "../self.ts";
import { must } from "../system_error.ts";
import type { ChildExit } from "../types.ts";

/** Longest report, in characters; what is longer is dropped. */
const REPORT_MAX = 1024 * 1024;

/** How long its reports are waited for after its end, in ms: others may hold the stream. */
const REPORTS_GRACE_MS = 200;

/** Such a child, leader of a process group and session of its own. */
export interface ReportingChild {
  readonly pid: number;
  /** Resolves when it has ended and its reports are in. */
  readonly exited: Promise<ChildExit>;
  /** Tells it something, a line. Ignored when it has ended. */
  tell(line: string): void;
  /** Ends it and its process group at once. */
  kill(): void;
}

/** What to run, and what becomes of what it says. */
export interface ReportingSpec {
  readonly args: readonly string[];
  /** More of its environment. */
  readonly variables: Readonly<Record<string, string>>;
  report(line: string): void;
  /** Called for each line that it prints besides. */
  printed(line: string): void;
}

/** Starts it. @throws SystemError when it cannot be started */
export async function startReportingChild(spec: ReportingSpec): Promise<ReportingChild> {
  const [file, ...prefix] = selfCommand();
  const child = await systemPipedChildren.start({
    argv: [file, ...prefix, ...spec.args],
    env: { ...program.environment as Record<string, string>, ...spec.variables },
    // What the command line names may be named from here.
    cwd: currentDirectory(),
    complaint: spec.printed,
  });
  const read = (async () => {
    for await (const line of linesOf(child.output)) spec.report(line);
  })().catch(() => {});
  const exited = child.exited.then(async (exit) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, REPORTS_GRACE_MS);
    await Promise.race([read, promise]);
    clearTimeout(timer);
    return exit;
  });
  return {
    pid: child.pid,
    exited,
    tell: (line) => child.write(new TextEncoder().encode(`${line}\n`)),
    kill: () => void child.signalGroup("SIGKILL"),
  };
}

// linux/fcntl.h
const F_DUPFD_CLOEXEC = 1030;

/** Where this process's reports go. */
let reports = 1;

/**
 * In the child, first: the standard output is for reports from here on; what anybody else prints to it
 * goes to the standard error.
 */
export function keepOutputForReports(): void {
  reports = must(() => sys.fcntl(1, F_DUPFD_CLOEXEC, 3), "the standard output");
  must(() => sys.dup2(2, 1), "the standard output");
}

/** In the child: reports a line, at once. The process ends when nobody listens any more. */
export function report(line: string): void {
  if (!writeFully(reports, new TextEncoder().encode(`${line}\n`))) program.exit(1);
}

/** In the child: lines that it is told; ends when there will be none. */
export function orders(): AsyncGenerator<string> {
  return linesOf(chunksOf(sources.openReader(0)));
}

async function* linesOf(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let pending = "";
  for await (const chunk of chunks) {
    const lines = (pending + decoder.decode(chunk, { stream: true })).split("\n");
    pending = lines.pop()!;
    yield* lines;
    if (pending.length > REPORT_MAX) pending = "";
  }
}

/**
 * In the child: calls back for what no code has caught, and when the process is about to end; both
 * must be synchronous. After an error that nobody caught, the process ends.
 */
export function onUncaught(
  { error, ending }: { error(error: unknown): void; ending(code: number): void },
): void {
  let told = false;
  const fail = (thrown: unknown) => {
    told = true;
    error(thrown);
    program.exit(1);
  };
  program.onUncaught(fail);
  program.onExit((code) => {
    if (!told) ending(code);
  });
}
