/** What `host.c` gives to JavaScript. */
import type { Sys } from "../sys.ts";

/** The host's functions; what each does stands with it in `host.c`. */
export interface Host {
  readonly sys: Sys;
  /** As they were given: bytes without the NUL. The first is the name of the program. */
  readonly args: readonly ArrayBuffer[];
  readonly environment: readonly ArrayBuffer[];
  /** Milliseconds since the machine was started. */
  now(): number;
  /** `events` as of epoll(7), level-triggered; 0 ends it. @returns 0 or minus the errno */
  watch(fd: number, events: number): number;
  /**
   * Waits for what is watched.
   * @param ready gets 8 bytes for each: descriptor and events
   * @param ms -1: for ever
   * @returns how many, or minus the errno
   */
  wait(ready: Uint8Array, ms: number): number;
  /** Holds these signals back, a byte each, and no others. @returns the descriptor that tells of them */
  signals(numbers: Uint8Array): number;
  /**
   * Starts a program. @param argv texts with a NUL behind each; `environment` likewise
   * @param directory with a NUL @param input a descriptor, -1: /dev/null; `three`: -1: none
   * @param steps see `children.ts` @param user -1: as we are; `group` likewise
   * @returns the pid or minus the errno
   */
  spawn(
    argv: Uint8Array,
    environment: Uint8Array,
    directory: Uint8Array,
    input: number,
    output: number,
    error: number,
    three: number,
    steps: number,
    user: number,
    group: number,
  ): number;
  /** A child that has ended, and its status as of wait(2). */
  ended(): readonly [pid: number, status: number] | null;
  /** execve(2). @param file with a NUL @param argv texts with a NUL behind each @returns minus the errno */
  exec(file: Uint8Array, argv: Uint8Array, environment: Uint8Array): number;
  exit(code: number): never;
  /** The text whose UTF-8 these bytes are; null if they are none. */
  text(bytes: Uint8Array): string | null;
  /** @param text well-formed */
  utf8(text: string): ArrayBuffer;
  /** Runs what promises have pending. */
  jobs(): void;
  /** The longest that anything may run before it waits again, in ms; 0: for ever. */
  limit(ms: number): void;
  /** Calls it. That its time was up can be caught like any other error. */
  bounded<T>(fn: () => T): T;
  /** The same for an error that a promise was rejected with. */
  catchable(error: unknown): unknown;
  /** Collects garbage. */
  collect(): void;
  /** How many bytes may be allocated before garbage is looked for. */
  threshold(bytes: number): void;
  /** Bytes in use. */
  used(): number;
  /** @param bytes a module's text and a NUL */
  module(bytes: Uint8Array, name: string): readonly [end: Promise<unknown>, namespace: object];
}

/** The host. */
export const host: Host = (globalThis as unknown as { __host: Host }).__host;
