/** What a runtime knows of the program that it runs. */
export interface Program {
  /** How to run it again: a binary, or a runtime and a main module. */
  readonly command: readonly [string, ...string[]];
  /** Its file, when it is one file with everything in it. */
  readonly binary: string | null;
  /** How it is started as a storage helper, and how long one is kept that has nothing to do, in ms; null: for good. */
  readonly storageHelper: {
    readonly argv: readonly [string, ...string[]];
    readonly env: Readonly<Record<string, string>>;
    readonly keepMs: number | null;
  };
  /** argv[0], as the caller gave it. */
  readonly calledAs: string;
  /** The arguments, as texts. */
  readonly args: readonly string[];
  /** The same, a character a byte (0 to 255): texts have lost what is no UTF-8. */
  argumentBytes(): string[];
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly runtime: { readonly name: string; readonly version: string };
  exit(code: number): never;
  /** Becomes another program, as the same process. @throws SystemError when that cannot be done */
  exec(
    file: string,
    argv: readonly string[],
    environment: Readonly<Record<string, string | undefined>>,
  ): never;
  /** Calls back, at once, for an error that no code has caught; the program ends after that. */
  onUncaught(run: (error: unknown) => void): void;
  /** Calls back, at once, when the program is about to end by itself or by `exit`. */
  onExit(run: (code: number) => void): void;
}
