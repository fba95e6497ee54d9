/** The service manager that started the daemon, and what it is told. */
import { coded } from "../../core/messages/table.ts";
import type { Cancel, Clock } from "../../platform/types.ts";
import { openLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import { openNotifySocket } from "../../platform/linux/notify_socket.ts";
import { environment, processId } from "../../platform/self.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { ServerError } from "../../core/xenstore/errors.ts";

/** What the service manager gives to the programs that it starts. */
interface ServiceEnvironment {
  readonly NOTIFY_SOCKET?: string | undefined;
  /** How long, in µs, it waits for a sign of life before it starts the daemon anew. */
  readonly WATCHDOG_USEC?: string | undefined;
  /** The process that it expects that of; absent: any. */
  readonly WATCHDOG_PID?: string | undefined;
}

/** What is needed of the machine, and of the daemon. */
interface ServiceParts {
  readonly clock: Clock;
  readonly pid: number;
  /** @throws Error when nothing can be sent there */
  open(address: string): Promise<{ send(text: string): void; close(): void }>;
  /**
   * Resolves when the store has answered.
   * @param timeoutMs how long it may take; it rejects then
   */
  alive(timeoutMs: number): Promise<void>;
  warn(text: string): void;
}

/** The service manager, or nobody. */
export interface ServiceManager {
  /** The daemon is up; signs of life follow from now on. */
  ready(status: string): void;
  /** The daemon is going to end. */
  stopping(): void;
  close(): void;
}

/** Signs of life in the time in which one is expected (sd_watchdog_enabled(3) says: two). */
const SIGNS = 2;
/** Longest time that is looked at, in ms: timers have no longer one. */
const WATCHDOG_MAX_MS = 2 ** 31 - 1;

/** How often to give a sign of life, in ms; null: not at all. */
export function watchdogPauseMs(environment: ServiceEnvironment, pid: number): number | null {
  const { WATCHDOG_USEC: usec = "", WATCHDOG_PID: expected } = environment;
  if (!/^[1-9]\d{0,17}$/.test(usec)) return null;
  if (expected !== undefined && expected !== String(pid)) return null;
  return Math.max(1, Math.min(Number(usec) / 1000 / SIGNS, WATCHDOG_MAX_MS));
}

/** Finds the service manager that started this, if one did. What goes wrong is a warning. */
export async function openServiceManager(
  environment: ServiceEnvironment,
  parts: ServiceParts,
): Promise<ServiceManager> {
  const { NOTIFY_SOCKET: address } = environment;
  if (address === undefined || address === "") return NOBODY;
  let socket: Awaited<ReturnType<ServiceParts["open"]>>;
  try {
    socket = await parts.open(address);
  } catch (error) {
    const why = (error as Error).message;
    parts.warn(coded("service-manager", `the service manager cannot be told anything: ${why}`));
    return NOBODY;
  }
  const pauseMs = watchdogPauseMs(environment, parts.pid);
  return new Manager(socket, pauseMs, parts);
}

const NOBODY: ServiceManager = { ready() {}, stopping() {}, close() {} };

class Manager implements ServiceManager {
  readonly #socket: Awaited<ReturnType<ServiceParts["open"]>>;
  readonly #pauseMs: number | null;
  readonly #parts: ServiceParts;
  #cancel: Cancel = () => {};
  #closed = false;
  /** A failure was told; the next one is not, until something worked. */
  #told = false;

  constructor(
    socket: Awaited<ReturnType<ServiceParts["open"]>>,
    pauseMs: number | null,
    parts: ServiceParts,
  ) {
    this.#socket = socket;
    this.#pauseMs = pauseMs;
    this.#parts = parts;
  }

  ready(status: string): void {
    this.#send(`READY=1\nMAINPID=${this.#parts.pid}\nSTATUS=${status}`);
    if (this.#pauseMs !== null) this.#beat(this.#pauseMs);
  }

  stopping(): void {
    // Signs of life go on: stopping may take a while, and may hang.
    this.#send("STOPPING=1\nSTATUS=stopping");
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cancel();
    this.#socket.close();
  }

  /** A sign of life now, if the store answers; and again after a pause. */
  #beat(pauseMs: number): void {
    const { clock } = this.#parts;
    const start = clock.now();
    this.#parts.alive(pauseMs).then(
      () => this.#send("WATCHDOG=1"),
      (error: Error) => this.#complain(`no sign of life: ${error.message}`),
    ).then(() => {
      if (this.#closed) return;
      const left = Math.max(0, pauseMs - (clock.now() - start));
      this.#cancel = clock.after(left, () => this.#beat(pauseMs));
    });
  }

  #send(text: string): void {
    if (this.#closed) return;
    try {
      this.#socket.send(text);
      this.#told = false;
    } catch (error) {
      this.#complain((error as Error).message);
    }
  }

  #complain(text: string): void {
    if (this.#told || this.#closed) return;
    this.#told = true;
    this.#parts.warn(coded("service-manager", `service manager: ${text}`));
  }
}

/** Finds the service manager that started this, if one did. */
export function daemonService(store: StoreClient): Promise<ServiceManager> {
  return openServiceManager({
    NOTIFY_SOCKET: environment("NOTIFY_SOCKET"),
    WATCHDOG_USEC: environment("WATCHDOG_USEC"),
    WATCHDOG_PID: environment("WATCHDOG_PID"),
  }, {
    clock: systemClock,
    pid: processId(),
    open: openNotifySocket,
    async alive(timeoutMs) {
      // It waits for the store to return, and knows it: another process could do no better.
      if (store.isRecovering) return;
      try {
        await store.exists("domid", { timeoutMs });
      } catch (error) {
        // A refusal is an answer.
        if (!(error instanceof ServerError) && !store.isRecovering) throw error;
      }
    },
    warn: (text) => openLog().warning(text),
  });
}
