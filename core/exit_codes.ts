import { ConnectionError } from "./xenstore/errors.ts";

/** What the program's exit status means; documented in docs/cli.md. */
export const ExitCode = {
  Success: 0,
  /** It was tried and failed. */
  Failure: 1,
  /** The command line makes no sense. */
  Usage: 2,
  /** There is no store, or it went away. */
  NoStore: 3,
  /** Another daemon serves this domain already. */
  AlreadyRunning: 4,
  /** It would do harm here: in domain 0 the toolstack does this work itself. */
  Refused: 5,
  /** A device's specification is not accepted. */
  BadSpecification: 6,
  /** This user, or this domain, may not do it. */
  NotPermitted: 7,
  /** There is no such domain. */
  NoDomain: 8,
  /** The guest has a device of that number already. */
  DeviceExists: 9,
  /** The guest has no such device. */
  NoDevice: 10,
  /** There is no such hotplug script, or it may not be run. */
  NoScript: 11,
  /** The driver domain, its driver or its daemon, did nothing. */
  NoAnswer: 12,
  /** The driver domain tried to set the device up and could not. */
  SetupFailed: 13,
  /** The guest did not connect, or let go, in time. */
  Timeout: 14,
  /** Where the daemon keeps its files others may write, or something else has the file's name. */
  UnsafePlace: 15,
} as const;

/** One of {@link ExitCode}. */
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];

/** Ends a command: one line for people, a status for scripts. */
export class CommandError extends Error {
  override name = "CommandError";
  readonly exitCode: ExitCode;
  /** Lines to be printed below the message, as they are. */
  readonly details: readonly string[];

  constructor(
    message: string,
    exitCode: ExitCode = ExitCode.Failure,
    details: readonly string[] = [],
  ) {
    super(message);
    this.exitCode = exitCode;
    this.details = details;
  }
}

/** The status that tells of what ended a command. */
export function statusOf(error: unknown): ExitCode {
  if (error instanceof CommandError) return error.exitCode;
  return error instanceof ConnectionError ? ExitCode.NoStore : ExitCode.Failure;
}

/** Another process serves this domain. */
export class AlreadyServed extends CommandError {
  override name = "AlreadyServed";
  /** Whether that is a command, which serves one device and ends, and no daemon. */
  readonly briefly: boolean;

  constructor(message: string, briefly: boolean) {
    super(message, ExitCode.AlreadyRunning);
    this.briefly = briefly;
  }
}
