/** Finding and connecting to the store, for programs that end soon. */
import { systemClock } from "../../../platform/clock.ts";
import { environment } from "../../../platform/self.ts";
import { connectStream } from "../../../platform/io/stream.ts";
import { StoreClient } from "../../../core/xenstore/client.ts";
import { storeCandidates } from "../../../core/xenstore/locate.ts";
import { openSocket } from "../../../core/xenstore/open_socket.ts";
import type { Transport } from "../../../core/xenstore/transport.ts";
import { ToolFailure, words } from "./failure.ts";

/**
 * Connects to the first of the places where a store can be that answers, as libxenstore has it.
 * @param lost told when the store goes away
 * @throws ToolFailure
 */
export async function openStore(lost: (error: Error) => void): Promise<StoreClient> {
  let last: unknown;
  for (
    const path of storeCandidates({
      XENSTORED_PATH: environment("XENSTORED_PATH"),
      XENSTORED_RUNDIR: environment("XENSTORED_RUNDIR"),
    })
  ) {
    try {
      return await StoreClient.connect({
        clock: systemClock,
        connect: () => openAt(path),
        onConnection: (_, error) => lost(error ?? new Error("the store went away")),
      });
    } catch (error) {
      last = error;
    }
  }
  throw new ToolFailure(`xs_open: ${words(last)}\n`);
}

/** What is no socket refuses as one does that nobody listens on; only then it is worth a look. */
async function openAt(path: string): Promise<Transport> {
  let isDevice = false;
  try {
    return await openSocket(path, {
      clock: systemClock,
      connect: connectStream,
      async isSocket() {
        isDevice = !await isSocket(path);
        return !isDevice;
      },
    });
  } catch (error) {
    if (isDevice) return await openDevice(path);
    throw error;
  }
}

async function isSocket(path: string): Promise<boolean> {
  const { systemFiles } = await import("../../../platform/io/files.ts");
  return (await systemFiles.stat(path)).kind === "socket";
}

async function openDevice(path: string): Promise<Transport> {
  const { openMessageDevice } = await import("../../../platform/xen/message_device.ts");
  const { DeviceTransport } = await import("../../../core/xenstore/device_transport.ts");
  return new DeviceTransport(openMessageDevice(path), path);
}
