/**
 * The part of the plugin contract for specifications: how a device of the plugin's kinds is described
 * in one text, such as `xdevd attach` takes it. Only plugins that are modules have it; it runs where
 * the toolstack runs, not in the daemon, and must neither wait for anything nor touch the machine.
 */

/** A device as a specification describes it: what the toolstack writes when it creates it. */
export interface DeviceDescription {
  /** Backend domain, by name or domid; domain 0 if it is not said. */
  readonly backend?: string;
  /** Number of the device, 0 … 2^31-1; the lowest free one if it is not said. */
  readonly devid?: number;
  /**
   * Nodes of the backend directory besides those that all devices have (`frontend`, `frontend-id`,
   * `online`, `state`), in the order in which they are written. Names may lead downwards (`port/1`).
   */
  readonly backendNodes: Readonly<Record<string, string>>;
  /** Nodes of the frontend directory besides `backend`, `backend-id` and `state`; the guest's own. */
  readonly frontendNodes?: Readonly<Record<string, string>>;
}

/** How devices of a plugin's kinds are described. */
export interface DeviceSpecs {
  /**
   * Parses a specification.
   * @param text one text; several arguments of a command line are joined with commas
   * @param kind the kind wanted, one of the manifest's
   * @throws Error with one line that names what is wrong, its value, and what would be accepted. It
   *   may have `offset` and `length`, in UTF-16 units of the text: then the place is pointed at
   */
  parse(text: string, kind: string): DeviceDescription;
  /** What is accepted, for people: one key or form a line. */
  describe(kind: string): readonly string[];
}
