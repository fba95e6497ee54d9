/** The daemon's log file, kept as libxl keeps its own (tools/libs/light/libxl_utils.c). */
import type { Files } from "../platform/types.ts";

/** Old log files that are kept: `.1` is the newest. */
const KEPT = 10;

/**
 * Makes room for a new log file: the last ten are kept beside it as `.1` … `.10`.
 * @throws SystemError when the directory cannot be made or written
 */
export async function rotateLog(files: Files, path: string): Promise<void> {
  await files.makeDirectory(path.slice(0, path.lastIndexOf("/")) || "/");
  const exists = async (file: string) => {
    try {
      await files.lstat(file);
      return true;
    } catch {
      return false;
    }
  };
  if (!await exists(path)) return;
  for (let number = KEPT - 1; number >= 1; number--) {
    if (await exists(`${path}.${number}`)) {
      await files.rename(`${path}.${number}`, `${path}.${number + 1}`);
    }
  }
  await files.rename(path, `${path}.1`);
}
