/** How swtpm is started, and what its log says of a start that failed. Pure. */
import type { Version } from "./settings.ts";

/** Names of what it makes in its directory. */
export const CONTROL_SOCKET = "ctrl";
export const DATA_SOCKET = "data";
export const LOG = "log";

/** Files of ours in the directory of a vTPM: they say what it is. */
export const VERSION_FILE = "version";
export const CREATED_FILE = "created";
export const KEY_FILE = "key-file";

/** Files of swtpm's, of either version. */
export const SWTPM_FILES = /^(tpm2?-00\.(permall|volatilestate|savestate)|\.lock|log)$/;
/** With these it would go on where it was, with old PCRs and the same random numbers again. */
export const OLD_STATE = /^tpm2?-00\.(volatilestate|savestate)$/;

export interface Swtpm {
  readonly binary: string;
  readonly directory: string;
  readonly version: Version;
  /** Whom it becomes; root: it stays that. */
  readonly user: string;
  readonly keyFile: string | undefined;
}

export function swtpmArguments(
  { binary, directory, version, user, keyFile }: Swtpm,
): [string, ...string[]] {
  const socket = (name: string) => `type=unixio,path=${directory}/${name},mode=0600`;
  return [
    binary,
    "socket",
    ...(version === "2.0" ? ["--tpm2"] : []),
    ...["--tpmstate", `dir=${directory},mode=0600`],
    ...["--server", socket(DATA_SOCKET)],
    ...["--ctrl", socket(CONTROL_SOCKET)],
    // Not to a pipe: it would end with the daemon that reads it.
    ...["--log", `file=${directory}/${LOG},level=1,truncate`],
    ...(user === "root" ? [] : ["--runas", user]),
    ...(keyFile === undefined ? [] : ["--key", `file=${keyFile},mode=aes-256-cbc,format=hex`]),
  ];
}

/** Lines of swtpm 0.7 and libtpms 0.9, and what they mean. */
const CAUSES: readonly (readonly [RegExp, string])[] = [
  [
    /HMAC failed|Could not find plain data/,
    "its state is encrypted with another key, or with none",
  ],
  [/Unable to open file|too short|parse key/, "its key file cannot be read"],
  [/Permission denied|Read-only file system|No space left/, "it cannot write its directory"],
  [/magic|failure mode|Unmarshal|Error from SWTPM_NVRAM/, "its state is corrupt"],
];

/** Why it did not start, by the end of its log; empty when that does not say. */
export function causeIn(log: string): string {
  const lines = log.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  for (const [form, cause] of CAUSES) {
    const line = lines.find((line) => form.test(line));
    if (line !== undefined) return `${cause} (${line})`;
  }
  return lines.at(-1) ?? "";
}
