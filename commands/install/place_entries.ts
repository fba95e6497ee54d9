/** Laying files out below a root, and taking exactly them away again. */
import { sha256OfFile, sha256OfText } from "../../platform/checksum.ts";
import { systemFiles } from "../../platform/io/files.ts";
import {
  type Found,
  lookAt,
  makeDirectories,
  placeCopy,
  placeLink,
  placeText,
  realPlace,
  removeEmptyDirectory,
  removeFile,
} from "../../platform/io/place_files.ts";
import type { Entry } from "./layout.ts";

/** What came of it: paths as seen from the root. */
export interface Outcome {
  /** What is there now, or was removed. */
  readonly done: readonly string[];
  /** What was left as it is, and why. */
  readonly kept: readonly string[];
}

interface Installation {
  /** Where `/` of the installed system is, an absolute path. */
  readonly root: string;
  readonly entries: readonly Entry[];
  readonly binary: string;
  readonly version: string;
}

/**
 * Installs, or brings an installation up to date. Configuration files that are there already and that
 * somebody has changed, or that are somebody else's, stay.
 * @throws Error that names all that is in the way, before anything is done
 */
export async function install(installation: Installation): Promise<Outcome> {
  const { root, entries, binary, version } = installation;
  const before = await readManifest(root);
  const old = new Map((before?.laid ?? []).map((laid) => [laid.path, laid]));
  const wanted = await Promise.all(
    entries.map(async (entry) => ({ entry, laid: await laidOf(entry, binary) })),
  );
  checkPlaces(root, entries);
  const states = await Promise.all(wanted.map(async ({ laid }) => {
    const found = await lookAt(at(root, laid.path));
    return stateOf(found, laid, old.get(laid.path));
  }));
  const foreign = wanted.filter((_, index) => states[index] === "foreign");
  if (foreign.length > 0) {
    const paths = foreign.map(({ laid }) => laid.path).join(", ");
    throw new Error(`not installed: there already, and not by this program: ${paths}`);
  }
  const laid = new Map(old);
  const record = (entry: Laid) => laid.set(entry.path, entry);
  const done: string[] = [];
  const kept: string[] = [];
  const save = () => {
    for (const made of makeDirectories(at(root, parent(MANIFEST_PATH)))) {
      record({ kind: "directory", path: below(root, made) });
    }
    const manifest: Manifest = { version, laid: [...laid.values()] };
    placeText(at(root, MANIFEST_PATH), formatManifest(manifest), 0o644);
  };
  try {
    wanted.forEach(({ entry, laid: what }, index) => {
      if (states[index] === "keep") {
        kept.push(`${what.path} (changed, or somebody else's)`);
        return;
      }
      const directory = entry.kind === "directory" ? entry.path : parent(entry.path);
      for (const made of makeDirectories(at(root, directory))) {
        record({ kind: "directory", path: below(root, made) });
      }
      if (entry.kind === "directory") return;
      put(at(root, entry.path), entry, binary);
      record(what);
      done.push(entry.path);
    });
  } finally {
    save();
  }
  return { done, kept };
}

/** What to do about what is there. */
function stateOf(found: Found, wanted: Laid, old: Laid | undefined): "put" | "keep" | "foreign" {
  if (found.kind === "nothing") return "put";
  if (wanted.kind === "directory") return found.kind === "directory" ? "put" : "foreign";
  if (isAs(found, wanted) || old !== undefined && isAs(found, old)) return "put";
  if (wanted.kind === "file" && wanted.config && found.kind === "file") return "keep";
  return old !== undefined && found.kind !== "directory" ? "put" : "foreign";
}

function isAs(found: Found, laid: Laid): boolean {
  if (laid.kind === "link") return found.kind === "link" && found.target === laid.target;
  if (laid.kind === "file") return found.kind === "file" && found.sha256 === laid.sha256;
  return found.kind === "directory";
}

/**
 * Takes away what `install` has laid down, and nothing else: what somebody has changed since stays, and
 * directories stay that are not empty.
 * @throws Error when nothing is installed there, or the record is damaged
 */
export async function uninstall(root: string): Promise<Outcome> {
  const manifest = await readManifest(root);
  if (manifest === null) {
    throw new Error(`nothing is installed in ${root}: there is no ${MANIFEST_PATH}`);
  }
  const done: string[] = [];
  const kept: string[] = [];
  checkPlaces(root, manifest.laid);
  for (const laid of manifest.laid) {
    if (laid.kind === "directory") continue;
    const place = at(root, laid.path);
    const found = await lookAt(place);
    if (found.kind === "nothing") continue;
    if (!isAs(found, laid)) {
      kept.push(`${laid.path} (changed)`);
      continue;
    }
    removeFile(place);
    done.push(laid.path);
  }
  removeFile(at(root, MANIFEST_PATH));
  const directories = manifest.laid.filter((laid) => laid.kind === "directory")
    .map((laid) => laid.path).sort().reverse();
  for (const path of directories) {
    if (removeEmptyDirectory(at(root, path))) done.push(path);
    else if ((await lookAt(at(root, path))).kind === "directory") kept.push(`${path} (not empty)`);
  }
  return { done, kept };
}

async function readManifest(root: string): Promise<Manifest | null> {
  let text: string;
  try {
    text = await systemFiles.readText(at(root, MANIFEST_PATH));
  } catch (error) {
    if ((error as { code?: string }).code === "ENOENT") return null;
    throw error;
  }
  return parseManifest(text);
}

/** Links may lead around below the root (`/bin` to `/usr/bin`), but not out of it. */
function checkPlaces(root: string, entries: readonly { readonly path: string }[]): void {
  for (const { path } of entries) {
    const real = realPlace(root, path);
    if (root !== "/" && !real.startsWith(`${root}/`)) {
      throw new Error(`${path} would be ${real}, which is not below ${root}: a link leads there`);
    }
  }
}

async function laidOf(entry: Entry, binary: string): Promise<Laid> {
  const { path } = entry;
  switch (entry.kind) {
    case "directory":
      return { kind: "directory", path };
    case "link":
      return { kind: "link", path, target: entry.target };
    case "binary":
      return { kind: "file", path, sha256: await sha256OfFile(binary), config: false };
    case "file":
      return { kind: "file", path, sha256: sha256OfText(entry.text), config: entry.config };
  }
}

function put(place: string, entry: Exclude<Entry, { kind: "directory" }>, binary: string): void {
  if (entry.kind === "link") placeLink(place, entry.target);
  else if (entry.kind === "binary") placeCopy(place, binary, 0o755);
  else placeText(place, entry.text, entry.mode);
}

function at(root: string, path: string): string {
  return root === "/" ? path : `${root}${path}`;
}

function below(root: string, place: string): string {
  return root === "/" ? place : place.slice(root.length);
}

function parent(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

/** One thing that was laid down; paths as seen from the root. */
type Laid =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
    readonly kind: "file";
    readonly path: string;
    /** Of what was laid down. */
    readonly sha256: string;
    readonly config: boolean;
  };

interface Manifest {
  /** Of the program that wrote it. */
  readonly version: string;
  /** In the order in which they were made. */
  readonly laid: readonly Laid[];
}

export const MANIFEST_PATH = "/usr/lib/xdevd/installed.json";

function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 1)}\n`;
}

/** @throws Error when the text is no such record */
export function parseManifest(text: string): Manifest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`${MANIFEST_PATH} is damaged: it is no JSON`);
  }
  const { version, laid } = (value ?? {}) as { version?: unknown; laid?: unknown };
  if (typeof version !== "string" || !Array.isArray(laid) || !laid.every(isLaid)) {
    throw new Error(`${MANIFEST_PATH} is damaged: it is no record of an installation`);
  }
  return { version, laid };
}

function isLaid(value: unknown): value is Laid {
  const entry = (value ?? {}) as Record<string, unknown>;
  const path = entry["path"];
  if (typeof path !== "string" || !path.startsWith("/") || path.split("/").includes("..")) {
    return false;
  }
  switch (entry["kind"]) {
    case "directory":
      return true;
    case "link":
      return typeof entry["target"] === "string";
    case "file":
      return typeof entry["sha256"] === "string" && typeof entry["config"] === "boolean";
    default:
      return false;
  }
}
