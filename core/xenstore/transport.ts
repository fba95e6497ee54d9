/** What carries messages between a client and a store. */

/** Receives what a transport reads. */
export interface TransportSink {
  /** Any number of bytes, any fragmentation. */
  data(chunk: Uint8Array): void;
  /** Called exactly once; nothing follows it. */
  closed(error: Error | null): void;
  /** Whether an answer to what was sent is still to come. */
  awaits?(): boolean;
}

/** A way to a store. The same client code runs above every transport. */
export interface Transport {
  /** For people: the path of the socket or device. */
  readonly name: string;
  /** Longest payload that one request may have, in bytes: 4096, on the device 4080. */
  readonly maxPayload: number;
  /**
   * Whether a reply proves that all earlier events have arrived (true on sockets). On the kernel
   * device replies and events are queued by different threads and may overtake each other.
   */
  readonly ordered: boolean;
  /**
   * Requests that may be unanswered at a time; more must not be sent. Unlimited on sockets, one on
   * the kernel device (see `device_transport.ts`).
   */
  readonly window: number;
  /** Whether the store can come back under the same name (true on sockets, false on the device). */
  readonly reconnects: boolean;
  /** Begins to read. Called once. */
  start(sink: TransportSink): void;
  /**
   * Sends one whole message, header and payload, as one write.
   * @throws ServerError when the transport itself refuses this message (the device answers a WATCH
   *   that the store refused with a failing write)
   */
  send(message: Uint8Array): void;
  /** A hint: so much is unanswered that replies had better be delivered together than one by one. */
  gather?(): void;
  close(): void;
}
