/** This program, as one static binary. */
import { readLink } from "../io/file_calls.ts";
import type { Program } from "../program.ts";
import { describeCode, errnoName, systemError } from "../system_error.ts";
import { ENGINE } from "./engine_version.ts";
import { host } from "./host.ts";

const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
const args = host.args.map((bytes) => decoder.decode(bytes));

const environment: Record<string, string> = Object.create(null);
for (const bytes of host.environment) {
  const line = decoder.decode(bytes);
  const at = line.indexOf("=");
  if (at > 0) environment[line.slice(0, at)] = line.slice(at + 1);
}

/**
 * Its file. Not `/proc/self/exe` itself: whoever starts that from elsewhere starts another program; and a
 * path that was given may be relative, or a link that says which program of several is meant.
 */
function ownFile(): string {
  try {
    const path = readLink("/proc/self/exe");
    // Replaced on disk: the new one has the name.
    return path.replace(/ \(deleted\)$/, "");
  } catch {
    // Without /proc, as in an early initramfs.
    return args[0] ?? "xdevd";
  }
}

const file = ownFile();
const endings: ((code: number) => void)[] = [];

/** See {@link Program}. */
export const program: Program = {
  command: [file],
  binary: file,
  // It is small, and is kept.
  storageHelper: { argv: [file, "storage-helper"], env: {}, keepMs: null },
  calledAs: args[0] ?? "",
  args: args.slice(1),

  argumentBytes: () =>
    host.args.slice(1).map((bytes) =>
      Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join("")
    ),

  environment,
  runtime: { name: "quickjs", version: ENGINE },

  exit(code) {
    for (const run of endings.splice(0)) run(code);
    return host.exit(code);
  },

  exec(path, argv, variables) {
    const set = Object.entries(variables).filter(([, value]) => value !== undefined);
    const result = host.exec(
      texts([path]),
      texts(argv),
      texts(set.map(([name, value]) => `${name}=${value}`)),
    );
    const code = errnoName(-result);
    throw systemError(code, describeCode(code, `starting ${path} again`));
  },

  onUncaught(run) {
    (globalThis as unknown as { __uncaught: (error: unknown) => void }).__uncaught = run;
  },

  onExit: (run) => void endings.push(run),
};

/** Texts one behind the other, a NUL after each. @throws TypeError for one with a NUL in it */
export function texts(list: readonly string[]): Uint8Array {
  for (const text of list) {
    if (text.includes("\0")) throw new TypeError(`a NUL in ${JSON.stringify(text)}`);
  }
  return new TextEncoder().encode(list.map((text) => `${text}\0`).join(""));
}
