/** What the cases of the conformance suite work with. */
import type { ByteStream } from "../../platform/types.ts";
import type { RawConnection } from "./raw_connection.ts";

/** A server, and the domains around it. */
export interface ServerUnderTest {
  socketPath(domid: number): string;
  /** Another way than the socket, if there is one and it is what is to be tested. */
  connect?(domid: number): ByteStream;
  introduce(domid: number): Promise<void>;
  shutdown(domid: number): Promise<void>;
  destroy(domid: number): Promise<void>;
  stop(): Promise<void>;
}

/** What the cases work with. */
export interface Bench {
  readonly server: ServerUnderTest;
  /** A new connection as a domain; closed when the test ends. */
  open(domid?: number): Promise<RawConnection>;
  /** A directory of the test's own, existing and empty, owned by domain 0. */
  directory(): Promise<string>;
  /** A new domain, introduced, that owns its `/local/domain/N`. */
  domain(): Promise<number>;
}
