/** How the xenstore tools fail, and the words that the C library has for it. */
import { own } from "../../../contract/v1/own.ts";
import { ArgumentError, KNOWN_ERRORS, ServerError } from "../../../core/xenstore/errors.ts";
import { systemClock } from "../../../platform/clock.ts";
import { environment } from "../../../platform/self.ts";
import { connectStream } from "../../../platform/io/stream.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { storeCandidates } from "../../../core/xenstore/locate.ts";
import { openSocket } from "../../../core/xenstore/open_socket.ts";
import type { Transport } from "../../../core/xenstore/transport.ts";

/** Ends a tool with status 1, after a line on the standard error. */
export class ToolFailure extends Error {
  override name = "ToolFailure";
}

/** strerror(3) of glibc, for what a store or the way to it may answer. */
const WORDS: Readonly<Record<string, string>> = {
  E2BIG: "Argument list too long",
  EACCES: "Permission denied",
  EAGAIN: "Resource temporarily unavailable",
  EBUSY: "Device or resource busy",
  ECONNREFUSED: "Connection refused",
  EEXIST: "File exists",
  EINVAL: "Invalid argument",
  EIO: "Input/output error",
  EISCONN: "Transport endpoint is already connected",
  EISDIR: "Is a directory",
  ENODEV: "No such device",
  ENOENT: "No such file or directory",
  ENOMEM: "Cannot allocate memory",
  ENOSPC: "No space left on device",
  ENOSYS: "Function not implemented",
  ENOTDIR: "Not a directory",
  ENOTEMPTY: "Directory not empty",
  ENXIO: "No such device or address",
  EPERM: "Operation not permitted",
  EROFS: "Read-only file system",
};

/** What went wrong, in the C library's words. */
export function words(error: unknown): string {
  return own(WORDS, codeOf(error)) ?? (error as Error).message;
}

/** Symbolic errno; what a store says that is not in the protocol counts as EINVAL. */
function codeOf(error: unknown): string {
  if (error instanceof ServerError) return KNOWN_ERRORS.has(error.code) ? error.code : "EINVAL";
  const { code } = error as { code?: unknown };
  if (typeof code === "string") return code;
  return error instanceof ArgumentError ? "EINVAL" : "";
}

/** Waits for an answer; undefined when it is a refusal. @throws what is none, a lost connection say */
export async function unlessRefused<T>(operation: Promise<T>): Promise<T | undefined> {
  try {
    return await operation;
  } catch (error) {
    if (error instanceof ServerError || error instanceof ArgumentError) return undefined;
    throw error;
  }
}

/**
 * Connects to the first of the places where a store can be that answers, as libxenstore has it.
 * @param lost told when the store goes away
 * @throws ToolFailure
 */
export async function openStore(lost: (error: Error) => void): Promise<StoreClient> {
  let last: unknown;
  for (
    const path of storeCandidates({
      XENSTORED_PATH: environment("XENSTORED_PATH"),
      XENSTORED_RUNDIR: environment("XENSTORED_RUNDIR"),
    })
  ) {
    try {
      return await StoreClient.connect({
        clock: systemClock,
        connect: () => openAt(path),
        onConnection: (_, error) => lost(error ?? new Error("the store went away")),
      });
    } catch (error) {
      last = error;
    }
  }
  throw new ToolFailure(`xs_open: ${words(last)}\n`);
}

/** What is no socket refuses as one does that nobody listens on; only then it is worth a look. */
async function openAt(path: string): Promise<Transport> {
  let isDevice = false;
  try {
    return await openSocket(path, {
      clock: systemClock,
      connect: connectStream,
      async isSocket() {
        isDevice = !await isSocket(path);
        return !isDevice;
      },
    });
  } catch (error) {
    if (isDevice) return await openDevice(path);
    throw error;
  }
}

async function isSocket(path: string): Promise<boolean> {
  const { systemFiles } = await import("../../../platform/io/files.ts");
  return (await systemFiles.stat(path)).kind === "socket";
}

async function openDevice(path: string): Promise<Transport> {
  const { openMessageDevice } = await import("../../../platform/xen/message_device.ts");
  const { DeviceTransport } = await import("../../../core/xenstore/device_transport.ts");
  return new DeviceTransport(openMessageDevice(path), path);
}
