/** This process: its identity, its standard streams, starting itself again. */
import * as fs from "node:fs";
import * as path from "node:path";

/** How to run this very program: a compiled binary, or the runtime and the main module. */
export function selfCommand(): [string, ...string[]] {
  return Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main];
}

/** The environment variable, or undefined. */
export function environment(name: string): string | undefined {
  return process.env[name];
}

/** Effective uid. */
export function effectiveUid(): number {
  return process.geteuid?.() ?? 0;
}

/** This process's pid. */
export function processId(): number {
  return process.pid;
}

/** Random bytes, fit for identities. */
export function randomBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}

/** What a PV guest of this machine's own kind calls its ABI (xen/include/public/io/protocols.h). */
export function machineAbi(): string {
  return process.arch === "x64" ? "x86_64-abi" : "arm-abi";
}

/** This machine, in the words of the targets of `npm run compile`: `linux-x64`. */
export function machineName(): string {
  return `${process.platform}-${process.arch}`;
}

/** The runtime's name and version. */
export function runtimeVersion(): { name: string; version: string } {
  return { name: "bun", version: Bun.version };
}

/** Writes to the standard error (2) or output (1), synchronously. */
export function printTo(fd: 1 | 2, text: string): void {
  try {
    fs.writeSync(fd, text);
  } catch (error) {
    // The reader of a pipe may be gone; there is nobody left to tell.
    if (!["EPIPE", "EAGAIN"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
  }
}

/** An absolute path, seen from the current directory. */
export function absoluteFile(file: string): string {
  return path.resolve(file);
}

/** Leaves the current directory, so that its file system can be unmounted. */
export function changeToRoot(): void {
  process.chdir("/");
}

/** Ends the process. */
export function exit(code: number): never {
  process.exit(code);
}

/** Calls back for each TERM or INT; returns how to stop that. */
export function onTermination(fn: (signal: "SIGTERM" | "SIGINT") => void): () => void {
  const term = () => fn("SIGTERM");
  const int = () => fn("SIGINT");
  process.on("SIGTERM", term);
  process.on("SIGINT", int);
  return () => {
    process.off("SIGTERM", term);
    process.off("SIGINT", int);
  };
}
