/** One who asks the daemon: heard and answered for as long as he reads, with little kept for him. */
import type { ByteStream, Cancel, Clock } from "../../../platform/types.ts";
import { SERVICE } from "./interface.ts";
import { type ControlAnswer, encodeMessage, MESSAGE_MAX, MessageSplitter } from "./messages.ts";
import {
  answerTo,
  type Change,
  ControlError,
  type Controlled,
  FOLLOW,
  type Parameters,
  parametersOf,
  textOf,
} from "./methods.ts";

/** How long he may take to ask something, or to read what he is told, in ms. */
export const PATIENCE_MS = 30_000;

/** How many calls may wait for their turn. */
const CALLS_MAX = 64;

/** How many events may wait for being read; older ones are left out then. */
const EVENTS_MAX = 256;

/** What a conversation needs. */
export interface ConversationParts {
  readonly stream: ByteStream;
  readonly clock: Clock;
  readonly daemon: Controlled;
  /** Whether he may ask at all. */
  readonly permitted: boolean;
  /** @returns an error that refuses a follower, or null */
  mayFollow(): ControlAnswer | null;
  /** Called once, when it is over. */
  ended(): void;
}

/** It lasts until he leaves, or does not keep to the rules. */
export class Conversation {
  readonly #parts: ConversationParts;
  readonly #splitter = new MessageSplitter();
  readonly #calls: Parameters[] = [];
  #working = false;
  /** He has said what makes no sense: what he has asked before is answered, and that is all. */
  #isLast = false;
  #cancel: Cancel = () => {};
  /** When he was heard last, by the clock. */
  #heardAt: number;
  /** Ends the following, if he follows. */
  #unfollow: (() => void) | null = null;
  /** What has changed and was not told: names of devices, and events. */
  readonly #changed = new Set<string>();
  readonly #events: Change[] = [];
  #telling = false;

  constructor(parts: ConversationParts) {
    this.#parts = parts;
    this.#heardAt = parts.clock.now();
    this.#limit();
    parts.stream.start({
      data: (chunk) => this.#hear(chunk),
      closed: () => this.#end(),
      drained: () => this.#drained(),
    });
  }

  /** Whether he follows: such conversations are long. */
  get follows(): boolean {
    return this.#unfollow !== null;
  }

  /** When he last asked something, by the clock; null while it is being answered. */
  get idleSince(): number | null {
    return this.#working ? null : this.#heardAt;
  }

  close(): void {
    this.#parts.stream.close();
  }

  #hear(chunk: Uint8Array): void {
    try {
      for (const message of this.#splitter.push(chunk)) {
        if (this.#isLast) return;
        this.#calls.push(message);
        if (this.#calls.length > CALLS_MAX) return this.close();
      }
    } catch {
      // He speaks something else.
      this.#isLast = true;
    }
    // A part of a message buys no time.
    if (this.#calls.length > 0 || this.#isLast) void this.#work();
  }

  /** One after the other: what he does not read is not followed by more. */
  async #work(): Promise<void> {
    if (this.#working || this.#parts.stream.queued > 0) return;
    for (;;) {
      const call = this.#unfollow === null ? this.#calls.shift() : undefined;
      if (call === undefined) break;
      this.#heardAt = this.#parts.clock.now();
      this.#working = true;
      const answer = await this.#answer(call);
      this.#working = false;
      if (answer !== null && call["oneway"] !== true) this.#write(answer);
      if (this.#parts.stream.queued > 0) break;
    }
    if (this.#isLast && this.#unfollow === null && this.#parts.stream.queued === 0) this.close();
    else this.#limit();
  }

  async #answer(call: Parameters): Promise<ControlAnswer | null> {
    const { permitted, daemon } = this.#parts;
    if (!permitted) return { error: `${SERVICE}.PermissionDenied`, parameters: {} };
    if (call["method"] !== FOLLOW) return await answerTo(call, daemon);
    if (call["more"] !== true) return { error: `${SERVICE}.ExpectedMore`, parameters: {} };
    const refusal = this.#parts.mayFollow();
    if (refusal !== null) return refusal;
    try {
      const { device } = parametersOf(call["parameters"]);
      this.#follow(device === undefined || device === null ? null : textOf("device", device));
      return null;
    } catch (error) {
      if (error instanceof ControlError) return error.answer;
      throw error;
    }
  }

  #follow(name: string | null): void {
    const { devices } = this.#parts.daemon;
    this.#unfollow = this.#parts.daemon.follow(name, (change) => {
      this.#changed.add(change.name);
      if (change.event !== undefined) this.#events.push(change);
      if (this.#events.length > EVENTS_MAX) this.#events.shift();
      if (this.#telling) return;
      this.#telling = true;
      // Of what changes in one turn, the end counts.
      queueMicrotask(() => {
        this.#telling = false;
        this.#tell();
      });
    });
    const all = name === null ? devices.statuses().map(({ device }) => device) : [name];
    for (const one of all) {
      if (name === null || devices.status(one) !== null) this.#changed.add(one);
    }
    this.#tell();
  }

  #tell(): void {
    const { stream, daemon } = this.#parts;
    if (this.#unfollow === null || stream.queued > 0) return;
    for (const { name, operation, startedAt, event } of this.#events.splice(0)) {
      const parameters = { changed: name, operation, startedAt, event };
      this.#write({ parameters, continues: true });
    }
    for (const name of this.#changed) {
      this.#changed.delete(name);
      const device = daemon.devices.status(name);
      this.#write({ parameters: { changed: name, ...(device && { device }) }, continues: true });
      if (stream.queued > MESSAGE_MAX) break;
    }
    this.#limit();
  }

  #write(answer: ControlAnswer): void {
    this.#parts.stream.write(encodeMessage(answer));
  }

  #drained(): void {
    if (this.#unfollow !== null) this.#tell();
    else void this.#work();
  }

  /** Who asks nothing, and who does not read, is left; who follows is waited for if all is read. */
  #limit(): void {
    this.#cancel();
    const waits = this.#unfollow !== null && this.#parts.stream.queued === 0;
    this.#cancel = waits ? () => {} : this.#parts.clock.after(PATIENCE_MS, () => this.close());
  }

  #end(): void {
    this.#cancel();
    this.#cancel = () => {};
    this.#unfollow?.();
    this.#unfollow = null;
    this.#parts.ended();
  }
}
