/** What can go wrong between asking for a device and having it, each told from the others. */

/** Which of them; the command line gives each an exit status of its own. */
export type ToolstackFault =
  | "no domain"
  | "exists"
  | "no device"
  | "no answer"
  | "setup failed"
  | "timeout"
  | "not permitted";

/** A toolstack's operation failed. The message is one line that says what to do about it. */
export class ToolstackError extends Error {
  override name = "ToolstackError";
  readonly fault: ToolstackFault;

  constructor(fault: ToolstackFault, message: string) {
    super(message);
    this.fault = fault;
  }
}
