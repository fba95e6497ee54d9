/** The administrator's settings of vTPMs. Pure. */
import type { Setting } from "../../contract/v2/plugin.ts";
import { DEFAULT_BINARY } from "./manifest.ts";

type Settings = Readonly<Record<string, Setting>>;

/** What a vTPM may be: of TPM 1.2 or 2.0. */
export const VERSIONS = ["2.0", "1.2"] as const;
export type Version = typeof VERSIONS[number];

/** Localities that there are (TPM 2.0 Library, part 2, TPMA_LOCALITY). */
const LOCALITIES = ["0", "1", "2", "3", "4"] as const;

export interface VtpmSettings {
  readonly binary: string;
  /** By name or number; null: the default. */
  readonly user: string | null;
  readonly creates: boolean;
  readonly version: Version;
  readonly localities: readonly number[];
}

/** @throws Error that names the setting, its value, and what would be accepted */
export function readSettings(settings: Settings): VtpmSettings {
  const binary = text(settings, "binary", DEFAULT_BINARY, /^\/[^\0]*$/, "an absolute path");
  const user = text(settings, "user", "", /^[a-z_0-9][\w.-]{0,31}$|^$/i, "a user's name or number");
  const create = text(settings, "create", "first-use", /^(first-use|never)$/, "first-use or never");
  const version = text(
    settings,
    "version",
    "2.0",
    /^(2\.0|1\.2)$/,
    'one of the texts "2.0", "1.2"',
  );
  const given = settings["localities"] ?? ["0"];
  // On a command line there are no lists.
  const words = typeof given === "string" ? given.split(" ") : given;
  const known = (word: string) => (LOCALITIES as readonly string[]).includes(word);
  if (!Array.isArray(words) || !words.every(known)) {
    throw refusal("localities", given, `a list of some of "${LOCALITIES.join('", "')}"`);
  }
  return {
    binary,
    user: user === "" ? null : user,
    creates: create === "first-use",
    version: version as Version,
    localities: words.map(Number),
  };
}

/**
 * The first of the users that swtpm becomes: one for each guest, so that one that was taken over has no hand in
 * another's, and is not who serves the guest's page either. Nobody else gives out these numbers (systemd's
 * UIDS-GIDS.md), and the kernel needs no names.
 */
const FIRST_USER = 0x7fff_8000;

/** Who swtpm is to be, by name or number. */
export function userOf({ user }: VtpmSettings, frontendDomid: number): string {
  return user ?? String(FIRST_USER + frontendDomid);
}

function text(
  settings: Settings,
  name: string,
  otherwise: string,
  form: RegExp,
  accepted: string,
): string {
  const value = settings[name] ?? otherwise;
  if (typeof value === "string" && form.test(value)) return value;
  throw refusal(name, value, accepted);
}

function refusal(name: string, value: unknown, accepted: string): Error {
  const shown = JSON.stringify(value).slice(0, 60);
  return new Error(`setting ${name} of plugin vtpm is ${shown}; expected ${accepted}`);
}
