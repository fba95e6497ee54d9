/**
 * A storage helper: this program as a child that makes the calls which may have to ask storage, one after
 * the other, and may never return from one. It has no lock and no descriptor of the daemon's.
 */
import { openBlockDevices } from "../linux/block_devices.ts";
import { chunksOf } from "../io/descriptor.ts";
import { writeOpen } from "../io/file_calls.ts";
import { nearFiles } from "../io/near_files.ts";
import { sources } from "../runtime.ts";
import { decodeLine, encodeLine, linesOf, type StorageCall } from "./frames.ts";

/** Its standard output. */
const ANSWERS = 1;

/** Serves until its standard input ends. */
export async function serveStorage(): Promise<void> {
  const blocks = openBlockDevices();
  const targets: Record<StorageCall["on"], object> = { files: nearFiles, blocks };
  for await (const line of linesOf(chunksOf(sources.openReader(0)))) {
    const { on, call, args } = decodeLine(line) as StorageCall;
    const target = targets[on] as Record<string, (...args: unknown[]) => Promise<unknown>>;
    let bytes: Uint8Array;
    try {
      bytes = encodeLine({ value: await target[call]!(...args) });
    } catch (error) {
      const { code, message } = error as { code?: string; message: string };
      bytes = encodeLine({ message, ...(code === undefined ? {} : { code }) });
    }
    writeOpen(ANSWERS, bytes);
  }
}
