/** Messages over the Linux driver's `/dev/xen/xenbus` (drivers/xen/xenbus/xenbus_dev_frontend.c). */
import type { MessageDevice } from "../../platform/xen/message_device.ts";
import { ServerError } from "./errors.ts";
import { DEVICE_PAYLOAD_MAX, HEADER_SIZE, opName } from "./operations.ts";
import type { Transport, TransportSink } from "./transport.ts";

/**
 * The driver keeps only the first message of a write, so each goes out alone. And it queues a request
 * without copying its payload out of the buffer that the descriptor's next `write` fills: whoever
 * writes again before the answer is there changes the request that is still under way. Answers then
 * belong to other paths than were asked for, and requests without their NUL kill xenstored 4.17.
 * (Seen with Linux 6.1: of 2,400 reads, 40 at a time, 258 had the wrong answer. An answer proves that
 * the request has been taken.) So there is one request at a time.
 *
 * It turns a refused
 * WATCH into a failing write without any reply, which `send` reports as the operation's error.
 */
export class DeviceTransport implements Transport {
  readonly name: string;
  readonly maxPayload: number = DEVICE_PAYLOAD_MAX;
  readonly ordered = false;
  readonly window: number = 1;
  readonly reconnects = false;
  readonly #device: MessageDevice;

  /** @param name for people: the device's path */
  constructor(device: MessageDevice, name: string) {
    this.#device = device;
    this.name = name;
  }

  start(sink: TransportSink): void {
    this.#device.start(sink);
  }

  send(message: Uint8Array): void {
    try {
      this.#device.write(message);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      const view = new DataView(message.buffer, message.byteOffset, HEADER_SIZE);
      throw new ServerError(
        typeof code === "string" ? code : "EIO",
        opName(view.getUint32(0, true)),
      );
    }
  }

  close(): void {
    this.#device.close();
  }
}
