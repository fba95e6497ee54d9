/** Events and abort signals as the DOM standard has them, as far as they are used. */
import { after } from "./loop.ts";

/** dom.spec.whatwg.org, 2.2 */
export class Event {
  target: EventTarget | null = null;
  readonly type: string;
  constructor(type: string) {
    this.type = type;
  }
}

type Listener = ((event: Event) => void) | { handleEvent(event: Event): void };
interface ListenerOptions {
  readonly once?: boolean;
  readonly signal?: AbortSignal;
}

/** dom.spec.whatwg.org, 2.7 */
export class EventTarget {
  readonly #listeners = new Map<string, Map<Listener, boolean>>();

  addEventListener(type: string, listener: Listener | null, options?: ListenerOptions | boolean) {
    const { once = false, signal } = typeof options === "object" ? options : {};
    if (listener === null || signal?.aborted) return;
    let listeners = this.#listeners.get(type);
    if (listeners === undefined) this.#listeners.set(type, listeners = new Map());
    if (!listeners.has(listener)) listeners.set(listener, once);
    signal?.addEventListener("abort", () => this.removeEventListener(type, listener), {
      once: true,
    });
  }

  removeEventListener(type: string, listener: Listener | null) {
    if (listener !== null) this.#listeners.get(type)?.delete(listener);
  }

  /** What a listener throws is thrown out of the event loop's next turn, and ends the program there. */
  dispatchEvent(event: Event): boolean {
    event.target = this;
    const own = (this as unknown as Record<string, unknown>)[`on${event.type}`];
    const listeners = [...this.#listeners.get(event.type) ?? []];
    if (typeof own === "function") listeners.unshift([own as Listener, false]);
    for (const [listener, once] of listeners) {
      if (once) this.removeEventListener(event.type, listener);
      try {
        if (typeof listener === "function") listener.call(this, event);
        else listener.handleEvent(event);
      } catch (error) {
        after(0, () => {
          throw error;
        });
      }
    }
    return true;
  }
}

/** webidl.spec.whatwg.org, 4.3 */
export class DOMException extends Error {
  override readonly name: string;
  constructor(message = "", name = "Error") {
    super(message);
    this.name = name;
  }
}

const abort = Symbol("abort");

/** dom.spec.whatwg.org, 3.2 */
export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason: unknown = undefined;
  onabort: ((event: Event) => void) | null = null;

  get aborted(): boolean {
    return this.#aborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }

  /** Of the controller. */
  [abort](reason: unknown) {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason;
    this.dispatchEvent(new Event("abort"));
  }

  static abort(reason?: unknown): AbortSignal {
    const controller = new AbortController();
    controller.abort(reason);
    return controller.signal;
  }

  static timeout(ms: number): AbortSignal {
    const controller = new AbortController();
    after(
      ms,
      () => controller.abort(new DOMException("The operation timed out.", "TimeoutError")),
      false,
    );
    return controller.signal;
  }

  static any(signals: Iterable<AbortSignal>): AbortSignal {
    const controller = new AbortController();
    for (const signal of signals) {
      if (signal.aborted) {
        controller.abort(signal.reason);
        break;
      }
      signal.addEventListener("abort", () => controller.abort(signal.reason), { once: true });
    }
    return controller.signal;
  }
}

/** dom.spec.whatwg.org, 3.1 */
export class AbortController {
  readonly signal: AbortSignal = new AbortSignal();

  abort(reason: unknown = new DOMException("The operation was aborted.", "AbortError")) {
    this.signal[abort](reason);
  }
}
