/** The log of a daemon in the background. */
import { LogFile } from "../../platform/io/log_file.ts";
import { UnsafeFile } from "../../platform/io/own_file.ts";
import { printIfRoom } from "../../platform/self.ts";
import { prepareLogDirectory } from "./daemon_files.ts";
import { CodedError } from "../../core/messages/error.ts";

/** Lines that are kept until there is a file. */
const EARLY_MAX = 1000;

/**
 * Until nobody else is known to serve, lines go to the standard error of the command that started the
 * daemon; when the file is begun, it gets them too.
 */
export class BackgroundLog {
  readonly #path: string;
  readonly #early: string[] = [];
  #file: LogFile | null = null;

  /** @param path absolute */
  constructor(path: string) {
    this.#path = path;
  }

  /** Whether the file is this daemon's. */
  get begun(): boolean {
    return this.#file !== null;
  }

  write(line: string): void {
    printIfRoom(2, line);
    if (this.#file === null && this.#early.length < EARLY_MAX) this.#early.push(line);
  }

  /** Begins the file. @throws CodedError that says what is in the way */
  async begin(): Promise<void> {
    try {
      await prepareLogDirectory(this.#path);
      this.#file = await LogFile.begin(this.#path);
    } catch (error) {
      throw new CodedError(
        error instanceof UnsafeFile ? "unsafe-place" : "failed",
        `cannot prepare the log file ${this.#path}: ${(error as Error).message} ` +
          "(--log FILE names another, -F logs to the terminal)",
      );
    }
    for (const line of this.#early.splice(0)) printIfRoom(2, line);
  }

  /**
   * Goes on in a new file, if this one was moved away.
   * @throws CodedError that says why not; then the old one goes on
   */
  reopen(): void {
    try {
      this.#file?.reopen();
    } catch (error) {
      throw new CodedError(
        "failed",
        `cannot reopen the log file ${this.#path}: ${
          (error as Error).message
        }; the old one goes on`,
      );
    }
  }
}
