/** What programs expect of a runtime and the engine does not have. Imported before all else. */
import { host } from "./host.ts";
import { AbortController, AbortSignal, DOMException, Event, EventTarget } from "./events.ts";
import { after, cancel, immediate, type Timer } from "./loop.ts";
import { TextDecoder, TextEncoder } from "./text.ts";

function define(name: string, value: unknown): void {
  Object.defineProperty(globalThis, name, { value, writable: true, configurable: true });
}

/** Runs something again and again. */
class Interval {
  #timer: Timer | undefined;

  constructor(ms: number, run: () => void) {
    const again = () => {
      this.#timer = after(Math.max(1, ms), again);
      run();
    };
    this.#timer = after(Math.max(1, ms), again);
  }

  stop(): void {
    cancel(this.#timer);
    this.#timer = undefined;
  }
}

type Run = (...args: unknown[]) => void;

define(
  "setTimeout",
  (run: Run, ms = 0, ...args: unknown[]): Timer => after(ms, () => run(...args)),
);
define("clearTimeout", cancel);
define(
  "setInterval",
  (run: Run, ms = 0, ...args: unknown[]) => new Interval(ms, () => run(...args)),
);
define("clearInterval", (interval: Interval | undefined) => interval?.stop());
define("setImmediate", (run: Run, ...args: unknown[]) => immediate(() => run(...args)));
const resolved = Promise.resolve();
define("queueMicrotask", (run: () => void) => void resolved.then(run));
define("performance", { now: () => host.now() });
define("TextEncoder", TextEncoder);
define("TextDecoder", TextDecoder);
define("Event", Event);
define("EventTarget", EventTarget);
define("DOMException", DOMException);
define("AbortSignal", AbortSignal);
define("AbortController", AbortController);

/** w3.org/TR/WebCryptoAPI, 10.1 */
const crypto = {
  getRandomValues<T extends ArrayBufferView>(view: T): T {
    const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
    for (let at = 0; at < bytes.length;) {
      const got = host.sys.getrandom(bytes.subarray(at), 0);
      // EINTR
      if (got === -4) continue;
      if (got < 0) throw new Error(`no random bytes can be had (errno ${-got})`);
      at += got;
    }
    return view;
  },
  /** RFC 9562, version 4 */
  randomUUID(): string {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    bytes[6] = bytes[6]! & 0x0f | 0x40;
    bytes[8] = bytes[8]! & 0x3f | 0x80;
    const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return hex.replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-");
  },
};
define("crypto", crypto);

// Libraries ask V8 for it; the engine's errors have their stack from the start.
if (!("captureStackTrace" in Error)) {
  Object.defineProperty(Error, "captureStackTrace", { value: () => {}, configurable: true });
}

/** Of plugins: a line each, texts as they are, other things as JSON or in the engine's words. */
function printer(fd: 1 | 2): (...values: unknown[]) => void {
  return (...values) => {
    const line = values.map(shown).join(" ");
    host.sys.write(fd, new TextEncoder().encode(`${line}\n`));
  };
}

function shown(value: unknown): string {
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Error) return `${value}\n${value.stack ?? ""}`.trimEnd();
  try {
    return JSON.stringify(value);
  } catch {
    return String(value);
  }
}

const [toOutput, toError] = [printer(1), printer(2)];
define("console", {
  debug: toOutput,
  log: toOutput,
  info: toOutput,
  warn: toError,
  error: toError,
  trace: toError,
});

for (const name of ["dispose", "asyncDispose"]) {
  if (!(name in Symbol)) {
    Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) });
  }
}
