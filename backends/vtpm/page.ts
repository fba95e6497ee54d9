/**
 * The page that a guest shares with a vTPM's backend (xen/include/public/io/tpmif.h, `vtpm_shared_page`):
 * command and answer one after the other in the same bytes. The guest may change all of it at any instant.
 */
import type { GuestMemory } from "../../contract/v2/plugin.ts";

// Offsets: u32 length, u8 state, u8 locality, u8 pad, u8 number of extra pages, and then the data.
const LENGTH = 0;
const STATE = 4;
const LOCALITY = 5;
const EXTRA_PAGES = 7;
const DATA = 8;

/** Bytes of a TPM's header: tag, length, code. */
const HEADER = 10;

/** Longest command and answer, in bytes. */
export const COMMAND_MAX = 4096 - DATA;

/** Who has the page: `VTPM_STATE_IDLE` and so on. */
export const PageState = { Idle: 0, Submit: 1, Finish: 2, Cancel: 3 } as const;

/** A command, copied: what the guest writes meanwhile is nobody's. */
export interface Command {
  readonly bytes: Uint8Array;
  readonly locality: number;
}

/** It is no command; the message says why. */
export class PageError extends Error {
  override name = "PageError";
}

/** One guest's. All throw when it is not mapped any more. */
export class Page {
  readonly #memory: GuestMemory;

  constructor(memory: GuestMemory) {
    this.#memory = memory;
  }

  get isMapped(): boolean {
    return this.#memory.isMapped;
  }

  get state(): number {
    return this.#memory.read8(STATE);
  }

  /** Each field is read once. @throws PageError */
  take(): Command {
    const length = this.#memory.read32(LENGTH);
    const extra = this.#memory.read8(EXTRA_PAGES);
    const locality = this.#memory.read8(LOCALITY);
    if (extra !== 0) throw new PageError(`its command has ${extra} extra pages; expected none`);
    if (length < HEADER || length > COMMAND_MAX) {
      throw new PageError(`its command has ${length} bytes; expected ${HEADER} to ${COMMAND_MAX}`);
    }
    return { bytes: this.#memory.read(DATA, length), locality };
  }

  /** Gives the page back, without an answer. */
  giveUp(): void {
    this.#memory.write8(STATE, PageState.Idle);
  }

  /**
   * Writes the answer and gives the page back, if the guest still waits for one.
   * @returns whether it did
   */
  answer(bytes: Uint8Array): boolean {
    const { state } = this;
    if (state !== PageState.Submit && state !== PageState.Cancel) return false;
    this.#memory.write(DATA, bytes);
    this.#memory.write32(LENGTH, bytes.length);
    this.#memory.write8(STATE, PageState.Finish);
    return true;
  }
}
