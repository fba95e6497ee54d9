/** One running process plugin: the host's side of the protocol, from its first frame to its end. */
import { coded } from "../../core/messages/table.ts";
import { type Log, oneLine } from "../../core/log/log.ts";
import type { PipedChild } from "../../platform/io/child.ts";
import type { Cancel, ChildExit, Clock } from "../../platform/types.ts";
import { CONTRACT_VERSIONS, type Device } from "../../contract/v1/plugin.ts";
import { errorOf } from "../../core/daemon/plugin/guard.ts";
import { LineAllowance, ShareOfDaemon } from "./allowance.ts";
import { CallLocks, useCapability } from "./capabilities.ts";
import { encodeFrame, FrameParser, type Message, ProtocolFault } from "./frames.ts";
import { type Answer, type FromPlugin, type Operation, parseMessage } from "./messages.ts";

/** Lines that are looked at. */
const LINES_MAX = 40;

/** Longest cause, in characters. */
const CAUSE_MAX = 300;

/** A frame of Python's traceback: its file's name, and the line. */
const FRAME = /^\s+File "(?:[^"]*\/)?([^"/]+)", line (\d+)/;

/** Keeps the last lines of a program. */
export class LastWords {
  readonly #lines: string[] = [];

  push(line: string): void {
    if (line.trim() === "") return;
    this.#lines.push(line);
    if (this.#lines.length > LINES_MAX) this.#lines.shift();
  }

  /**
   * Why it ended: the last line; after a traceback of Python, with the place of its last frame
   * (`NameError: name 'x' is not defined (my-disks:31)`). Empty if it said nothing.
   */
  get cause(): string {
    const start = this.#lines.findLastIndex((line) => line.startsWith("Traceback (most recent"));
    // What cannot be parsed has a frame, and no traceback.
    const lines = this.#lines.slice(start + 1);
    const last = this.#lines.at(-1)?.trim().slice(0, CAUSE_MAX) ?? "";
    const frame = lines.findLastIndex((line) => FRAME.test(line));
    if (frame < 0) return last;
    const [, file, number] = FRAME.exec(lines[frame]!) ?? [];
    // What follows the frames, at the left margin, is the error.
    const error = lines.slice(frame).find((line) => /^\S/.test(line)) ?? last;
    return `${error.slice(0, CAUSE_MAX)} (${file}:${number})`;
  }
}

/** What a session needs besides the child. */
interface SessionParts {
  /** The plugin's name, which it has to say again. */
  readonly name: string;
  /** The contract its manifest states. */
  readonly api: number;
  readonly clock: Clock;
  readonly log: Log;
  /** How long a plugin may take to introduce itself, and to end a call it is told to end, in ms. */
  readonly helloMs: number;
  readonly answerMs: number;
  /** Ends the child and all it has started. */
  kill(): void;
}

/** Requests of a plugin that are answered at a time; it is not listened to beyond. */
const REQUESTS_MAX = 64;

/** How much is shown of the last line that it printed, in characters. */
const SAID_MAX = 300;

/** Longest line of its log, in characters. */
const LINE_MAX = 2000;

/** Bytes that a plugin may leave unread. */
const UNREAD_MAX = 8 * 1024 * 1024;

interface Call {
  readonly device: Device;
  readonly signal: AbortSignal;
  readonly locks: CallLocks;
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

/** A conversation with a plugin. */
export class PluginSession {
  readonly #child: PipedChild;
  readonly #parts: SessionParts;
  readonly #calls = new Map<number, Call>();
  readonly #allowance: LineAllowance;
  readonly #share: ShareOfDaemon;
  readonly #ended = Promise.withResolvers<string>();
  readonly #hello = Promise.withResolvers<readonly Operation[]>();
  #introduced = false;
  #lastCall = 0;
  #requests = 0;
  #onRoom: (() => void) | null = null;
  /** Why it was ended; null while it runs. */
  #fault: string | null = null;
  #exit: ChildExit | null = null;
  readonly #words = new LastWords();
  #closing = false;

  constructor(child: PipedChild, parts: SessionParts) {
    this.#child = child;
    this.#parts = parts;
    this.#allowance = new LineAllowance(parts.clock);
    this.#share = new ShareOfDaemon(parts.clock);
    this.#hello.promise.catch(() => {});
    child.exited.then((exit) => {
      this.#exit = exit;
      const cause = oneLine(this.#words.cause, SAID_MAX);
      const how = exit.code === null ? exit.signal : `exit status ${exit.code}`;
      this.#finish(`it ended (${how})${cause === "" ? "" : `: ${cause}`}`);
    });
    this.#listen().catch((error) => this.end(errorOf(error).message));
  }

  /** Resolves with why, when it can be used no longer. */
  get ended(): Promise<string> {
    return this.#ended.promise;
  }

  /** How many calls are under way. */
  get calls(): number {
    return this.#calls.size;
  }

  /** Introduces both sides. @returns the operations that the plugin has @throws Error */
  async introduce(host: string): Promise<readonly Operation[]> {
    const { clock, helloMs } = this.#parts;
    const cancel = clock.after(
      helloMs,
      () => this.end(`it did not introduce itself within ${helloMs / 1000} s`),
    );
    try {
      this.#send({ type: "hello", contracts: CONTRACT_VERSIONS, host });
      return await this.#hello.promise;
    } finally {
      cancel();
    }
  }

  /** Has an operation done. @throws Error with what the plugin says, or why it cannot say anything */
  async call(operation: Operation, device: Device, signal: AbortSignal): Promise<Answer> {
    if (this.#fault !== null) throw this.#gone(operation);
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const number = ++this.#lastCall;
    const call = { device, signal, locks: new CallLocks(), resolve, reject };
    this.#calls.set(number, call);
    let cancel: Cancel = () => {};
    const onAbort = () => {
      const { clock, answerMs } = this.#parts;
      this.#send({ type: "abort", call: number, reason: errorOf(signal.reason).message });
      cancel = clock.after(
        answerMs,
        () => this.end(`it did not end its ${operation} within ${answerMs / 1000} s`),
      );
    };
    try {
      const { backendDomid, kind, frontendDomid, devid } = device.id;
      this.#send({
        type: "call",
        call: number,
        operation,
        device: { backendDomid, kind, frontendDomid, devid },
        undo: device.undo,
        copy: device.copy,
        settings: device.settings,
        timeLeft: Math.round(device.timeLeft()),
      });
      signal.addEventListener("abort", onAbort, { once: true });
      if (signal.aborted) onAbort();
      return await promise;
    } catch (error) {
      throw this.#fault === null ? error : this.#gone(operation);
    } finally {
      cancel();
      signal.removeEventListener("abort", onAbort);
      this.#calls.delete(number);
      call.locks.giveAll();
    }
  }

  /** Asks it to end, by ending its input. */
  close(): void {
    this.#closing = true;
    this.#child.closeInput();
  }

  /** Ends it at once. */
  end(reason: string): void {
    if (this.#fault === null && !this.#closing) {
      this.#parts.log.error(
        coded("plugin-failing", `plugin ${this.#parts.name}: ${reason}: killed`),
      );
    }
    this.#finish(reason);
  }

  #gone(operation: string): Error {
    return new Error(`plugin ${this.#parts.name} failed during ${operation}: ${this.#fault}`);
  }

  /** All is over, whatever the reason; once. */
  #finish(reason: string): void {
    if (this.#fault !== null) return;
    this.#fault = reason;
    if (this.#exit !== null && !this.#closing) {
      this.#parts.log.error(coded("plugin-failing", `plugin ${this.#parts.name}: ${reason}`));
    }
    this.#parts.kill();
    this.#hello.reject(new Error(`plugin ${this.#parts.name}: ${reason}`));
    for (const { reject } of this.#calls.values()) reject(new Error(reason));
    this.#onRoom?.();
    this.#ended.resolve(reason);
  }

  async #listen(): Promise<void> {
    const parser = new FrameParser();
    for await (const chunk of this.#child.output) {
      for (const message of this.#share.spend(() => parser.push(chunk))) {
        if (this.#fault !== null) return;
        const parsed = parseMessage(message);
        if (parsed.type === "request") {
          this.#share.spend(() => this.#takeRequest(parsed));
          await this.#rest(this.#share.request());
        } else this.#take(parsed);
        if (this.#requests >= REQUESTS_MAX) {
          await new Promise<void>((resolve) => this.#onRoom = resolve);
          this.#onRoom = null;
        }
      }
      if (this.#fault !== null) return;
      await this.#rest(this.#share.read(chunk.length));
    }
  }

  async #rest(ms: number | null): Promise<void> {
    if (ms === null) return;
    await new Promise<void>((resolve) => void this.#parts.clock.after(ms, resolve));
  }

  #take(message: Exclude<FromPlugin, { type: "request" }>): void {
    if (message.type === "hello") return this.#takeHello(message);
    this.#mustBeIntroduced(message);
    switch (message.type) {
      case "done":
        return this.#callOf(message).resolve(message.answer);
      case "failed":
        return this.#callOf(message).reject(
          Object.assign(
            errorOf(new Error(message.error)),
            message.busy === undefined ? {} : { busy: message.busy },
          ),
        );
      case "log":
        return this.complaint(message.text, message.level, message.call);
    }
  }

  #mustBeIntroduced({ type }: FromPlugin): void {
    if (!this.#introduced) throw new ProtocolFault(`a message ${type} before its hello`);
  }

  #takeHello(hello: FromPlugin & { type: "hello" }): void {
    const { name, api } = this.#parts;
    if (this.#introduced) throw new ProtocolFault("a second hello");
    if (hello.name !== name) {
      throw new ProtocolFault(`it says that it is ${JSON.stringify(hello.name)}, not ${name}`);
    }
    if (hello.contract !== api) {
      throw new ProtocolFault(`it takes contract ${hello.contract}; its manifest says ${api}`);
    }
    for (const required of ["add", "remove"] as const) {
      if (!hello.operations.includes(required)) throw new ProtocolFault(`it has no ${required}`);
    }
    this.#introduced = true;
    this.#hello.resolve(hello.operations);
  }

  /** The call that is answered; it cannot be answered again. */
  #callOf({ type, call }: { type: string; call: number }): Call {
    const found = this.#calls.get(call);
    if (found === undefined) {
      throw new ProtocolFault(
        call > this.#lastCall || call === 0
          ? `${type} for call ${call}, which was never made`
          : `${type} for call ${call}, which it has answered already`,
      );
    }
    this.#calls.delete(call);
    return found;
  }

  #takeRequest(message: FromPlugin & { type: "request" }): void {
    this.#mustBeIntroduced(message);
    const { request, call: number, capability, arguments: args } = message;
    const call = this.#calls.get(number);
    const reply = (answer: Message) => {
      this.#requests--;
      this.#onRoom?.();
      this.#share.spend(() => this.#send({ type: "reply", request, ...answer }));
    };
    this.#requests++;
    if (call === undefined) {
      this.complaint(`asks for ${capability} in call ${number}, which has ended`, "warning");
      return reply({ error: `call ${number} has ended` });
    }
    useCapability(call, capability, args).then(
      (value) => reply({ value }),
      (error) => reply({ error: errorOf(error).message }),
    );
  }

  /** A line that it printed to the standard error. */
  printed(line: string): void {
    this.#words.push(line);
    this.complaint(line);
  }

  /** A line that the plugin has to say. */
  complaint(text: string, level: "info" | "warning" = "info", call: number | null = null): void {
    const { log, name } = this.#parts;
    const { verdict, dropped } = this.#allowance.take();
    if (dropped > 0) log.warning(`plugin ${name}: ${dropped} lines were dropped`);
    if (verdict === "flood") return this.end("it floods the log");
    if (verdict === "drop") return;
    const device = call === null ? undefined : this.#calls.get(call)?.device;
    if (device === undefined) log[level](`plugin ${name}: ${oneLine(text, LINE_MAX)}`);
    else device.log[level](text);
  }

  #send(message: Message): void {
    if (this.#fault !== null) return;
    try {
      this.#child.write(encodeFrame(message));
    } catch (error) {
      if (message["type"] !== "reply") throw error;
      this.#child.write(encodeFrame({ ...message, value: null, error: errorOf(error).message }));
    }
    if (this.#child.queued > UNREAD_MAX) this.end("it does not read what it is told");
  }
}
