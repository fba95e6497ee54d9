/** This process: how it was called, its identity, its end. */
import { own } from "../contract/v1/own.ts";
import { absolute, pathBytes } from "./io/file_calls.ts";
import { sys } from "./kernel.ts";
import { program, sources } from "./runtime.ts";
import type { SignalName } from "./sources.ts";

export { OutputClosed, printAnyway, printIfRoom, printTo } from "./io/output.ts";

/** How to run this very program: a compiled binary, or the runtime and the main module. */
export function selfCommand(): [string, ...string[]] {
  const [file, ...args] = program.command;
  return [file, ...args];
}

/** The same, to be a storage helper. */
export function storageHelperCommand(): readonly [string, ...string[]] {
  return program.storageHelper.argv;
}

/** The name that this program was called by: argv[0], as the caller gave it. */
export function calledAs(): string {
  return program.calledAs;
}

/** The arguments, a character a byte (0 to 255). */
export function argumentBytes(): string[] {
  return program.argumentBytes();
}

/** The program's arguments. */
export function commandLine(): string[] {
  return [...program.args];
}

/** The environment variable, or undefined. */
export function environment(name: string): string | undefined {
  return own(program.environment, name);
}

export function effectiveUid(): number {
  return sys.geteuid();
}

/** This process's pid. */
export function processId(): number {
  return sys.getpid();
}

/** Random bytes, fit for identities. */
export function randomBytes(count: number): Uint8Array {
  return crypto.getRandomValues(new Uint8Array(count));
}

/** What a PV guest of this machine's own kind calls its ABI (xen/include/public/io/protocols.h). */
export function machineAbi(): string {
  return sys.machine === "x86_64" ? "x86_64-abi" : "arm-abi";
}

/** This machine, in the words of the targets of `npm run compile`: `linux-x64`. */
export function machineName(): string {
  return `linux-${{ x86_64: "x64", aarch64: "arm64", arm: "arm" }[sys.machine]}`;
}

/** The runtime's name and version. */
export function runtimeVersion(): { name: string; version: string } {
  return program.runtime;
}

/** An absolute path, seen from the current directory, without `.` and `..`. */
export function absoluteFile(file: string): string {
  const parts: string[] = [];
  for (const part of absolute(file).split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** Leaves the current directory, so that its file system can be unmounted. */
export function changeToRoot(): void {
  sys.chdir(pathBytes("/"));
}

/** Ends the process. */
export function exit(code: number): never {
  return program.exit(code);
}

/** Calls back for each TERM or INT; returns how to stop that. */
export function onTermination(fn: (signal: "SIGTERM" | "SIGINT") => void): () => void {
  return onSignals({ SIGTERM: () => fn("SIGTERM"), SIGINT: () => fn("SIGINT") });
}

/** Calls back for each of these signals; returns how to stop that, and have them as before. */
export function onSignals(
  handlers: Readonly<Partial<Record<SignalName, () => void>>>,
): () => void {
  const entries = Object.entries(handlers) as [SignalName, () => void][];
  const stops = entries.map(([name, fn]) => sources.onSignal(name, fn));
  return () => stops.forEach((stop) => stop());
}
