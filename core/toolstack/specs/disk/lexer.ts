/**
 * Cuts a disk specification into tokens (docs/man/xl-disk-configuration.5, libxlu_disk_l.l). Pure.
 *
 * The grammar is one of longest matches: at each position, whichever token reaches furthest is the
 * one. Two families compete. *Pieces* go to the next comma, across lines. *Heads* (blanks, and words
 * with a colon) count as if they reached to the end of the line, though they take only themselves.
 */
import { placeIn, SpecError, type SpecPlace } from "../spec_error.ts";

/** Parameters with a value that goes to the next comma. */
export const DISK_KEYS = [
  "format",
  "devtype",
  "access",
  "backend",
  "backendtype",
  "specification",
  "vdev",
  "script",
  "colo-host",
  "colo-port",
  "colo-export",
  "active-disk",
  "hidden-disk",
] as const;

/** Parameters that are there or not. */
export const DISK_FLAGS = [
  "cdrom",
  "direct-io-safe",
  "discard",
  "no-discard",
  "trusted",
  "untrusted",
  "grant_usage=0",
  "grant_usage=1",
  "colo",
  "no-colo",
] as const;

/** Deprecated prefixes: they name a format, name a script, or say nothing. */
export const DISK_PREFIXES = {
  format: ["raw", "qcow", "qcow2", "vhd"],
  script: ["iscsi", "nbd", "enbd", "drbd"],
  ignored: ["tapdisk", "tap", "tap2", "aio", "ioemu", "file", "phy"],
} as const;

export type DiskKey = typeof DISK_KEYS[number] | "target";
export type DiskFlag = typeof DISK_FLAGS[number];

/** A token; `place` is what an error points at. */
export type DiskToken =
  & { readonly place: SpecPlace }
  & (
    | { readonly type: "parameter"; readonly key: DiskKey; readonly value: string }
    | { readonly type: "flag"; readonly flag: DiskFlag }
    | { readonly type: "prefix"; readonly name: string }
    | { readonly type: "positional"; readonly value: string }
  );

const keys: ReadonlySet<string> = new Set(DISK_KEYS);
const flags: ReadonlySet<string> = new Set(DISK_FLAGS);
const prefixes: ReadonlySet<string> = new Set(Object.values(DISK_PREFIXES).flat());

/** @throws SpecError at the first place that is no token */
export function* diskTokens(text: string, argument: number): Generator<DiskToken> {
  for (let at = 0; at < text.length;) {
    const { token, end } = headAt(text, argument, at) ?? pieceAt(text, argument, at);
    if (token !== null) yield token;
    at = end;
  }
}

interface Match {
  /** null for blanks. */
  readonly token: DiskToken | null;
  /** Where the next token begins. */
  readonly end: number;
}

/** Blanks or a prefix, unless a positional parameter reaches further. */
function headAt(text: string, argument: number, at: number): Match | undefined {
  const positionalEnd = matchEnd(/[^=,]*,|[^=,]+/y, text, at) ?? at;
  const blanksEnd = matchEnd(/[ \t\n]+/y, text, at);
  if (blanksEnd !== undefined) {
    return lineEnd(text, blanksEnd) >= positionalEnd ? { token: null, end: blanksEnd } : undefined;
  }
  const end = matchEnd(/[a-z][a-z0-9]*:/y, text, at);
  if (end === undefined) return undefined;
  const name = text.slice(at, end - 1);
  const place = placeIn(text, argument, at, end - at);
  // An unknown prefix is one only if no letter or digit follows, and takes the line end with it.
  const following = text[end];
  const beforeLineEnd = following === "\n";
  if (prefixes.has(name) && !beforeLineEnd) {
    const reach = lineEnd(text, end);
    return reach >= positionalEnd ? { token: { type: "prefix", name, place }, end } : undefined;
  }
  if (following !== undefined && /[a-z0-9]/.test(following)) return undefined;
  if (lineEnd(text, beforeLineEnd ? end + 1 : end) < positionalEnd) return undefined;
  throw new SpecError(
    "disk",
    "unknown deprecated disk prefix",
    place,
    `${[...prefixes].join(":, ")}:, or target=… for a target with a colon`,
  );
}

/** Whatever goes to the next comma, or, for a target, to the end. */
function pieceAt(text: string, argument: number, at: number): Match {
  // A target does not go past its line; an empty one before a line end is not even a target.
  if (text.startsWith("target=", at) && text[at + "target=".length] !== "\n") {
    const end = lineEnd(text, at);
    const place = placeIn(text, argument, at, end - at);
    const value = text.slice(at + "target=".length, end).replace(/,$/, "");
    return { token: { type: "parameter", key: "target", value, place }, end };
  }
  const comma = text.indexOf(",", at);
  const pieceEnd = comma < 0 ? text.length : comma;
  const end = comma < 0 ? pieceEnd : comma + 1;
  const piece = text.slice(at, pieceEnd);
  const place = placeIn(text, argument, at, pieceEnd - at);
  const [, key, value = ""] = /^([a-z][-a-z0-9]*)=([^]*)$/.exec(piece) ?? [];
  if (key !== undefined && keys.has(key)) {
    return { token: { type: "parameter", key: key as DiskKey, value, place }, end };
  }
  if (key !== undefined && value !== "") {
    throw new SpecError("disk", "unknown parameter", place, `one of ${parameterList()}`);
  }
  if (flags.has(piece)) {
    return { token: { type: "flag", flag: piece as DiskFlag, place }, end };
  }
  if (!piece.includes("=")) return { token: { type: "positional", value: piece, place }, end };
  throw new SpecError(
    "disk",
    "bad disk syntax",
    place,
    `target, format, vdev and access in this order, or one of ${parameterList()}`,
  );
}

function parameterList(): string {
  return [...DISK_KEYS.map((key) => `${key}=`), ...DISK_FLAGS, "target="].join(" ");
}

function matchEnd(pattern: RegExp, text: string, at: number): number | undefined {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : undefined;
}

function lineEnd(text: string, from: number): number {
  const end = text.indexOf("\n", from);
  return end < 0 ? text.length : end;
}
