/** Store clients for tests. */
import { openTransport } from "../../core/cli/connect.ts";
import { systemClock } from "../../core/platform/clock.ts";
import { StoreClient } from "../../core/xenstore/client.ts";

/** A client on a socket. */
export function connectTo(path: string): Promise<StoreClient> {
  return StoreClient.connect({
    clock: systemClock,
    connect: () => openTransport({ kind: "socket", path }),
  });
}
