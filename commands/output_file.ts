/** A file that a person has named for what a command makes. */
import { CodedError } from "../core/messages/error.ts";
import { placeOutput } from "../platform/io/place_files.ts";

/** Whoever reads it may be another user. */
const MODE = 0o644;

/**
 * Writes it, whole at any time. Devices, pipes, links and directories are left as they are.
 * @throws CodedError
 */
export function writeOutput(file: string, text: string): void {
  try {
    placeOutput(file, text, MODE);
  } catch (error) {
    throw new CodedError("failed", `cannot write ${file}: ${(error as Error).message}`);
  }
}
