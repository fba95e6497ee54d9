/** Debian's own xenstored and `block` script, and a real loop device. Needs root and the sources. */
import { systemFiles } from "../../platform/io/files.ts";
import { systemProcesses } from "../../platform/io/child.ts";
import { effectiveUid } from "../../platform/self.ts";
import { CodedError } from "../../core/messages/error.ts";
import type { Machine } from "./machine.ts";

const SCRIPT = "/etc/xen/scripts/block";

/** The part of `test/real/xenstored.ts` that is used. */
interface RealStore {
  socketPath(domid: number): string;
  stop(): Promise<void>;
}

/** @throws CodedError that says what is missing */
export async function realMachine(
  image: string,
  domains: readonly number[],
): Promise<Machine> {
  if (effectiveUid() !== 0) {
    throw new CodedError("failed", "--real needs root, for the loop device");
  }
  for (
    const [file, packageName] of [
      ["/usr/lib/xen-4.17/bin/xenstored", "xen-utils-4.17"],
      [SCRIPT, "xen-utils-common"],
      ["/usr/bin/xenstore-read", "xenstore-utils"],
      ["/usr/include/xenstore.h", "libxen-dev"],
      ["/usr/bin/gcc", "gcc"],
    ] as const
  ) {
    const there = await systemFiles.stat(file).then(() => true, () => false);
    if (!there) {
      throw new CodedError(
        "failed",
        `--real needs ${file}, of Debian's package ${packageName} ` +
          "(npm run setup -- --system installs all it needs)",
      );
    }
  }
  const store = await startStore(domains);
  return {
    description: "real: Debian's xenstored and block script, a loop device",
    socketPath: (domid) => store.socketPath(domid),
    script: SCRIPT,
    daemonOptions: [],
    opensPath: false,
    async dataPath(opened) {
      const [major, minor] = opened.split(":").map((part) => Number.parseInt(part, 16));
      const node = await systemFiles.realPath(`/sys/dev/block/${major}:${minor}`);
      return `/dev/${node.slice(node.lastIndexOf("/") + 1)}`;
    },
    leftovers: async () => {
      const lines: string[] = [];
      const child = await systemProcesses.start({
        argv: ["/bin/sh", "-c", "PATH=/usr/sbin:/usr/bin:/sbin:/bin exec losetup -a"],
        env: {},
        output: (line) => lines.push(line),
      });
      await child.exited;
      return lines.filter((line) => line.includes(image)).map((line) => `losetup -a: ${line}`);
    },
    stop: () => store.stop(),
  };
}

async function startStore(domains: readonly number[]): Promise<RealStore> {
  // Not part of the binary: it compiles and runs what only a test machine needs.
  let start: (options: { domains: readonly number[] }) => Promise<RealStore>;
  try {
    const module = new URL("../../test/real/xenstored.ts", import.meta.url).href;
    start = (await import(module)).startXenstored;
  } catch {
    throw new CodedError(
      "failed",
      "--real works from the source tree only: npm run demo -- --real",
    );
  }
  return await start({ domains });
}
