/** Failures, and the death of the process, at any call of a capability. */

/** Where something happens: at which call, counted from 0, and whether the call still has effect. */
export interface Fault {
  readonly call: number;
  readonly when: "before" | "after";
  /** The process is gone: no further call has any effect either. */
  readonly deadly: boolean;
}

/** What a failing call rejects with. */
export class Injected extends Error {}

/** Methods that answer at once: they ask for nothing outside the process. */
const IMMEDIATE = new Set<string | symbol>([
  "heldElsewhere",
  "holders",
  "sameMachine",
  "heldValues",
  "info",
  "warning",
]);

/** Counts the calls of objects' asynchronous methods, and makes one of them fail. */
export class FaultInjector {
  calls = 0;
  readonly #fault: Fault | null;
  #dead = false;

  constructor(fault: Fault | null) {
    this.#fault = fault;
  }

  /** The same object, with faults; objects in it are treated likewise. */
  wrap<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value === "function" && IMMEDIATE.has(name)) return value.bind(target);
        if (typeof value === "function") {
          return (...args: unknown[]) => this.#call(() => Reflect.apply(value, target, args));
        }
        return value?.constructor === Object ? this.wrap(value) : value;
      },
    });
  }

  #call(run: () => unknown): unknown {
    if (this.#dead) return Promise.reject(new Injected("dead"));
    const isHit = this.calls++ === this.#fault?.call;
    if (!isHit) return run();
    this.#dead = this.#fault?.deadly === true;
    const fail = () => Promise.reject(new Injected(`call ${this.calls - 1}`));
    if (this.#fault?.when === "before") return fail();
    return Promise.resolve(run()).then(fail);
  }
}
