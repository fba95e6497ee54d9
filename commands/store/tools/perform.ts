/** What the tools do that run in a transaction, or in none: all but ls and watch. */
import { own } from "../../../contract/v1/own.ts";
import type { NodeAccess } from "../../../core/xenstore/access.ts";
import type { Access, Permission } from "../../../core/xenstore/permissions.ts";
import type { Call } from "./call.ts";
import { ToolFailure, unlessRefused, words } from "./failure.ts";
import { atoi, fromBytes, sanitise, type Streams, toBytes, unsanitise } from "./values.ts";

/** Whether the tool's work is one transaction. */
export function isTransaction({ mode, operands }: Call): boolean {
  if (mode === "ls" || mode === "watch") return false;
  return mode === "read" ? operands.length > 1 : mode === "write" ? operands.length > 2 : true;
}

/**
 * Does a tool's work.
 * @returns whether all of it succeeded; what has not is told, and nothing after it is done
 * @throws ToolFailure
 */
export async function perform(call: Call, store: NodeAccess, streams: Streams): Promise<boolean> {
  const { mode, operands } = call;
  if (mode === "chmod") {
    await chmod(call, store);
    return true;
  }
  const step = mode === "write" ? 2 : 1;
  for (let at = 0; at < operands.length; at += step) {
    const path = operands[at]!;
    const done = mode === "read"
      ? await read(path, call, store, streams)
      : mode === "write"
      ? await write(path, operands[at + 1]!, call, store)
      : mode === "rm"
      ? await remove(path, call, store)
      : mode === "list"
      ? await list(path, call, store, streams)
      : await exists(path, store);
    if (done === true) continue;
    if (done !== "") streams.error(done);
    return false;
  }
  return true;
}

/** True, or what to say. */
type Outcome = true | string;

async function read(
  path: string,
  call: Call,
  store: NodeAccess,
  streams: Streams,
): Promise<Outcome> {
  const bytes = await unlessRefused(store.read(path));
  if (bytes === undefined) return `couldn't read path ${path}\n`;
  const value = fromBytes(bytes);
  streams.out((call.prefix ? `${path}: ` : "") + (call.raw ? value : `${sanitise(value)}\n`));
  return true;
}

async function write(
  path: string,
  text: string,
  call: Call,
  store: NodeAccess,
): Promise<Outcome> {
  const value = toBytes(call.raw ? text : unsanitise(text));
  const done = await unlessRefused(store.write(path, value).then(() => true as const));
  return done ?? `could not write path ${path}\n`;
}

/** Says nothing. */
async function exists(path: string, store: NodeAccess): Promise<Outcome> {
  return await unlessRefused(store.read(path)) === undefined ? "" : true;
}

async function list(
  path: string,
  call: Call,
  store: NodeAccess,
  streams: Streams,
): Promise<Outcome> {
  const names = await unlessRefused(store.list(path));
  if (names === undefined) return `could not list path ${path}\n`;
  const prefix = call.prefix ? `${path}/` : "";
  streams.out(names.map((name) => `${prefix}${name}\n`).join(""));
  return true;
}

async function remove(start: string, call: Call, store: NodeAccess): Promise<Outcome> {
  for (let path = start;;) {
    const done = await unlessRefused(store.remove(path).then(() => true as const));
    if (done === undefined) return `could not remove path ${path}\n`;
    const slash = path.lastIndexOf("/");
    if (!call.tidy || slash < 0) return true;
    // Parents that have become empty, and have no value.
    path = path.slice(0, slash);
    const value = await unlessRefused(store.read(path));
    if (value === undefined || value.length > 0) return true;
    const children = await unlessRefused(store.list(path));
    if (children === undefined || children.length > 0) return true;
  }
}

async function chmod(call: Call, store: NodeAccess): Promise<void> {
  const [path = "", ...specifications] = call.operands;
  const permissions = specifications.map(permissionOf);
  if (path === "") return;
  await setPermissions(path, permissions, store);
  if (call.upto) await setParents(path, permissions, store);
  if (call.recurse) await setChildren(path, permissions, store);
}

async function setPermissions(
  path: string,
  permissions: readonly Permission[],
  store: NodeAccess,
): Promise<void> {
  try {
    await store.setPermissions(path, permissions);
  } catch (error) {
    throw new ToolFailure(`Error occurred setting permissions on '${path}': ${words(error)}\n`);
  }
}

async function setParents(
  start: string,
  permissions: readonly Permission[],
  store: NodeAccess,
): Promise<void> {
  for (let path = start;;) {
    const slash = path.lastIndexOf("/");
    if (slash < 0) throw new ToolFailure(`Unable to locate path separator '/' in '${path}'\n`);
    path = path.slice(0, slash);
    if (path === "") return;
    await setPermissions(path, permissions, store);
  }
}

/** Unlike the original's, paths may be longer than 255 bytes. */
async function setChildren(
  path: string,
  permissions: readonly Permission[],
  store: NodeAccess,
): Promise<void> {
  for (const name of await unlessRefused(store.list(path)) ?? []) {
    const child = `${path}/${name}`;
    await setPermissions(child, permissions, store);
    await setChildren(child, permissions, store);
  }
}

const ACCESSES: Readonly<Record<string, Access>> = {
  n: "none",
  r: "read",
  w: "write",
  b: "both",
};

function permissionOf(text: string): Permission {
  const letter = text.charAt(0);
  const access = own(ACCESSES, letter);
  if (access === undefined) {
    throw new ToolFailure(`Invalid permission specification: '${letter || "\0"}'\n`);
  }
  // libxenstore has room for ten characters.
  return { access, domid: Number(String(atoi(text.slice(1))).slice(0, 10)) };
}
