/** The event loop of `loop.ts`, as sources. */
import { closeFile, O_CLOEXEC, O_NONBLOCK, openFile } from "../io/file_calls.ts";
import { SIGNALS } from "../signals.ts";
import type { ChildEnd, ChildStart, DescriptorReader, Sources } from "../sources.ts";
import { describeCode, errnoName, must, systemError } from "../system_error.ts";
import { AF_UNIX, pathAddress, SOCK_CLOEXEC } from "../io/unix_address.ts";
import { host } from "./host.ts";
import {
  after,
  cancel,
  IN,
  onEnd,
  onSignal,
  rest,
  type Timer,
  tryWatch,
  unwatch,
  watch,
} from "./loop.ts";
import { texts } from "./program.ts";

const { sys } = host;

// asm-generic/errno-base.h
const [EINTR, EAGAIN] = [4, 11];

/** How much is read at once, in bytes: what a pipe holds. */
const CHUNK = 64 * 1024;
/** All readers read into this, one after the other. */
const buffer = new Uint8Array(CHUNK);

/** See {@link Sources}. */
export const sources: Sources = {
  openReader: (fd) => new Reader(fd),
  listen,
  start,
  onSignal: (name, run) => onSignal(SIGNALS[name], run),
};

class Reader implements DescriptorReader {
  readonly #fd: number;
  #waiting: ((result: { done: boolean; value?: Uint8Array }) => void) | null = null;
  #fail: (error: Error) => void = () => {};
  #ended = false;

  constructor(fd: number) {
    this.#fd = fd;
  }

  read(): Promise<{ done: boolean; value?: Uint8Array }> {
    if (this.#ended) return Promise.resolve({ done: true });
    return new Promise((resolve, reject) => {
      this.#waiting = resolve;
      this.#fail = reject;
      // A regular file cannot be watched, and need not be.
      if (tryWatch(this.#fd, IN, () => this.#take()) < 0) this.#take();
    });
  }

  #take(): void {
    const got = sys.read(this.#fd, buffer);
    if (got === -EAGAIN || got === -EINTR) return;
    const resolve = this.#waiting;
    this.#waiting = null;
    if (got > 0) {
      // The next read comes soon, as a rule.
      rest(this.#fd);
      return resolve?.({ done: false, value: buffer.slice(0, got) });
    }
    unwatch(this.#fd);
    this.#ended = true;
    if (got === 0) return resolve?.({ done: true });
    const code = errnoName(-got);
    this.#fail(systemError(code, describeCode(code, "read")));
  }

  cancel(): Promise<void> {
    // Once it has ended, the descriptor may be closed, and be another one's by now.
    if (!this.#ended) unwatch(this.#fd);
    this.#ended = true;
    const resolve = this.#waiting;
    this.#waiting = null;
    resolve?.({ done: true });
    return Promise.resolve();
  }
}

// linux/net.h, asm-generic/fcntl.h, linux/socket.h
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0o4000;
const BACKLOG = 128;
const O_PATH = 0o10000000;

/** What accepting fails with while there is no descriptor, or no memory (accept(2)): ENFILE, EMFILE, ENOBUFS, ENOMEM. */
const LACKS: readonly number[] = [23, 24, 105, 12];

/** How long none is asked for then, in ms. */
const LACK_PAUSE_MS = 100;

function listen(path: string, accept: (fd: number) => void): () => void {
  const type = SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK;
  const fd = must(() => sys.socket(AF_UNIX, type, 0), `socket ${path}`);
  try {
    bind(fd, path);
    must(() => sys.listen(fd, BACKLOG), `listen ${path}`);
  } catch (error) {
    closeFile(fd);
    throw error;
  }
  let pause: Timer | undefined;
  const take = () => {
    for (;;) {
      const connection = sys.accept(fd, O_CLOEXEC | O_NONBLOCK);
      if (connection < 0) {
        // Whoever waits there would be told of in each turn.
        if (LACKS.includes(-connection)) {
          unwatch(fd);
          pause = after(LACK_PAUSE_MS, begin);
        }
        // None left; or one that has gone again: the next turn tries again.
        return;
      }
      accept(connection);
    }
  };
  const begin = () => watch(fd, IN, take);
  begin();
  return () => {
    cancel(pause);
    unwatch(fd);
    closeFile(fd);
  };
}

function bind(fd: number, path: string): void {
  const slash = path.lastIndexOf("/") + 1;
  let address = pathAddress(path);
  let directory = -1;
  if (address === null && slash > 0) {
    directory = openFile(path.slice(0, slash), O_PATH);
    address = pathAddress(`/proc/self/fd/${directory}/${path.slice(slash)}`);
  }
  try {
    if (address === null) throw systemError("ENAMETOOLONG", `ENAMETOOLONG: bind ${path}`);
    const to = address;
    must(() => sys.bind(fd, to), `bind ${path}`);
  } catch (error) {
    // Which of several sockets it was, as the other runtime says it.
    throw Object.assign(error as Error, { address: path });
  } finally {
    if (directory >= 0) closeFile(directory);
  }
}

/** What a child does before its program runs, as host.c has it. */
const SESSION = 1;

function start({ argv, env, cwd, fds }: ChildStart, ended: (end: ChildEnd) => void): number {
  const [input, output, error, three] = [0, 1, 2, 3].map((number) => fds[number] ?? -1) as [
    number,
    number,
    number,
    number,
  ];
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`);
  const directory = texts([cwd]);
  const same = -1;
  const pid = host.spawn(
    texts(argv),
    texts(variables),
    directory,
    input,
    output,
    error,
    three,
    SESSION,
    same,
    same,
  );
  if (pid < 0) {
    const code = errnoName(-pid);
    throw systemError(code, describeCode(code, `starting ${argv[0]}`));
  }
  onEnd(pid, ended);
  return pid;
}
