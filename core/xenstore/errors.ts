/** What can go wrong between a program and xenstore. */
import { own } from "../../contract/v1/own.ts";

/** Base of all errors of this module. */
export class StoreError extends Error {
  override name = "StoreError";
}

/**
 * Error names that a server may send (xs_wire.h, `xsd_errors`; EPERM since Xen 4.17), and EQUOTA,
 * which only the OCaml daemon knows.
 */
export const KNOWN_ERRORS: ReadonlySet<string> = new Set([
  "EINVAL",
  "EACCES",
  "EEXIST",
  "EISDIR",
  "ENOENT",
  "ENOMEM",
  "ENOSPC",
  "EIO",
  "ENOTEMPTY",
  "ENOSYS",
  "EROFS",
  "EBUSY",
  "EAGAIN",
  "EISCONN",
  "E2BIG",
  "EPERM",
  "EQUOTA",
]);

/** The server refused an operation. */
export class ServerError extends StoreError {
  override name = "ServerError";
  /** The server's own word, verbatim, such as `ENOENT`. */
  readonly code: string;
  /** Name of the operation, such as `READ`. */
  readonly operation: string;
  readonly path: string | undefined;

  constructor(code: string, operation: string, path?: string) {
    super(`${code}: ${operation}${path === undefined ? "" : ` ${path}`}: ${describe(code)}`);
    this.code = code;
    this.operation = operation;
    this.path = path;
  }
}

/** What a caller passed cannot be sent: a malformed path, permission, domid, or too long a message. */
export class ArgumentError extends StoreError {
  override name = "ArgumentError";
}

/** The other side broke the protocol. */
export class ProtocolError extends StoreError {
  override name = "ProtocolError";
}

/** There is no connection: it could not be made, or was lost while the operation was outstanding. */
export class ConnectionError extends StoreError {
  override name = "ConnectionError";
  readonly messageCode = "store-unreachable";
  /** Symbolic errno behind it, or undefined when the other side just closed. */
  readonly code: string | undefined;

  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** The store did not answer a request in time; whether it takes effect is unknown. */
export class SilenceError extends StoreError {
  override name = "SilenceError";
  readonly messageCode = "store-unreachable";
}

/** What was waited for did not happen in time, as far as the store tells. */
export class DeadlineError extends StoreError {
  override name = "DeadlineError";
}

const meanings: Readonly<Record<string, string>> = {
  EINVAL: "invalid argument",
  EACCES: "permission denied",
  EEXIST: "already exists",
  ENOENT: "no such node",
  ENOMEM: "out of memory, or a quota broke the transaction",
  ENOSPC: "quota exceeded",
  EQUOTA: "quota exceeded",
  EIO: "internal error of the store",
  ENOSYS: "not supported by this store",
  EBUSY: "busy",
  EAGAIN: "conflicts with another change",
  E2BIG: "too large",
  EPERM: "not permitted",
};

function describe(code: string): string {
  return own(meanings, code) ?? "refused by the store";
}

/** Whether `error` is a server's refusal with one of these names. */
export function isServerError(error: unknown, ...codes: string[]): error is ServerError {
  return error instanceof ServerError && codes.includes(error.code);
}
