/** Options of `xdevd status` and `xdevd trace`. Only types. */

/** Of both. */
interface CommonOptions {
  readonly runDir: string;
  readonly json?: boolean;
}

export interface StatusOptions extends CommonOptions {
  readonly store?: string;
  readonly watch?: boolean;
  /** A driver domain, by name or domid. */
  readonly domain?: string;
}

export interface TraceOptions extends CommonOptions {
  readonly follow?: boolean;
  /** Where a picture goes. */
  readonly svg?: string;
}
