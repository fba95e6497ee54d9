/**
 * What xdevd needs from the machine it runs on, and nothing else.
 *
 * Only `platform/bun` touches the runtime (`node:` modules, `Bun`); a lint rule says so. Everything
 * above `platform` works with these few interfaces, which keeps the tests deterministic.
 */

/** A connected, ordered, reliable stream of bytes (a unix socket, or the two ends of a test pipe). */
export interface ByteStream {
  /** Begins delivery. Called once, before which nothing is lost. */
  start(handlers: ByteStreamHandlers): void;
  /** Queues bytes; never blocks, never reorders. Ignored after the stream has closed. */
  write(bytes: Uint8Array): void;
  /** Bytes accepted by `write` that the peer has not taken yet. */
  readonly queued: number;
  /**
   * What arrives in the next moment, about a fifth of a millisecond, may be delivered together
   * thereafter. For a reader who knows that much is under way and pays for each delivery.
   */
  gather?(): void;
  /** Closes both directions at once; `closed` is then called (with no error) unless it was already. */
  close(): void;
}

/** Callbacks of a {@link ByteStream}; all are called from the event loop, never from within `start`. */
export interface ByteStreamHandlers {
  data(chunk: Uint8Array): void;
  /** Called exactly once: the peer ended the stream, an error broke it, or `close` was called. */
  closed(error: Error | null): void;
  /** Called when `queued` has fallen back to 0 after having been above it. */
  drained?(): void;
}

/** A listening unix socket. */
export interface Listener {
  /** Stops listening and removes the socket file. Connections that exist stay. */
  close(): Promise<void>;
}

/** Cancels what it was returned for; calling it twice or too late is harmless. */
export type Cancel = () => void;

/** Time, replaceable in tests. */
export interface Clock {
  /** Milliseconds since an arbitrary origin; never goes backwards. */
  now(): number;
  /** Calls `fn` once, not before `ms` milliseconds have passed. */
  after(ms: number, fn: () => void): Cancel;
}

/** The part of `stat(2)` that is used. */
export interface FileStatus {
  readonly kind: "file" | "directory" | "block" | "character" | "symlink" | "socket" | "other";
  /** Permission bits including set-id and sticky, as in `chmod(2)` (octal 0 … 7777). */
  readonly mode: number;
  /** How many names it has. */
  readonly links: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly dev: bigint;
  readonly ino: bigint;
  /** Device number of a block or character node, as in `stat(2)`'s st_rdev. */
  readonly rdev: bigint;
  readonly mtimeMs: number;
}

/** An error of the operating system, with its symbolic name. */
export interface SystemError extends Error {
  /** Symbolic errno, such as `ENOENT`. */
  readonly code: string;
}

/** Files. All functions throw a {@link SystemError}. */
export interface Files {
  /** Follows symbolic links. */
  stat(path: string): Promise<FileStatus>;
  /** Does not follow a symbolic link in the last component. */
  lstat(path: string): Promise<FileStatus>;
  /** The canonical absolute path: no symbolic link, `.` or `..` left. */
  realPath(path: string): Promise<string>;
  /** What a symbolic link says. */
  readLink(path: string): Promise<string>;
  /**
   * @param max in bytes: more is EFBIG. With it, nothing but a regular file is opened (EINVAL): what
   * else there is may wait for ever, have no end, or do something
   */
  readText(path: string, max?: number): Promise<string>;
  /** Reads `length` bytes at `position`; shorter at the end of the file. */
  readAt(path: string, position: number, length: number): Promise<Uint8Array>;
  writeText(path: string, text: string, mode?: number): Promise<void>;
  makeDirectory(path: string, mode?: number): Promise<void>;
  /** @param most how many names there may be: more is EFBIG */
  list(path: string, most?: number): Promise<string[]>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
}

/** How a child ended: exactly one of the two is not null. */
export interface ChildExit {
  /** 0 … 255, or null when a signal ended it. */
  readonly code: number | null;
  /** Name such as `SIGKILL`, or null when it exited. */
  readonly signal: string | null;
}

export interface ChildSpec {
  /** argv[0] is the absolute path of the program; it is not looked up in PATH. */
  readonly argv: readonly [string, ...string[]];
  /** The whole environment of the child; nothing is inherited. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** Receives what the child prints, a line at a time, without the line end; bounded in length. */
  output?(line: string, stream: "stdout" | "stderr"): void;
  /** Whether the two streams are told apart: each has a pipe then. Without, all is "stdout". */
  readonly apart?: boolean;
}

/** A running child, leader of a process group and session of its own; its stdin is /dev/null. */
export interface Child {
  readonly pid: number;
  /** Resolves when the process itself has ended, even if a grandchild keeps its output open. */
  readonly exited: Promise<ChildExit>;
  /** Sends a signal to the whole process group; false when there is no such group any more. */
  signalGroup(signal: "SIGHUP" | "SIGTERM" | "SIGKILL"): boolean;
}

export interface Processes {
  /** @throws SystemError when the program cannot be started (ENOENT, EACCES, ENOEXEC, …) */
  start(spec: ChildSpec): Promise<Child>;
}
