/** How an operation is refused. */

/** Thrown by operations; the name goes to the client. */
export class Failure extends Error {
  override name = "Failure";
  /** Such as `ENOENT`. */
  readonly code: string;

  constructor(code: string) {
    super(code);
    this.code = code;
  }
}

/** @throws Failure with this name, unless the condition holds */
export function require(condition: boolean, code: string): asserts condition {
  if (!condition) throw new Failure(code);
}
