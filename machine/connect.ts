/** From the command line to a connected store client. */
import { systemClock } from "../platform/clock.ts";
import { systemFiles } from "../platform/io/files.ts";
import { environment } from "../platform/self.ts";
import { connectStream } from "../platform/io/stream.ts";
import { type ClientOptions, StoreClient } from "../core/xenstore/client.ts";
import { DeviceTransport } from "../core/xenstore/device_transport.ts";
import { ConnectionError, StoreError } from "../core/xenstore/errors.ts";
import { locateStore, type StoreLocation } from "../core/xenstore/locate.ts";
import { openSocket } from "../core/xenstore/open_socket.ts";
import type { Transport } from "../core/xenstore/transport.ts";
import { CodedError } from "../core/messages/error.ts";

/** A connected client, and where its store is. */
export interface Connected {
  readonly store: StoreClient;
  readonly location: StoreLocation;
}

/**
 * Finds the store and connects to it.
 * @param path the one place to look at; default: where libxenstore looks
 * @throws CodedError (exit code 3) that says where it looked and what happened
 */
export async function connectStore(
  path: string | undefined,
  options: Omit<ClientOptions, "connect" | "clock"> = {},
): Promise<Connected> {
  try {
    const location = await locateStore(systemFiles, {
      XENSTORED_PATH: environment("XENSTORED_PATH"),
      XENSTORED_RUNDIR: environment("XENSTORED_RUNDIR"),
    }, path);
    const store = await StoreClient.connect({
      ...options,
      clock: systemClock,
      connect: () => openTransport(location, options.reconnect === true),
    });
    return { store, location };
  } catch (error) {
    if (error instanceof StoreError) {
      const { code } = error as { code?: string };
      const denied = code === "EACCES" || code === "EPERM";
      throw new CodedError(denied ? "not-permitted" : "store-unreachable", error.message);
    }
    throw error;
  }
}

/**
 * Opens the way to a store.
 * @param forLong whether it is worth some preparation: nothing wakes the process while the store is
 *   silent, and answers are waited for in the way that takes least
 * @throws ConnectionError
 */
export async function openTransport(location: StoreLocation, forLong = false): Promise<Transport> {
  const { kind, path } = location;
  if (kind === "device") {
    try {
      const { openMessageDevice } = await import("../platform/xen/message_device.ts");
      const awaitReadable = forLong
        ? (await import("../platform/io/await_readable.ts")).awaitReadable
        : undefined;
      return new DeviceTransport(openMessageDevice(path, awaitReadable), path);
    } catch (error) {
      throw explained(path, error);
    }
  }
  try {
    return await openSocket(path, { clock: systemClock, connect: connectStream });
  } catch (error) {
    throw explained(path, error);
  }
}

function explained(path: string, error: unknown): ConnectionError {
  const { code, message } = error as { code?: string; message: string };
  const why = code === "ECONNREFUSED"
    ? "nobody listens on this socket; is xenstored running?"
    : code === "EACCES" || code === "EPERM"
    ? "permission denied; are you root?"
    : code === "ENOENT"
    ? "it does not exist"
    : code === "ENODEV" || code === "ENXIO"
    ? "this domain has no store connection"
    : message;
  return new ConnectionError(`cannot connect to the store at ${path}: ${why}`, code);
}
