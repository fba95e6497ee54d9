/** Whether something has a path. */
import type { Files } from "../platform/types.ts";

/** @throws SystemError when nobody can tell */
export async function isThere(files: Pick<Files, "stat">, path: string): Promise<boolean> {
  try {
    await files.stat(path);
    return true;
  } catch (error) {
    const { code } = error as { code?: string };
    if (code === "ENOENT" || code === "ENOTDIR") return false;
    throw error;
  }
}
