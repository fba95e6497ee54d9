import type { BlockDevices } from "../../contract/v1/block.ts";
import type { Files } from "../types.ts";

/**
 * Calls that may have to ask storage, which may not answer: the process goes on meanwhile. Each runtime
 * brings them.
 */
export interface Far {
  readonly files: Files;
  /** open(2), close-on-exec: the descriptor. @throws SystemError */
  open(path: string, flags: number): Promise<number>;
  /** Block devices, by somebody else; null: this process makes the calls, and opens by `open`. */
  readonly blocks: BlockDevices | null;
}
