/** Store clients for tests. */
import { openTransport } from "../../machine/connect.ts";
import { systemClock } from "../../platform/clock.ts";
import { type ClientOptions, StoreClient } from "../../core/xenstore/client.ts";

/** A client on a socket. */
export function connectTo(
  path: string,
  options: Partial<Omit<ClientOptions, "connect">> = {},
): Promise<StoreClient> {
  return StoreClient.connect({
    ...options,
    clock: systemClock,
    connect: () => openTransport({ kind: "socket", path }),
  });
}
