/**
 * What only an event loop can give: bytes from a descriptor, a connection accepted, a child's end, a
 * signal; timers are the language's `setTimeout`. Each runtime brings them, as it brings {@link Sys}.
 */

import type { SIGNALS } from "./signals.ts";

/** Hands out what is read from a descriptor, a chunk with each call, and no further than it is asked. */
export interface DescriptorReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  /** A read that waits ends with `done`. */
  cancel(): Promise<void>;
}

/** Stops what it was returned for. */
export type Stop = () => void;

/** A child that is to be started: its own steps, and then its program. */
export interface ChildStart {
  /** The first is the path of the program. */
  readonly argv: readonly [string, ...string[]];
  /** Its whole environment. */
  readonly env: Readonly<Record<string, string>>;
  /** Its current directory. */
  readonly cwd: string;
  /** Its standard streams and, if it is to have one, descriptor 3; null: /dev/null. */
  readonly fds: readonly (number | null)[];
}

/** How a child ended: exactly one of the two is not null. */
export interface ChildEnd {
  /** 0 … 255 */
  readonly code: number | null;
  /** Its name, such as `SIGKILL`. */
  readonly signal: string | null;
}

/** Names of signals that can be taken. */
export type SignalName = Exclude<keyof typeof SIGNALS, "SIGKILL" | "SIGSTOP">;

export interface Sources {
  /** Reads a descriptor that does not block. Whoever opened it closes it, when this has ended. */
  openReader(fd: number): DescriptorReader;
  /**
   * Listens on a unix socket; the file is made within the call.
   * @param accept gets a connected descriptor of its own, close-on-exec and non-blocking
   * @throws SystemError (EADDRINUSE, EACCES, ENOENT, …)
   */
  listen(path: string, accept: (fd: number) => void): Stop;
  /**
   * Starts a program as the leader of a session and process group of its own, with all signals as
   * they are by default, and no descriptor but those given.
   * @returns its pid @throws SystemError (ENOENT, EACCES, ENOEXEC, EAGAIN, …)
   */
  start(child: ChildStart, ended: (end: ChildEnd) => void): number;
  /** Calls `run` for each signal of this name, which then does nothing else. */
  onSignal(name: SignalName, run: () => void): Stop;
}
