/** The machine: QEMU by software emulation, without Xen, with Debian's kernel. */
import * as fs from "node:fs";
import { join } from "node:path";
import { command } from "../../../compile/image/command.ts";
import { runEmulator } from "../../support/emulator.ts";
import type { Machine } from "./assemble.ts";

const memoryMb = 1024;
/** It takes seven minutes where nothing else runs: most of that are the scripts of forty guests. */
const limitSeconds = 2400;
const earlyDiskMb = 4;

const kernelOptions = [
  "root=/dev/vda",
  "rw",
  "console=ttyS0",
  "mitigations=off",
  "panic=1",
  "loglevel=5",
];

/**
 * Boots a machine, and waits until it powers itself off.
 * @param directory takes console.log, transcript.log (what checks.sh says) and qemu.log
 * @throws ImageError when QEMU cannot be started
 */
export async function boot(
  machine: Machine,
  directory: string,
  onLine: (line: string) => void,
): Promise<{ text: string; timedOut: boolean }> {
  const transcript = join(directory, "transcript.log");
  const early = join(directory, "early-disk");
  command("truncate", ["-s", `${earlyDiskMb}M`, early]);
  try {
    return await runEmulator({
      directory,
      transcript,
      limitSeconds,
      onLine,
      args: [
        // As in test/xen: time inside counts instructions, and idling costs none. A busy host does not
        // make timeouts run out.
        ...["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max,-smap"],
        ...["-icount", "shift=0,sleep=off", "-smp", "1", "-m", String(memoryMb)],
        ...["-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot"],
        // By this systemd tells a guest of Xen (ConditionVirtualization=xen).
        ...["-smbios", "type=1,manufacturer=Xen"],
        ...["-serial", `file:${join(directory, "console.log")}`, "-serial", `file:${transcript}`],
        ...["-drive", `file=${machine.disk},format=raw,if=virtio,cache=unsafe`],
        ...["-drive", `file=${early},format=raw,if=virtio`],
        ...["-kernel", machine.kernel, "-initrd", machine.initramfs],
        ...["-append", kernelOptions.join(" ")],
      ],
    });
  } finally {
    fs.rmSync(early);
  }
}
