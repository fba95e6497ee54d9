/** What the toolstack's commands can fail with, as exit statuses and lines for people. */
import { ToolstackError, type ToolstackFault } from "../../core/toolstack/error.ts";
import { pointAt, SpecError } from "../../core/toolstack/specs/spec_error.ts";
import {
  ConnectionError,
  DeadlineError,
  isServerError,
  StoreError,
} from "../../core/xenstore/errors.ts";
import { CommandError, ExitCode } from "../../core/exit_codes.ts";

const CODES: Readonly<Record<ToolstackFault, ExitCode>> = {
  "no domain": ExitCode.NoDomain,
  "exists": ExitCode.DeviceExists,
  "no device": ExitCode.NoDevice,
  "no answer": ExitCode.NoAnswer,
  "setup failed": ExitCode.SetupFailed,
  "timeout": ExitCode.Timeout,
  "not permitted": ExitCode.NotPermitted,
};

/** The same error, with its exit status. */
export function asCommandError(error: unknown): unknown {
  if (error instanceof ToolstackError) return new CommandError(error.message, CODES[error.fault]);
  if (error instanceof SpecError) {
    const pointed = error.place.text === "" ? [] : pointAt(error.place);
    return new CommandError(error.message, ExitCode.BadSpecification, pointed);
  }
  if (error instanceof ConnectionError || error instanceof DeadlineError) {
    return new CommandError(error.message, ExitCode.NoStore);
  }
  if (isServerError(error, "EACCES", "EPERM")) {
    return new CommandError(
      `not permitted here (${error.message}): run it in the toolstack's domain, domain 0`,
      ExitCode.NotPermitted,
    );
  }
  if (error instanceof StoreError) return new CommandError(error.message, ExitCode.Failure);
  return error;
}
