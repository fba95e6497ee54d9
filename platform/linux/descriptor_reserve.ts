/** Whether this process has descriptors left to begin anything with. */
import { sys } from "../kernel.ts";
import { closeFile } from "../io/file_calls.ts";

// asm-generic/fcntl.h, asm-generic/errno-base.h
const F_DUPFD_CLOEXEC = 1030;
const EMFILE = 24;

/** What setting up one device takes: pipes of a script, and what it reads. */
const NEEDED = 8;

/** What is kept besides, so that undoing always finds some. */
const RESERVE = 8;

/** Whether fewer descriptors are left than a setup takes with what undoing may need beside it. */
export function lacksDescriptors(): boolean {
  const taken: number[] = [];
  try {
    while (taken.length < NEEDED + RESERVE) {
      const fd = sys.fcntl(0, F_DUPFD_CLOEXEC, 0);
      if (fd === -EMFILE) return true;
      // Nothing can be told by a standard input that is closed.
      if (fd < 0) return false;
      taken.push(fd);
    }
    return false;
  } finally {
    for (const fd of taken) closeFile(fd);
  }
}
