/** The machine: Xen in qemu-system-x86_64 by software emulation, with a limit in time. */
import { join } from "node:path";
import type { Images } from "./images.ts";
import { runEmulator } from "../../support/emulator.ts";

/** A machine to boot. */
export interface Machine {
  readonly images: Images;
  readonly initrd: string;
  readonly memory: number;
  readonly limitSeconds: number;
  /** Takes console.log (Xen and dom0's kernel), transcript.log (what dom0 runs) and qemu.log. */
  readonly directory: string;
  /** Called for each line of the transcript while it runs. */
  readonly onLine: (line: string) => void;
}

// With what is left out, guests oops, or those with hardware support (PVH) do not start.
const processor = "max,-smap,-rdtscp";

// Its file system holds the other domains', and is there twice while it is unpacked.
const dom0Memory = 2048;

// Nothing in here is exposed, and each mitigation costs emulated instructions.
const xenOptions = [
  "console=com1",
  "com1=115200,8n1",
  `dom0_mem=${dom0Memory}M,max:${dom0Memory}M`,
  "dom0_max_vcpus=1",
  "loglvl=warning",
  "guest_loglvl=none",
  "spec-ctrl=no,eager-fpu=1",
  "xpti=no",
];
const dom0Options = ["console=hvc0", "loglevel=4", "mitigations=off", "panic=1"];

/**
 * Runs the machine until it powers itself off.
 * @returns the transcript
 * @throws ImageError when QEMU cannot be started
 */
export function runMachine(machine: Machine): Promise<{ text: string; timedOut: boolean }> {
  const log = (name: string) => join(machine.directory, name);
  const transcript = log("transcript.log");
  return runEmulator({
    transcript,
    directory: machine.directory,
    limitSeconds: machine.limitSeconds,
    onLine: machine.onLine,
    args: [
      // Time inside counts instructions (1 ns each) and skips idling: however busy this machine is, the
      // toolstack's limits of 10 s hold, and what is measured can be compared. It takes one processor.
      ...["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", processor],
      ...["-icount", "shift=0,sleep=off", "-smp", "1", "-m", String(machine.memory)],
      ...["-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot"],
      ...["-serial", `file:${log("console.log")}`, "-serial", `file:${transcript}`],
      ...["-kernel", machine.images.hypervisor, "-append", xenOptions.join(" ")],
      ...["-initrd", `${machine.images.kernel} ${dom0Options.join(" ")},${machine.initrd}`],
    ],
  });
}
