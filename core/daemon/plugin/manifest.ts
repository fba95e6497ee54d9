/** Manifests: what a plugin file says of itself, readable without running it. Pure. */
import { own } from "../../../contract/v1/own.ts";
import { isKind, KIND_LENGTH_MAX } from "../../xen/device_id.ts";
import {
  CONTRACT_VERSIONS,
  type PluginManifest,
  type ProofOfSetup,
} from "../../../contract/v1/plugin.ts";

/** A manifest is no manifest; the message says what is wrong, in one line. */
export class ManifestError extends Error {
  override name = "ManifestError";
}

/** How far into a file its manifest may be, in bytes. */
export const HEADER_MAX = 16 * 1024;

/** The contract that servers came with. */
const SERVER_CONTRACT = 2;

/** Most kinds, results and nodes in one manifest. */
const ENTRIES_MAX = 64;

const NAME = /^[a-z0-9][a-z0-9_-]{0,31}$/;
const MARK = /^[^\w\n]*xdevd-plugin:[ \t]*(.*)$/m;

/**
 * The manifest in the beginning of a file: a comment line `xdevd-plugin: {…}` with a JSON object,
 * whatever the comments of its language look like.
 * @returns undefined when there is none
 * @throws ManifestError when there is one that is damaged
 */
export function manifestInText(text: string): PluginManifest | undefined {
  const line = MARK.exec(text.slice(0, HEADER_MAX))?.[1];
  if (line === undefined) return undefined;
  return parseManifest(line.slice(0, line.lastIndexOf("}") + 1));
}

/** The line that {@link manifestInText} finds. @param comment what opens a comment line */
export function manifestLine(manifest: PluginManifest, comment = "//"): string {
  return `${comment} xdevd-plugin: ${JSON.stringify(manifest)}`;
}

/** A manifest by itself, as in `NAME.json` beside a program. @throws ManifestError */
export function parseManifest(json: string): PluginManifest {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (error) {
    throw new ManifestError(`its manifest is not JSON: ${(error as Error).message}`);
  }
  return checkManifest(value);
}

const PROOFS: readonly ProofOfSetup[] = ["status", "state", "result"];

/** What each field must be: a test, and words for it. */
const FIELDS: Record<string, readonly [(value: unknown) => boolean, string]> = {
  name: [
    (v) => typeof v === "string" && NAME.test(v),
    "1 to 32 lower case letters, digits, - and _, a letter or digit first",
  ],
  version: [(v) => isText(v, 64), "a text of 1 to 64 characters"],
  api: [(v) => Number.isInteger(v), "a whole number, the contract's version"],
  kinds: [
    (v) => isList(v, (kind) => typeof kind === "string" && isKind(kind)) && v.length > 0,
    `a list of backend kinds (lower case, at most ${KIND_LENGTH_MAX} characters)`,
  ],
  description: [(v) => isText(v, 200), "a text of 1 to 200 characters"],
  carrier: [(v) => v === "module" || v === "process", "module or process"],
  frontendKind: [isFrontendKind, "a kind, or an object of backend kinds and frontend kinds"],
  waitsForBackend: [isBoolean, "true or false"],
  servedByQemu: [isBoolean, "true or false"],
  removesWithoutDirectory: [isBoolean, "true or false"],
  proof: [
    (v) => isList(v, (one) => PROOFS.some((proof) => proof === one)) && v.length > 0,
    `a list of some of ${PROOFS.join(", ")}`,
  ],
  results: [(v) => isList(v, isNodeName), "a list of node names"],
  server: [
    isServer,
    "an object of pages (a list of references, access, clearOnUnmap), and optionally features, " +
    "eventChannel, nodes, eventsPerSecond, resumes",
  ],
  settings: [isTexts, "an object of names and what they mean"],
  sample: [
    isSample,
    "an object of backend, files and settings, each an object of texts, and needsRoot, true or false",
  ],
};

const REQUIRED = ["name", "version", "api", "kinds"];

/**
 * Checks what claims to be a manifest, and returns its fields alone.
 * @throws ManifestError that names the field, its value, and what would be accepted
 */
export function checkManifest(value: unknown): PluginManifest {
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new ManifestError("its manifest is no object");
  }
  const given = value as Record<string, unknown>;
  for (const name of REQUIRED) {
    if (given[name] === undefined) throw new ManifestError(`its manifest has no ${name}`);
  }
  const manifest: Record<string, unknown> = {};
  for (const [name, [test, expected]] of Object.entries(FIELDS)) {
    const field = given[name];
    if (field === undefined) continue;
    if (!test(field)) {
      const shown = (JSON.stringify(field) ?? String(field)).slice(0, 80);
      throw new ManifestError(`its manifest has ${name} ${shown}; expected ${expected}`);
    }
    manifest[name] = field;
  }
  const checked = manifest as unknown as PluginManifest;
  if (checked.server !== undefined && checked.api < SERVER_CONTRACT) {
    throw new ManifestError(`its manifest has a server, which takes api ${SERVER_CONTRACT}`);
  }
  if (checked.server !== undefined && checked.carrier === "process") {
    throw new ManifestError(
      "its manifest has a server, which takes a plugin that is a module: a program has processes of its own",
    );
  }
  return checked;
}

/**
 * Negotiates the contract.
 * @throws ManifestError when the plugin was written for one that this host does not serve
 */
export function checkContract(api: number): void {
  if (CONTRACT_VERSIONS.includes(api)) return;
  const newest = Math.max(...CONTRACT_VERSIONS);
  throw new ManifestError(
    `it was written for contract ${api}; this xdevd serves contract ` +
      `${CONTRACT_VERSIONS.join(", ")}` +
      (api > newest ? ": a newer xdevd is needed" : ": a newer version of the plugin is needed"),
  );
}

/** Kind of the frontend's directory of devices of a backend kind. */
export function frontendKindOf({ frontendKind }: PluginManifest, kind: string): string {
  if (typeof frontendKind === "string") return frontendKind;
  return own(frontendKind ?? {}, kind) ?? kind;
}

/** What proves that an add of a plugin has succeeded. */
export function proofOf({ proof, servedByQemu, server }: PluginManifest): readonly ProofOfSetup[] {
  // It gets to state 4 only when the guest has connected: until then, its record tells.
  if (server !== undefined) return ["state"];
  return proof ?? [servedByQemu === true ? "state" : "status"];
}

/**
 * In which field two manifests differ that should be the same; null if in none. What is for people
 * and for `plugin check` alone may differ.
 */
export function difference(promised: PluginManifest, actual: PluginManifest): string | null {
  for (const name of Object.keys(FIELDS) as (keyof PluginManifest)[]) {
    if (["description", "sample", "carrier", "settings"].includes(name)) continue;
    const [before, after] = [promised[name], actual[name]].map((field) => JSON.stringify(field));
    if (before !== after) {
      return `its manifest says ${name} ${before ?? "nothing"}, its code ${after ?? "nothing"}`;
    }
  }
  return null;
}

function isText(value: unknown, max: number): boolean {
  return typeof value === "string" && value.length > 0 && value.length <= max &&
    !/[\p{Cc}\p{Cf}]/u.test(value);
}

function isBoolean(value: unknown): boolean {
  return typeof value === "boolean";
}

function isNodeName(value: unknown): boolean {
  return typeof value === "string" && /^[\w@-]+(\/[\w@-]+)*$/.test(value) && value.length <= 128;
}

function isList(value: unknown, test: (entry: unknown) => boolean): value is unknown[] {
  return Array.isArray(value) && value.length <= ENTRIES_MAX && value.every(test);
}

function isServer(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  const { features = {}, pages, eventChannel = "x", nodes = [], ...more } = value as Record<
    string,
    unknown
  >;
  const { eventsPerSecond = 1, resumes = false, ...others } = more;
  return Object.keys(others).length === 0 && isTexts(features) && typeof resumes === "boolean" &&
    Object.keys(features as object).every(isNodeName) &&
    Array.isArray(pages) && pages.length <= 8 && pages.every(isPages) && isNodeName(eventChannel) &&
    isList(nodes, isNodeName) && nodes.length <= 32 && isWithin(eventsPerSecond, 1, 100_000);
}

function isPages(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  const { references, access, clearOnUnmap, ...others } = value as Record<string, unknown>;
  return Object.keys(others).length === 0 && isList(references, isNodeName) &&
    isWithin(references.length, 1, 16) && (access === "read" || access === "write") &&
    (clearOnUnmap === undefined ||
      access === "write" && isWithin(clearOnUnmap, 0, references.length * 4096 - 1));
}

function isWithin(value: unknown, min: number, max: number): boolean {
  return Number.isInteger(value) && (value as number) >= min && (value as number) <= max;
}

function isTexts(value: unknown): boolean {
  return typeof value === "object" && value !== null && !Array.isArray(value) &&
    Object.keys(value).length <= ENTRIES_MAX &&
    Object.values(value).every((text) => typeof text === "string");
}

function isFrontendKind(value: unknown): boolean {
  if (typeof value === "string") return isKind(value);
  return isTexts(value) && Object.entries(value as object).flat().every(isKind);
}

function isSample(value: unknown): boolean {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return false;
  return Object.entries(value).every(([part, content]) =>
    part === "needsRoot"
      ? typeof content === "boolean"
      : ["backend", "files", "settings"].includes(part) && isTexts(content)
  );
}
