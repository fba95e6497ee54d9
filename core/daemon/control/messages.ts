/**
 * Messages on the daemon's socket, in the shape of Varlink: a JSON object each, ended by a zero byte. A
 * call names a method and has parameters; an answer has parameters, or names an error. Pure.
 */

/** The socket's name in the run directory. */
export const CONTROL_SOCKET = "xdevd.sock";

/** Longest message that the daemon takes, in bytes. */
export const MESSAGE_MAX = 64 * 1024;

/** Longest that it sends, as far as its clients take it, in bytes: all of 5,000 devices are 2 MB. */
export const ANSWER_MAX = 16 * 1024 * 1024;

/** What is asked. */
export interface ControlCall {
  readonly method: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Whether more than one answer is wanted. */
  readonly more?: boolean;
}

/** What is answered. */
export interface ControlAnswer {
  /** Name of the error, with its interface; absent when all went well. */
  readonly error?: string;
  readonly parameters: Readonly<Record<string, unknown>>;
  /** Whether another answer follows. */
  readonly continues?: boolean;
}

/** The bytes of a message. */
export function encodeMessage(message: ControlCall | ControlAnswer): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(message)}\0`);
}

/** Cuts what arrives into messages. */
export class MessageSplitter {
  readonly #max: number;
  #parts: Uint8Array[] = [];
  #length = 0;

  /** @param max longest message, in bytes */
  constructor(max = MESSAGE_MAX) {
    this.#max = max;
  }

  /**
   * Gives the messages that are complete now, each before the next one is looked at.
   * @throws Error when one is too long, or is no JSON object
   */
  *push(chunk: Uint8Array): Generator<Readonly<Record<string, unknown>>, void> {
    let rest = chunk;
    for (let end = rest.indexOf(0); end >= 0; end = rest.indexOf(0)) {
      this.#add(rest.subarray(0, end));
      yield parse(this.#take());
      rest = rest.subarray(end + 1);
    }
    this.#add(rest);
  }

  #add(part: Uint8Array): void {
    this.#length += part.length;
    if (this.#length > this.#max) {
      throw new Error(`a message of more than ${this.#max} bytes`);
    }
    if (part.length > 0) this.#parts.push(part.slice());
  }

  #take(): string {
    const bytes = new Uint8Array(this.#length);
    let at = 0;
    for (const part of this.#parts) {
      bytes.set(part, at);
      at += part.length;
    }
    this.#parts = [];
    this.#length = 0;
    return new TextDecoder().decode(bytes);
  }
}

function parse(text: string): Readonly<Record<string, unknown>> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error("a message that is no JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new Error("a message that is no object");
  }
  return value as Readonly<Record<string, unknown>>;
}
