/** The event loop: timers, descriptors, signals, children. `host.c` calls one turn after the other. */
import { signalName, SIGNALS } from "../signals.ts";
import { host } from "./host.ts";

/** epoll(7) */
export const IN = 1;
export const OUT = 4;

/** A timer, to be cancelled by it. */
export interface Timer {
  readonly at: number;
  readonly order: number;
  /** Whether the program goes on for as long as it runs. */
  readonly holds: boolean;
  run: (() => void) | null;
}

/** A heap by time, then by age. */
const timers: Timer[] = [];
let order = 0;
/** Timers that are not cancelled, and those of them that the program goes on for. */
let live = 0;
let holding = 0;

/** Below so many, cancelled timers are left where they are. */
const SWEEP_MIN = 64;

function isBefore(a: Timer, b: Timer): boolean {
  return a.at < b.at || a.at === b.at && a.order < b.order;
}

function push(timer: Timer): void {
  let at = timers.push(timer) - 1;
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!isBefore(timer, timers[parent]!)) break;
    timers[at] = timers[parent]!;
    at = parent;
  }
  timers[at] = timer;
}

function pop(): Timer {
  const first = timers[0]!;
  const last = timers.pop()!;
  if (timers.length === 0) return first;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= timers.length) break;
    if (child + 1 < timers.length && isBefore(timers[child + 1]!, timers[child]!)) child++;
    if (!isBefore(timers[child]!, last)) break;
    timers[at] = timers[child]!;
    at = child;
  }
  timers[at] = last;
  return first;
}

/**
 * Calls `run` once, not before `ms` have passed.
 * @param holds whether the program goes on for it
 */
export function after(ms: number, run: () => void, holds = true): Timer {
  const timer = { at: host.now() + Math.max(0, ms || 0), order: order++, holds, run };
  live++;
  if (holds) holding++;
  push(timer);
  return timer;
}

/** Calling it twice, or too late, is harmless. */
export function cancel(timer: Timer | undefined): void {
  if (timer?.run == null) return;
  finish(timer);
  if (timers.length > SWEEP_MIN && live < timers.length / 2) {
    const left = timers.filter(({ run }) => run !== null);
    timers.length = 0;
    for (const one of left) push(one);
  }
}

function finish(timer: Timer): void {
  timer.run = null;
  live--;
  if (timer.holds) holding--;
}

const soon: (() => void)[] = [];

/** Calls `run` in the next turn. */
export function immediate(run: () => void): void {
  soon.push(run);
}

interface Watched {
  readonly ready: (events: number) => void;
  readonly holds: boolean;
}
const watched = new Map<number, Watched>();
let watchedHolding = 0;

/**
 * Has `ready` called in each turn in which the descriptor is ready. In place of an earlier call for it.
 * @param holds whether the program goes on for it
 * @throws Error when it cannot be watched
 */
export function watch(
  fd: number,
  events: number,
  ready: (events: number) => void,
  holds = true,
): void {
  const result = tryWatch(fd, events, ready, holds);
  if (result < 0) throw new Error(`descriptor ${fd} cannot be watched (errno ${-result})`);
}

/** {@link watch}, but for what cannot be watched. @returns 0 or minus the errno */
export function tryWatch(
  fd: number,
  events: number,
  ready: (events: number) => void,
  holds = true,
): number {
  const result = host.watch(fd, events);
  if (result < 0) return result;
  forgetWatched(fd);
  resting.delete(fd);
  watched.set(fd, { ready, holds });
  if (holds) watchedHolding++;
  return 0;
}

/** Descriptors that the kernel watches still, and nobody asks for at the moment. */
const resting = new Set<number>();

/**
 * Nobody is told of it any more, until it is watched again, as is likely soon: the kernel goes on until it
 * is ready once in vain. Before the descriptor is closed, {@link unwatch} is due all the same.
 */
export function rest(fd: number): void {
  if (forgetWatched(fd)) resting.add(fd);
}

/** To be called before the descriptor is closed. */
export function unwatch(fd: number): void {
  const rested = resting.delete(fd);
  if (forgetWatched(fd) || rested) host.watch(fd, 0);
}

function forgetWatched(fd: number): boolean {
  const before = watched.get(fd);
  if (before === undefined) return false;
  watched.delete(fd);
  if (before.holds) watchedHolding--;
  return true;
}

/** Room for `READY_MAX` of host.c. */
const ready = new Int32Array(2 * 64);
const readyBytes = new Uint8Array(ready.buffer);
/** The longest wait, in ms: the kernel takes 32 bits. */
const WAIT_MAX = 2 ** 31 - 1;

function turn(): boolean {
  // Taken one by one: what is left when one of them fails is still there in the next turn.
  for (let count = soon.length; count > 0; count--) {
    soon.shift()!();
    host.jobs();
  }
  while (timers.length > 0 && timers[0]!.run === null) pop();
  const isOver = soon.length === 0 && holding === 0 && watchedHolding === 0 && children.size === 0;
  if (isOver) return false;
  const first = timers[0];
  const wait = soon.length > 0
    ? 0
    : first === undefined
    ? -1
    : Math.min(WAIT_MAX, Math.max(0, Math.ceil(first.at - host.now())));
  const count = host.wait(readyBytes, wait);
  for (let i = 0; i < count; i++) {
    // It may have been ended by what came before it.
    const fd = ready[2 * i]!;
    const one = watched.get(fd);
    if (one === undefined) {
      resting.delete(fd);
      host.watch(fd, 0);
    } else one.ready(ready[2 * i + 1]!);
    host.jobs();
  }
  runTimers();
  return true;
}

/** Those that are due now: not what they start. */
function runTimers(): void {
  if (timers.length === 0) return;
  const [now, last] = [host.now(), order];
  for (let first; (first = timers[0]) !== undefined && first.at <= now && first.order < last;) {
    pop();
    const { run } = first;
    if (run === null) continue;
    finish(first);
    run();
    host.jobs();
  }
}

(globalThis as unknown as { __turn: () => boolean }).__turn = turn;

const listeners = new Map<number, Set<() => void>>();
let signalFd = -1;
/** struct signalfd_siginfo; its first 32 bits are the number. */
const information = new Uint8Array(128);

/** Has `run` called for each of these signals, which then do nothing else; returns how to stop that. */
export function onSignal(number: number, run: () => void): () => void {
  const runs = listeners.get(number) ?? new Set();
  runs.add(run);
  listeners.set(number, runs);
  holdBack();
  return () => {
    runs.delete(run);
    if (runs.size === 0) listeners.delete(number);
    holdBack();
  };
}

function holdBack(): void {
  const fd = host.signals(new Uint8Array([...listeners.keys()]));
  if (fd < 0) throw new Error(`signals cannot be waited for (errno ${-fd})`);
  if (signalFd >= 0) return;
  signalFd = fd;
  watch(fd, IN, () => {
    while (host.sys.read(fd, information) === information.length) {
      for (const run of [...listeners.get(information[0]!) ?? []]) run();
    }
  }, false);
}

/** How a child ended: one of the two. */
export interface Ended {
  readonly code: number | null;
  readonly signal: string | null;
}

const children = new Map<number, (ended: Ended) => void>();

/** Has `ended` called when a child of this process has ended. */
export function onEnd(pid: number, ended: (how: Ended) => void): void {
  if (!listeners.has(SIGNALS.SIGCHLD)) onSignal(SIGNALS.SIGCHLD, reap);
  children.set(pid, ended);
  // It may have ended before anybody listened.
  immediate(reap);
}

function reap(): void {
  for (let one; (one = host.ended()) !== null;) {
    const [pid, status] = one;
    const ended = children.get(pid);
    children.delete(pid);
    // wait(2): the low seven bits are a signal's number.
    const number = status & 0x7f;
    ended?.(
      number === 0
        ? { code: status >> 8 & 0xff, signal: null }
        : { code: null, signal: signalName(number) },
    );
  }
}
