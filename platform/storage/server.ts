/**
 * A storage helper: this program as a child that makes the calls which may have to ask storage, one after
 * the other, and may never return from one. It has no lock and no descriptor of the daemon's.
 */
import { readOnce, writeOpen } from "../io/file_calls.ts";
import { nearFiles } from "../io/near_files.ts";
import { openBlockDevices } from "../linux/block_devices.ts";
import { sys } from "../kernel.ts";
import { decodeLine, encodeLine, type StorageCall } from "./frames.ts";

/** Its standard input and output. */
const [CALLS, ANSWERS] = [0, 1];

/** Most of a call that is read at once, in bytes. */
const CHUNK = 4096;

// linux/prctl.h, asm-generic/signal.h, asm-generic/poll.h
const [PR_SET_PDEATHSIG, SIGKILL, POLLHUP] = [1, 9, 0x10];

/**
 * Serves until its standard input ends. When whoever has started it is gone, it begins nothing more, and
 * what it waits for in the kernel is the last it does: the next daemon may be undoing it by then.
 *
 * It waits for a call in the kernel, without the event loop: nothing wakes it but a call.
 */
export async function serveStorage(): Promise<void> {
  const targets: Record<StorageCall["on"], object> = {
    files: nearFiles,
    blocks: openBlockDevices(),
  };
  sys.prctl(PR_SET_PDEATHSIG, SIGKILL);
  const buffer = new Uint8Array(CHUNK);
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  for (let pending = "";;) {
    const length = readOnce(CALLS, buffer);
    if (length === 0) return;
    const lines = (pending + decoder.decode(buffer.subarray(0, length), { stream: true }))
      .split("\n");
    pending = lines.pop()!;
    for (const line of lines) {
      const found = sys.poll(CALLS, 0, 0);
      if (found > 0 && (found & POLLHUP) !== 0) return;
      const { on, call, args } = decodeLine(line) as StorageCall;
      writeOpen(ANSWERS, await answer(targets[on], call, args));
    }
  }
}

async function answer(target: object, call: string, args: readonly unknown[]): Promise<Uint8Array> {
  try {
    const method = (target as Record<string, (...args: unknown[]) => unknown>)[call]!;
    return encodeLine({ value: await method(...args) });
  } catch (error) {
    const { code, message } = error as { code?: string; message: string };
    return encodeLine({ message, ...(code === undefined ? {} : { code }) });
  }
}
