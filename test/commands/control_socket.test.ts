/** The daemon's socket, and who speaks to it without manners. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ControlSocket, openControlSocket } from "../../commands/devd/control_socket.ts";
import {
  CONTROL_SOCKET,
  encodeMessage,
  INTERFACE,
  MESSAGE_MAX,
} from "../../core/daemon/control/messages.ts";
import { connectStream } from "../../platform/io/stream.ts";
import { until } from "../support/daemon_process.ts";

let directory: string;
let control: ControlSocket;
const path = () => join(directory, CONTROL_SOCKET);
const isThere = () => fs.access(path()).then(() => true, () => false);

beforeEach(async () => {
  directory = await fs.mkdtemp(join(tmpdir(), "xdevd-control-"));
  control = openControlSocket(directory, { giveUp: (name) => `${name}: given up` });
  await until(isThere, () => "there is no socket");
});

afterEach(async () => {
  control.close();
  await fs.rm(directory, { recursive: true, force: true });
});

/** What comes until the other end closes. */
async function conversation(...messages: Uint8Array[]): Promise<string> {
  const stream = await connectStream(path());
  for (const message of messages) stream.write(message);
  // It does not read while it writes.
  if (messages.length > 1) {
    await until(() => stream.queued === 0, () => "", 2_000).catch(() => {});
  }
  const decoder = new TextDecoder();
  let text = "";
  const { promise, resolve } = Promise.withResolvers<string>();
  stream.start({
    data: (chunk) => void (text += decoder.decode(chunk, { stream: true })),
    closed: () => resolve(text),
  });
  return await promise;
}

const call = encodeMessage({ method: `${INTERFACE}.GiveUp`, parameters: { device: "vbd/7/1" } });
const nonsense = new TextEncoder().encode("nonsense\0");

describe("the control socket", () => {
  test("what came complete is answered, though nonsense follows at once", async () => {
    const text = await conversation(new Uint8Array([...call, ...nonsense]));
    expect(text).toBe('{"parameters":{"said":"vbd/7/1: given up"}}\0');
  });

  test(
    "who asks and does not read is left, and has no more kept for it than a little",
    async () => {
      const big = encodeMessage({ method: "x".repeat(MESSAGE_MAX - 100), parameters: {} });
      const text = await conversation(...Array.from({ length: 300 }, () => big));
      expect(text.length).toBeLessThan(100 * MESSAGE_MAX);
    },
    60_000,
  );

  test("its file goes with it", async () => {
    control.close();
    await until(async () => !await isThere(), () => "its file is still there");
  });
});
