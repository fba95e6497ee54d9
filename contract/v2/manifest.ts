/** The plugin contract, version 2: what is known of a server before its code runs. Only types, plain data. */

/** Pages of the guest's that are mapped when it connects. */
export interface GrantedPages {
  /**
   * Nodes of the frontend's directory with one grant reference each, in the order of the pages: they
   * become one piece of memory. 1 … 16 of them.
   */
  readonly references: readonly string[];
  readonly access: "read" | "write";
  /**
   * A byte of the memory that Xen sets to 0 when it is unmapped, whatever ends the server; the event
   * channel is notified then. For memory that can be written.
   */
  readonly clearOnUnmap?: number;
}

/**
 * A server: one process for each device, the same program as the daemon, which it outlives. It has
 * neither root's rights nor capabilities, and its event channels lead to the device's guest alone.
 */
export interface ServerManifest {
  /** Nodes of the backend directory that are written before state 2 (`feature-…`). */
  readonly features?: Readonly<Record<string, string>>;
  /** What is mapped; see {@link GrantedPages}. At most 8. */
  readonly pages: readonly GrantedPages[];
  /** Node of the frontend's directory with the event channel's port; default `event-channel`. */
  readonly eventChannel?: string;
  /** Further nodes of the frontend's directory that the server is given, where there are. At most 32. */
  readonly nodes?: readonly string[];
  /**
   * How many events of the guest's are taken in a second, 1 … 100000; default 2000. More are not
   * lost: they wait, and what was sent meanwhile is taken as one.
   */
  readonly eventsPerSecond?: number;
  /**
   * Whether another process may go on where one has ended by itself (it was killed, say), opened with what
   * `add` has handed over: nothing is lost with one. At most three times in a minute. Default false: the
   * device is broken then. One that has failed is never followed by another.
   */
  readonly resumes?: boolean;
}

/** What an `add` hands to its server. Plain data, at most 24 KiB. */
export type Given = Readonly<Record<string, string | number | boolean>>;

/** The server of a device, as the daemon's side of the plugin sees it. */
export interface DeviceServer {
  /**
   * Starts it, and takes the backend to state 2 when it is ready: it then serves whenever the guest
   * connects, until the device is removed. To be called once, by `add`, as the last thing of it.
   *
   * The next daemon takes it up by itself. It is ended before `remove` is called, or when `add` fails.
   * When it fails or ends by itself, the device is broken, with its reason: it is closed, and not
   * served again until it is attached anew.
   * @throws Error with the reason why it does not start; the signal's reason
   */
  start(given: Given, signal: AbortSignal): Promise<void>;
}
