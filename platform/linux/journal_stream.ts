/** Whether systemd's journal reads what this process writes. */
import { openStatus } from "../io/file_calls.ts";
import { program } from "../runtime.ts";

/**
 * Whether a descriptor is the journal's (JOURNAL_STREAM, systemd.exec(5)): the variable alone says
 * nothing of one that was directed elsewhere since.
 */
export function isJournal(fd: 1 | 2): boolean {
  const told = program.environment["JOURNAL_STREAM"] ?? "";
  const [, device, inode] = /^(\d+):(\d+)$/.exec(told) ?? [];
  if (device === undefined) return false;
  try {
    const { dev, ino } = openStatus(fd);
    return String(dev) === device && String(ino) === inode;
  } catch {
    return false;
  }
}
