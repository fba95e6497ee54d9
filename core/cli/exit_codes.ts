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
} as const;

/** One of {@link ExitCode}. */
export type ExitCode = typeof ExitCode[keyof typeof ExitCode];

/** Ends a command: one line for people, a status for scripts. */
export class CommandError extends Error {
  override name = "CommandError";
  readonly exitCode: ExitCode;

  constructor(message: string, exitCode: ExitCode = ExitCode.Failure) {
    super(message);
    this.exitCode = exitCode;
  }
}
