/** Asks the daemon, by its socket in the run directory. */
import { own } from "../../contract/v1/own.ts";
import { systemClock } from "../../platform/clock.ts";
import { connectStream } from "../../platform/io/stream.ts";
import type { ByteStream, Cancel } from "../../platform/types.ts";
import { CodedError } from "../../core/messages/error.ts";
import { INTERFACE, SERVICE } from "../../core/daemon/control/interface.ts";
import {
  ANSWER_MAX,
  CONTROL_SOCKET,
  type ControlCall,
  encodeMessage,
  MessageSplitter,
} from "../../core/daemon/control/messages.ts";
import type { Parameters } from "../../core/daemon/control/methods.ts";

/** How long the daemon may take for an answer, in ms. */
const ANSWER_MS = 8_000;

/** Those of them that are texts. */
const TEXTS: ReadonlySet<string> = new Set(["said", "version", "startedAt"]);

/** What answers have: texts and lists. */
const ANSWERS: Readonly<Record<string, readonly string[]>> = {
  List: ["devices"],
  Describe: ["history"],
  Retry: ["said"],
  GiveUp: ["said"],
  Report: [
    "version",
    "startedAt",
    "devices",
    "operations",
    "failures",
    "lastFailures",
    "unanswered",
  ],
};

/** Nobody answers. */
export class NoDaemon extends CodedError {
  override name = "NoDaemon";

  constructor(path: string, why: string) {
    super("daemon-silent", `no daemon answers at ${path}: ${why}`);
  }
}

/** What the daemon has answered is an error. */
export class ControlRefused extends Error {
  override name = "ControlRefused";
  /** Without the interface: `NoSuchDevice`. */
  readonly error: string;
  readonly parameters: Parameters;

  constructor(error: string, parameters: Parameters) {
    super(String(parameters["reason"] ?? error));
    this.error = error.slice(error.lastIndexOf(".") + 1);
    this.parameters = parameters;
  }
}

/** A connection to a daemon; to be closed. */
export class ControlClient {
  readonly #path: string;
  readonly #stream: ByteStream;
  readonly #splitter = new MessageSplitter(ANSWER_MAX);
  readonly #answers: Parameters[] = [];
  #ended: string | null = null;
  #wake = () => {};

  private constructor(path: string, stream: ByteStream) {
    this.#path = path;
    this.#stream = stream;
    stream.start({
      data: (chunk) => {
        try {
          for (const answer of this.#splitter.push(chunk)) this.#answers.push(answer);
        } catch (error) {
          this.#ended ??= `its answer is ${(error as Error).message}`;
          stream.close();
        }
        this.#wake();
      },
      closed: (error) => {
        this.#ended ??= error?.message ?? "it ended the connection";
        this.#wake();
      },
    });
  }

  /** @throws NoDaemon, CodedError `not-permitted` */
  static async open(runDir: string): Promise<ControlClient> {
    const path = `${runDir}/${CONTROL_SOCKET}`;
    const stream = await connectStream(path).catch((error: Error) => {
      throw refusalOf(path, error);
    });
    return new ControlClient(path, stream);
  }

  /**
   * @param method of the daemon's own interface
   * @throws NoDaemon, ControlRefused
   */
  async call<Answer = Parameters>(method: string, parameters: Parameters = {}): Promise<Answer> {
    this.#ask({ method: `${INTERFACE}.${method}`, parameters });
    const answer = this.#partsOf(await this.#next(ANSWER_MS));
    const missing = own(ANSWERS, method)?.find((name) =>
      TEXTS.has(name) ? typeof answer[name] !== "string" : !Array.isArray(answer[name])
    );
    if (missing === undefined) return answer as Answer;
    throw new NoDaemon(
      this.#path,
      `what it answers to ${method} has no "${missing}": it is no xdevd, or one of another version`,
    );
  }

  /** Many answers, without end. @throws NoDaemon, ControlRefused */
  async *follow<Answer = Parameters>(
    method: string,
    parameters: Parameters = {},
  ): AsyncGenerator<Answer, void> {
    this.#ask({ method: `${INTERFACE}.${method}`, parameters, more: true });
    for (;;) yield this.#partsOf(await this.#next(null)) as Answer;
  }

  close(): void {
    this.#stream.close();
  }

  #partsOf({ error, parameters }: Parameters): Parameters {
    const parts = (parameters ?? {}) as Parameters;
    if (error === undefined) return parts;
    if (error === `${SERVICE}.PermissionDenied`) throw notPermitted(this.#path);
    throw new ControlRefused(String(error), parts);
  }

  #ask(call: ControlCall): void {
    this.#stream.write(encodeMessage(call));
  }

  /** @param ms how long is waited; null: for as long as the connection lasts */
  async #next(ms: number | null): Promise<Parameters> {
    let isLate = false;
    const cancel: Cancel = ms === null ? () => {} : systemClock.after(ms, () => {
      isLate = true;
      this.#wake();
    });
    try {
      for (;;) {
        const answer = this.#answers.shift();
        if (answer !== undefined) return answer;
        if (this.#ended !== null) throw new NoDaemon(this.#path, this.#ended);
        if (isLate) throw new NoDaemon(this.#path, `nothing came within ${ms! / 1000} s`);
        await new Promise<void>((resolve) => this.#wake = resolve);
      }
    } finally {
      cancel();
    }
  }
}

/** What a socket that cannot be connected to tells. @param error of connect(2) */
export function refusalOf(path: string, error: Error & { code?: string }): CodedError {
  const elsewhere = "(--run-dir DIR names another place)";
  switch (error.code) {
    case "EACCES":
    case "EPERM":
      return notPermitted(path);
    case "ENOENT":
    case "ENOTDIR":
      return new NoDaemon(path, `there is no such socket: expected a daemon there ${elsewhere}`);
    case "ECONNREFUSED":
      return new NoDaemon(path, `nobody listens: the daemon has ended, or was killed ${elsewhere}`);
    case "EAGAIN":
      return new NoDaemon(path, "too many wait there for an answer already");
    default:
      return new NoDaemon(path, `${error.message} ${elsewhere}`);
  }
}

/** That is no word of whether a daemon runs. */
function notPermitted(path: string): CodedError {
  const line =
    `this user may not ask the daemon at ${path}: expected root, or the daemon's own user`;
  return new CodedError("not-permitted", line);
}

/** Asks one thing. @throws NoDaemon, ControlRefused */
export async function askDaemon<Answer = Parameters>(
  runDir: string,
  method: string,
  parameters: Parameters = {},
): Promise<Answer> {
  const client = await ControlClient.open(runDir);
  try {
    return await client.call<Answer>(method, parameters);
  } finally {
    client.close();
  }
}
