/** `xenstore-ls`. */
import type { StoreClient } from "../../../core/xenstore/client.ts";
import { isServerError } from "../../../core/xenstore/errors.ts";
import { formatPermission, type Permission } from "../../../core/xenstore/permissions.ts";
import type { Call } from "./call.ts";
import { ToolFailure, unlessRefused, words } from "./failure.ts";
import { fromBytes, sanitise, type Streams } from "./values.ts";

/** Length of the dots that tell of a cut value, with all around them. */
const TAG = ' = "..."'.length;
/** Columns of a line where there is no terminal to ask. */
const DEFAULT_WIDTH = 80;
/** Where permissions begin, if the line is not longer. */
const PERMISSIONS_COLUMN = 60;

/** How lines are laid out. */
export interface Layout {
  readonly flat: boolean;
  readonly permissions: boolean;
  /** Longest line; below 0, which a terminal that does not know its width makes it: not limited. */
  readonly width: number;
}

/** @param columns of the terminal that the standard output is, undefined when it is none */
export function layoutOf({ flat, prefix }: Call, columns: number | undefined): Layout {
  const width = columns === undefined ? flat ? Infinity : DEFAULT_WIDTH : columns - 2;
  return { flat, permissions: prefix, width };
}

/** A node, and what was found there; undefined: it could not be read. */
export interface Entry {
  readonly path: string;
  readonly name: string;
  /** A character a byte. */
  readonly value: string | undefined;
  readonly permissions?: readonly Permission[] | undefined;
}

/** One node's line, and in front of it the line for the standard error, if there is one. */
export function line(entry: Entry, depth: number, layout: Layout): string {
  const { flat, width } = layout;
  let text = flat ? entry.path : " ".repeat(depth) + cut(entry.name, width - TAG - depth);
  // The original does not count the path when it is whole.
  let column = flat ? 0 : text.length;
  if (entry.value === undefined) text += ":\n";
  else if (width >= 0 && column + entry.value.length + TAG > width) {
    text += ` = "${cut(sanitise(entry.value), width - TAG - column)}\\..."`;
  } else {
    const value = ` = "${sanitise(entry.value)}"`;
    text += value;
    if (layout.permissions) {
      column += value.length + 1;
      text += " ";
      const end = flat ? 0 : Math.min(PERMISSIONS_COLUMN, width);
      for (; column < end; column++) text += column % 2 === 1 ? "." : " ";
    }
  }
  const { permissions } = entry;
  if (permissions !== undefined) text += `  (${permissions.map(formatPermission).join(",")})`;
  return `${text}\n`;
}

/** printf's `%.*s`: a precision below 0 is none. */
function cut(text: string, length: number): string {
  return length < 0 ? text : text.slice(0, length);
}

/** Prints everything below a node. @throws ToolFailure */
export async function listTree(
  path: string,
  store: StoreClient,
  streams: Streams,
  layout: Layout,
  depth = 0,
): Promise<void> {
  let names: string[];
  try {
    names = await store.list(path);
  } catch (error) {
    // It may be gone by now.
    if (depth > 0 && isServerError(error, "ENOENT")) return;
    throw new ToolFailure(`xs_directory (${path}): ${words(error)}\n`);
  }
  const slash = path.endsWith("/") ? "" : "/";
  const entries = await Promise.all(
    names.map((name) => readEntry(`${path}${slash}${name}`, name, store, layout)),
  );
  for (const { entry, complaint } of entries) {
    if (complaint !== undefined) streams.error(complaint);
    streams.out(line(entry, depth, layout));
    await listTree(entry.path, store, streams, layout, depth + 1);
  }
}

async function readEntry(path: string, name: string, store: StoreClient, layout: Layout) {
  const reading = unlessRefused(store.read(path));
  let permissions: Permission[] | undefined;
  let complaint: string | undefined;
  if (layout.permissions) {
    try {
      permissions = await store.getPermissions(path);
    } catch (error) {
      complaint = `\ncould not access permissions for ${name}: ${words(error)}\n`;
    }
  }
  const bytes = await reading;
  const value = bytes === undefined ? undefined : fromBytes(bytes);
  const entry: Entry = { path, name, value, permissions };
  return { entry, complaint };
}
