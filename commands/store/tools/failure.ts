/** How the xenstore tools fail, and the words that the C library has for it. */
import { own } from "../../../contract/v1/own.ts";
import { ArgumentError, KNOWN_ERRORS, ServerError } from "../../../core/xenstore/errors.ts";

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
