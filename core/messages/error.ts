/** Errors that have a code: for people a line, for scripts a status. */
import { coded, isMessageCode, type MessageCode, statusOf } from "./table.ts";

/** What commands that have an outcome of their own end with; all else has its status in the table of messages. */
export const ExitCode = {
  Success: 0,
  /** It was tried and failed, or the answer is no. */
  Failure: 1,
  /** The command line makes no sense. */
  Usage: 2,
} as const;

/** Something that a person has to see to. The message is one line that says what to do about it. */
export class CodedError extends Error {
  override name = "CodedError";
  readonly messageCode: MessageCode;
  /** Lines to be printed below the message, as they are. */
  readonly details: readonly string[];

  constructor(code: MessageCode, message: string, details: readonly string[] = []) {
    super(message);
    this.messageCode = code;
    this.details = details;
  }
}

/** Another process serves this domain. */
export class AlreadyServed extends CodedError {
  override name = "AlreadyServed";
  /** Whether that is a command, which serves one device and ends, and no daemon. */
  readonly briefly: boolean;

  constructor(message: string, briefly: boolean) {
    super("already-served", message);
    this.briefly = briefly;
  }
}

/** What ended a command, for people and for programs. */
export interface Problem {
  readonly code: MessageCode;
  readonly status: number;
  readonly message: string;
  /** Lines below the message. */
  readonly details: readonly string[];
}

/** Of whatever was thrown: errors of any class may tell their code by a property `messageCode`. */
export function problemOf(thrown: unknown): Problem {
  const { messageCode, details = [] } = thrown as Partial<CodedError>;
  const code = isMessageCode(messageCode) ? messageCode : "failed";
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { code, status: statusOf(code), message, details };
}

/** Its line: with the code, where that says more than the message. */
export function lineOf({ code, message }: Problem): string {
  return code === "failed" || code === "usage" ? message : coded(code, message);
}
