/**
 * This process: how it was called, its identity, its end. Loads nothing before it is needed: `node:fs`
 * takes half as long to load as the runtime takes to start.
 */

export { printIfRoom, printTo } from "./output.ts";

/** How to run this very program: a compiled binary, or the runtime and the main module. */
export function selfCommand(): [string, ...string[]] {
  return Bun.main.startsWith("/$bunfs/") ? [process.execPath] : [process.execPath, Bun.main];
}

/** The name that this program was called by: argv[0], as the caller gave it. */
export function calledAs(): string {
  return process.argv0;
}

/** What stands in the runtime's own list of arguments for what is no UTF-8. */
const REPLACEMENT = "\ufffd";

/**
 * The arguments, a character a byte (0 to 255): the runtime's own list has lost what is no UTF-8.
 * Without /proc that list has to do.
 */
export async function argumentBytes(): Promise<string[]> {
  const decoded = process.argv.slice(2);
  const asGiven = () => decoded.map((text) => Buffer.from(text).toString("latin1"));
  if (!decoded.some((text) => text.includes(REPLACEMENT))) return asGiven();
  try {
    const { readFileSync } = await import("node:fs");
    const all = readFileSync("/proc/self/cmdline", "latin1").split("\0");
    return all.slice(0, -1).slice(-decoded.length);
  } catch {
    return asGiven();
  }
}

/** The program's arguments. */
export function commandLine(): string[] {
  return process.argv.slice(2);
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

/** An absolute path, seen from the current directory. */
export function absoluteFile(file: string): string {
  return process.getBuiltinModule("node:path").resolve(file);
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
  return onSignals({ SIGTERM: () => fn("SIGTERM"), SIGINT: () => fn("SIGINT") });
}

/** Calls back for each of these signals; returns how to stop that, and have them as before. */
export function onSignals(
  handlers: Readonly<Partial<Record<NodeJS.Signals, () => void>>>,
): () => void {
  const entries = Object.entries(handlers) as [NodeJS.Signals, () => void][];
  for (const [signal, fn] of entries) process.on(signal, fn);
  return () => {
    for (const [signal, fn] of entries) process.off(signal, fn);
  };
}
