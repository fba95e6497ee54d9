/** What somebody prints, a line at a time. Pure. */

/** Longest line of output handed on, in characters; the rest of it is cut off and said so. */
const LINE_MAX = 2000;

/** Lines handed on from one child; what comes after is counted and dropped. */
const LINES_MAX = 10_000;

/** Cuts a byte stream into lines, bounded in length and number. */
export class LineSplitter {
  readonly #line: (text: string) => void;
  readonly #linesMax: number;
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #pending = "";
  #skipping = false;
  #count = 0;
  #ended = false;

  /** @param linesMax how many lines are handed on */
  constructor(line: (text: string) => void, linesMax = LINES_MAX) {
    this.#line = line;
    this.#linesMax = linesMax;
  }

  /** Takes the next bytes. */
  push(chunk: Uint8Array): void {
    if (this.#ended) return;
    this.#pending += this.#decoder.decode(chunk, { stream: true });
    let end: number;
    while ((end = this.#pending.indexOf("\n")) >= 0) {
      const text = this.#pending.slice(0, end).replace(/\r$/, "");
      this.#pending = this.#pending.slice(end + 1);
      if (this.#skipping) this.#skipping = false;
      else this.#emit(text);
    }
    if (this.#pending.length > LINE_MAX) {
      if (!this.#skipping) this.#emit(this.#pending);
      this.#skipping = true;
      this.#pending = "";
    }
  }

  /** Hands out a last line that has no line end; nothing is taken after that. */
  end(): void {
    if (this.#ended) return;
    this.#pending += this.#decoder.decode();
    if (this.#pending !== "" && !this.#skipping) this.#emit(this.#pending);
    this.#pending = "";
    this.#ended = true;
  }

  #emit(text: string): void {
    this.#count++;
    if (this.#count <= this.#linesMax) {
      this.#line(text.length > LINE_MAX ? `${text.slice(0, LINE_MAX)}… (cut)` : text);
    } else if (this.#count === this.#linesMax + 1) {
      this.#line(`(more than ${this.#linesMax} lines; the rest is dropped)`);
    }
  }
}
