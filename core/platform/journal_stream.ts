/** Whether systemd's journal reads what this process writes. */
import * as fs from "node:fs";

/**
 * Whether a descriptor is the journal's (JOURNAL_STREAM, systemd.exec(5)): the variable alone says
 * nothing of one that was directed elsewhere since.
 */
export function isJournal(fd: 1 | 2): boolean {
  const [, device, inode] = /^(\d+):(\d+)$/.exec(process.env["JOURNAL_STREAM"] ?? "") ?? [];
  if (device === undefined) return false;
  try {
    const { dev, ino } = fs.fstatSync(fd, { bigint: true });
    return String(dev) === device && String(ino) === inode;
  } catch {
    return false;
  }
}
