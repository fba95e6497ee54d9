/** What a program says before it ends by itself, as far as it tells why. Pure. */

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
