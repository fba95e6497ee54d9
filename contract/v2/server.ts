/**
 * The plugin contract, version 2: a server, the process that serves one device to its guest. Its code
 * imports nothing of xdevd but the contract. Only types.
 */
import type { DeviceIdentity, DeviceLog, Setting } from "../v1/plugin.ts";
import type { Given } from "./manifest.ts";
import type { GuestMemory } from "./memory.ts";

/** The event channel of a connection. */
export interface EventChannel {
  /**
   * Waits for the guest, no longer than until the connection is to close. What is in the shared memory has
   * to be looked at before the first wait, and after each:
   * `do { … } while (await connection.events.wait())`.
   * @returns false when the connection has ended: its memory is not mapped any more
   */
  wait(): Promise<boolean>;
  /**
   * In place of that when there is more to do already, and a good deal was done: lets everything else have
   * its turn, for a guest may see to it that there is always more. It counts as an event.
   */
  turn(): Promise<boolean>;
  /** Wakes the guest. Nothing when the connection has ended. */
  notify(): void;
}

/** A guest that has connected. */
export interface Connection {
  /** Domid of the guest. */
  readonly guest: number;
  /** One for each of the manifest's `pages`. */
  readonly memory: readonly GuestMemory[];
  readonly events: EventChannel;
  /** The manifest's `nodes`, as far as the frontend has them, at most 1024 characters each. */
  readonly nodes: Readonly<Record<string, string>>;
  /**
   * Fires when the device is to be closed, or the guest has closed it: what is under way has to be answered
   * at once, with an error if need be, and so has what may still come, until {@link EventChannel.wait}
   * returns false. That is a second later at most.
   */
  readonly closing: AbortSignal;
  /**
   * Maps more pages of the guest's, as one piece of memory.
   * @param references 1 … 256 grant references, 0 … 2^32-1
   * @throws Error with code `EINVAL`, `ENOENT`, `EACCES`, … when the guest has not granted that
   */
  map(references: readonly number[], access: "read" | "write"): GuestMemory;
  /** Gives it back; whoever uses it afterwards gets an error. All is given back when the connection ends. */
  unmap(memory: GuestMemory): void;
  /** Copies from one granted page, without mapping it. @throws as `map`; RangeError */
  copyFrom(reference: number, offset: number, length: number): Uint8Array;
  /** Copies to one. @throws likewise */
  copyTo(reference: number, offset: number, bytes: Uint8Array): void;
}

/** A connection to a socket of this machine. */
export interface SocketStream {
  /** The next bytes; undefined when there will be none. @throws Error */
  read(): Promise<Uint8Array | undefined>;
  /** Queues bytes. */
  write(bytes: Uint8Array): void;
  close(): void;
}

/** What a server knows, and what it may do besides serving. */
export interface ServerContext {
  readonly id: DeviceIdentity;
  /** The administrator's settings of the plugin, as they were when the device was attached. */
  readonly settings: Readonly<Record<string, Setting>>;
  /** What `add` has handed over. */
  readonly given: Given;
  readonly log: DeviceLog;
  /**
   * Connects to a unix socket. Root's may be opened only while the server is opened.
   * @throws Error with a code (`ENOENT`, `ECONNREFUSED`, `EACCES`, …)
   */
  connect(path: string): Promise<SocketStream>;
  /**
   * The device can be served no longer: it is closed, and guest, toolstack and log are told why. The first
   * reason counts.
   */
  fail(reason: string): void;
}

/** A server that is open. */
export interface OpenServer {
  /**
   * Serves the guest until `connection.events.wait()` returns false, and then returns. There is one
   * connection at a time; a guest may come back. Called when the guest has been told that the backend is
   * connected: all that it asks may be answered.
   *
   * Rejecting closes the device, as {@link ServerContext.fail} does. What is thrown since the memory is
   * not mapped any more is no failure.
   */
  serve(connection: Connection): Promise<void>;
  /** Called when no guest is connected any more and the process is about to end: at most 2 s. */
  end?(): Promise<void>;
}

/**
 * Opens a server: what only root may open is opened now. Its rights are dropped when this has ended, and
 * only then may a guest connect.
 * @throws Error with the reason why it cannot serve
 */
export type ServerOpener = (context: ServerContext) => Promise<OpenServer>;
