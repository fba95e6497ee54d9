/**
 * One swtpm (swtpm 0.7): commands by its data socket; by its control socket what is none of a TPM's
 * commands (swtpm's include/swtpm/tpm_ioctl.h: numbers are big endian, an answer begins with a result).
 */
import type { SocketStream } from "../../contract/v2/plugin.ts";
import { COMMAND_MAX } from "./page.ts";
import type { Version } from "./settings.ts";

const CMD_INIT = 2;
const CMD_GET_ESTABLISHED = 4;
const CMD_SET_LOCALITY = 5;
const CMD_CANCEL = 9;
const CMD_SET_BUFFERSIZE = 17;

/** Of CMD_INIT: without what is left of a run that had no end, if there is any. */
const DELETE_VOLATILE = 1;

/** How long swtpm may take while it is started, in ms: 50 are usual. Less than the daemon waits, so that the cause is told. */
const START_MS = 6_000;
const AGAIN_MS = 10;
/** How long the end may take, in ms, since whoever detaches the device waits; 5 are usual. */
const END_MS = 800;

// TPM2_Startup(CLEAR), TPM2_Shutdown(CLEAR), TPM_Startup(ST_CLEAR).
const STARTUP = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x44, 0, 0];
const SHUTDOWN = [0x80, 1, 0, 0, 0, 12, 0, 0, 1, 0x45, 0, 0];
const STARTUP_1 = [0, 0xc1, 0, 0, 0, 12, 0, 0, 0, 0x99, 0, 1];

/** What the guest is answered in the TPM's place: TPM_RC_LOCALITY, and TPM_BAD_LOCALITY of TPM 1.2. */
const BAD_LOCALITY = { "2.0": 0x907, "1.2": 61 } as const;

/** Bytes of a header: tag, length, code. */
const HEADER = 10;

/** Bytes that come, as many as are asked for. */
class Incoming {
  readonly #ended: (why: string) => void;
  #waiting: ((bytes: Uint8Array | null) => void) | null = null;
  #end = false;

  constructor(stream: SocketStream, ended: (why: string) => void) {
    this.#ended = ended;
    this.#pump(stream).then(
      () => this.#stop("it has ended"),
      (error) => {
        const { code, message } = error as Error & { code?: string };
        this.#stop(code === "ECONNRESET" || code === "EPIPE" ? "it has ended" : message);
      },
    );
  }

  /** The next; null at the end. To be called before there can be any. */
  next(): Promise<Uint8Array | null> {
    if (this.#end) return Promise.resolve(null);
    return new Promise((resolve) => this.#waiting = resolve);
  }

  async #pump(stream: SocketStream): Promise<void> {
    for (let bytes; (bytes = await stream.read()) !== undefined;) {
      const waiting = this.#waiting;
      this.#waiting = null;
      if (waiting === null) throw new Error("it says something that nobody has asked for");
      waiting(bytes);
    }
  }

  #stop(why: string): void {
    this.#end = true;
    this.#waiting?.(null);
    this.#ended(why);
  }
}

/** What it is opened with. */
export interface TpmContext {
  readonly directory: string;
  readonly version: Version;
  connect(path: string): Promise<SocketStream>;
  /** It is of no use any more. */
  fail(reason: string): void;
}

export class Tpm {
  readonly #version: Version;
  readonly #control: SocketStream;
  readonly #said: Incoming;
  readonly #fail: (reason: string) => void;
  #data: SocketStream | null = null;
  #answers: Incoming | null = null;
  #locality = 0;
  #isEnding = false;
  #isGone = false;
  /** The last thing that it was asked for, done or not. */
  #last: Promise<unknown> = Promise.resolve();

  private constructor(version: Version, control: SocketStream, fail: (reason: string) => void) {
    this.#version = version;
    this.#control = control;
    this.#fail = (why) => {
      if (!this.#isEnding) fail(`swtpm, which is its TPM: ${why}`);
      this.#isGone = true;
    };
    this.#said = new Incoming(control, this.#fail);
  }

  /** Takes up the one that listens in a directory; starts the TPM up, if nobody has. @throws Error */
  static async open({ directory, version, connect, fail }: TpmContext): Promise<Tpm> {
    const tpm = new Tpm(version, await connected(connect, `${directory}/ctrl`), fail);
    await inTime(START_MS, tpm.#start(connect, directory));
    return tpm;
  }

  /**
   * The answer to a command of the guest's.
   * @param isWanted whether anybody still waits, asked when its turn has come
   * @throws Error when swtpm is gone
   */
  execute(command: Uint8Array, locality: number, isWanted: () => boolean): Promise<Uint8Array> {
    return this.#inTurn(async () => {
      if (!isWanted()) return new Uint8Array();
      if (locality !== this.#locality) {
        const result = await this.#ask(CMD_SET_LOCALITY, [locality]);
        if (result !== 0) return this.badLocality(command);
        this.#locality = locality;
      }
      return await this.#exchange(command);
    });
  }

  /** Asks it to give up what is under way; swtpm may not. */
  cancel(): void {
    // The answer is a result, which says nothing.
    this.#ask(CMD_CANCEL, []).catch(() => {});
  }

  /** What the guest is told of a locality that it may not have. */
  badLocality(command: Uint8Array): Uint8Array {
    // Tags of answers: TPM_ST_NO_SESSIONS, TPM_TAG_RSP_COMMAND.
    const tag = this.#version === "2.0" ? 0x8001 : 0xc4;
    const answer = new DataView(new ArrayBuffer(command.length === 0 ? 0 : HEADER));
    answer.setUint16(0, tag);
    answer.setUint32(2, HEADER);
    answer.setUint32(6, BAD_LOCALITY[this.#version]);
    return new Uint8Array(answer.buffer);
  }

  /**
   * Ends its work in good order: without, TPM 2.0 counts each start as an attack, and locks itself after a
   * few. TPM 1.2 wants nothing.
   */
  async end(): Promise<void> {
    this.#isEnding = true;
    try {
      if (this.#version === "1.2" || this.#isGone) return;
      const answer = await inTime(
        END_MS,
        this.#inTurn(() => this.#exchange(Uint8Array.from(SHUTDOWN))),
      );
      if (codeOf(answer) !== 0) throw new Error(`it refuses to shut down: ${hex(codeOf(answer))}`);
    } finally {
      this.#data?.close();
      this.#control.close();
    }
  }

  async #start(connect: TpmContext["connect"], directory: string): Promise<void> {
    // Only of a TPM that was initialized; a second time would reset it under the guest.
    const runs = await this.#ask(CMD_GET_ESTABLISHED, []) === 0;
    if (!runs) {
      await this.#ask(CMD_SET_BUFFERSIZE, u32(COMMAND_MAX));
      const result = await this.#ask(CMD_INIT, u32(DELETE_VOLATILE));
      if (result !== 0) throw new Error(`swtpm cannot start its TPM (${hex(result)})`);
    }
    this.#data = await connected(connect, `${directory}/data`);
    this.#answers = new Incoming(this.#data, this.#fail);
    const startup = Uint8Array.from(this.#version === "2.0" ? STARTUP : STARTUP_1);
    const code = runs ? 0 : codeOf(await this.#exchange(startup));
    if (code !== 0) throw new Error(`swtpm's TPM does not start up (${hex(code)})`);
    // Whatever the one before has left.
    if (runs && await this.#ask(CMD_SET_LOCALITY, [0]) !== 0) throw new Error("no locality 0");
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#last.then(work, work);
    this.#last = mine.catch(() => {});
    return mine;
  }

  #asking: Promise<unknown> = Promise.resolve();

  /** @returns the result: 0 for success */
  #ask(command: number, payload: readonly number[]): Promise<number> {
    const mine = this.#asking.then(async () => {
      const answer = this.#said.next();
      this.#control.write(Uint8Array.from([...u32(command), ...payload]));
      return codeAt(await answer, 0);
    });
    this.#asking = mine.catch(() => {});
    return mine;
  }

  async #exchange(command: Uint8Array): Promise<Uint8Array> {
    const [data, answers] = [this.#data!, this.#answers!];
    let answer = new Uint8Array();
    let next = answers.next();
    data.write(command);
    for (let size = HEADER; answer.length < size;) {
      const bytes = await next;
      if (bytes === null) throw new Error("swtpm is gone");
      answer = Uint8Array.from([...answer, ...bytes]);
      if (answer.length >= HEADER) size = codeAt(answer, 2);
      if (size < HEADER || size > COMMAND_MAX || answer.length > size) {
        throw new Error(`swtpm answers with ${answer.length} of ${size} bytes`);
      }
      if (answer.length < size) next = answers.next();
    }
    return answer;
  }
}

async function connected(connect: TpmContext["connect"], path: string): Promise<SocketStream> {
  for (let waited = 0;; waited += AGAIN_MS) {
    try {
      return await connect(path);
    } catch (error) {
      // It is bound, and about to listen.
      if ((error as { code?: string }).code !== "ECONNREFUSED" || waited >= 1_000) throw error;
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
  }
}

async function inTime<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`swtpm does not answer in ${ms / 1000} s`)), ms);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

function u32(value: number): number[] {
  return [value >>> 24, value >>> 16 & 255, value >>> 8 & 255, value & 255];
}

/** The code in an answer's header: 0 for success. */
function codeOf(answer: Uint8Array): number {
  return codeAt(answer, 6);
}

function codeAt(bytes: Uint8Array | null, at: number): number {
  if (bytes === null || bytes.length < at + 4) throw new Error("swtpm is gone");
  return new DataView(bytes.buffer, bytes.byteOffset).getUint32(at);
}

function hex(code: number): string {
  return `0x${code.toString(16)}`;
}
