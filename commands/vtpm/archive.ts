/**
 * The file that `xdevd vtpm export` writes (docs/backends.md): a line that says what it is, a line of JSON
 * about the vTPM, the bytes of its files one after the other, and the SHA-256 of all that. Pure.
 */
import { quoted } from "../../core/log/quoted.ts";

const FIRST_LINE = "xdevd-vtpm 1\n";
/** `sha256 `, 64 digits and a line end. */
const SUM_LINE = 72;
const ABOUT_MAX = 16 * 1024;
const FILE_MAX = 1024 * 1024;

/** Longest archive, in bytes. */
export const ARCHIVE_MAX = 4 * FILE_MAX;

/** Files of swtpm's that are kept; what it has besides belongs to one run of it. */
export const KEPT_FILE = /^tpm2?-00\.permall$/;

export const VERSIONS: readonly string[] = ["2.0", "1.2"];

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What an archive says. */
export interface Archived {
  readonly uuid: string;
  readonly version: string;
  readonly encrypted: boolean;
  /** When it was made, as ISO 8601 has it; null when that is not known. */
  readonly created: string | null;
  readonly files: Readonly<Record<string, Uint8Array>>;
}

type Sum = (bytes: Uint8Array) => string;

/** @param sum SHA-256 in hexadecimal digits */
export function packArchive({ files, ...about }: Archived, sum: Sum): Uint8Array {
  const sizes = Object.entries(files).map(([name, { length }]) => ({ name, size: length }));
  const head = text(`${FIRST_LINE}${JSON.stringify({ ...about, files: sizes })}\n`);
  const body = joined([head, ...Object.values(files)]);
  return joined([body, text(`sha256 ${sum(body)}\n`)]);
}

/** @throws Error that says what is wrong with it */
export function readArchive(bytes: Uint8Array, sum: Sum): Archived {
  const at = FIRST_LINE.length;
  if (decoded(bytes.subarray(0, at)) !== FIRST_LINE) {
    throw new Error("it does not begin as what `xdevd vtpm export` writes");
  }
  const body = bytes.subarray(0, Math.max(at, bytes.length - SUM_LINE));
  const end = decoded(bytes.subarray(body.length));
  if (end !== `sha256 ${sum(body)}\n`) {
    throw new Error("it was cut or altered: its sha256 is wrong");
  }
  const line = body.indexOf(10, at);
  if (line < 0 || line > ABOUT_MAX) throw new Error("its second line is missing, or too long");
  const about = parsed(decoded(body.subarray(at, line)));
  const files: Record<string, Uint8Array> = {};
  let from = line + 1;
  for (const { name, size } of about.files) {
    files[name] = body.slice(from, from += size);
  }
  if (from !== body.length) throw new Error(`its files have ${from} bytes, and it ${body.length}`);
  return { ...about, files };
}

interface About extends Omit<Archived, "files"> {
  readonly files: readonly { readonly name: string; readonly size: number }[];
}

function parsed(line: string): About {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw new Error("its second line is no JSON");
  }
  const { uuid, version, encrypted, created, files } = (value ?? {}) as Record<string, unknown>;
  const must = (name: string, found: unknown, fits: boolean) => {
    if (!fits) throw new Error(`its ${name} is ${quoted(JSON.stringify(found) ?? "missing")}`);
  };
  must("uuid", uuid, typeof uuid === "string" && UUID.test(uuid));
  must("version", version, VERSIONS.includes(version as string));
  must("encrypted", encrypted, typeof encrypted === "boolean");
  must("created", created, created === null || isTime(created));
  must("files", files, Array.isArray(files) && files.length <= 2);
  const list = (files as unknown[]).map((one) => {
    const { name, size } = (one ?? {}) as Record<string, unknown>;
    must("file", name, typeof name === "string" && KEPT_FILE.test(name));
    must("size", size, Number.isInteger(size) && Number(size) >= 0 && Number(size) <= FILE_MAX);
    return { name: String(name), size: Number(size) };
  });
  must("files", files, new Set(list.map(({ name }) => name)).size === list.length);
  return {
    uuid: String(uuid),
    version: String(version),
    encrypted: encrypted === true,
    created: created as string | null,
    files: list,
  };
}

/** Whether it is a time, as it is written here. */
function isTime(text: unknown): boolean {
  const date = new Date(typeof text === "string" ? text : "");
  return !Number.isNaN(date.getTime()) && date.toISOString() === text;
}

const text = (value: string) => new TextEncoder().encode(value);
const decoded = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

function joined(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
