/** The machine: Xen in qemu-system-x86_64 by software emulation, with a limit in time. */
import { spawn } from "node:child_process";
import * as fs from "node:fs";
import { join } from "node:path";
import type { Images } from "./images.ts";
import { LabError } from "./lab_error.ts";

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

// Its file system holds the other domains', and is there twice while it is unpacked.
const dom0Memory = 2048;
const pollMs = 200;

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
 * @throws LabError when QEMU cannot be started or the time is up; the logs are there all the same
 */
export async function runMachine(machine: Machine): Promise<{ text: string; timedOut: boolean }> {
  const log = (name: string) => join(machine.directory, name);
  const transcript = log("transcript.log");
  fs.writeFileSync(transcript, "");
  const qemuLog = fs.openSync(log("qemu.log"), "w");
  const child = spawn("qemu-system-x86_64", [
    // Time inside counts instructions (1 ns each) and skips idling: however busy this machine is, the
    // toolstack's limits of 10 s hold, and what is measured can be compared. It takes one processor.
    ...["-machine", "q35", "-accel", "tcg,thread=single", "-cpu", "max,-smap"],
    ...["-icount", "shift=0,sleep=off", "-smp", "1", "-m", String(machine.memory)],
    ...["-nodefaults", "-display", "none", "-monitor", "none", "-no-reboot"],
    ...["-serial", `file:${log("console.log")}`, "-serial", `file:${transcript}`],
    ...["-kernel", machine.images.hypervisor, "-append", xenOptions.join(" ")],
    ...["-initrd", `${machine.images.kernel} ${dom0Options.join(" ")},${machine.initrd}`],
  ], { stdio: ["ignore", qemuLog, qemuLog] });
  fs.closeSync(qemuLog);
  const stop = () => child.kill("SIGKILL");
  const interrupted = () => {
    stop();
    process.exit(130);
  };
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, interrupted);
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    stop();
  }, machine.limitSeconds * 1000);
  const lines = followLines(transcript, machine.onLine);
  const poll = setInterval(lines.poll, pollMs);
  try {
    await new Promise<void>((resolve, reject) => {
      child.once("error", (error) => reject(new LabError(`qemu-system-x86_64: ${error.message}`)));
      child.once("exit", () => resolve());
    });
  } finally {
    clearInterval(poll);
    clearTimeout(timer);
    for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.off(signal, interrupted);
  }
  lines.poll();
  return { text: fs.readFileSync(transcript, "utf8"), timedOut };
}

/** Hands over the complete lines that were added to a file since the last look. */
function followLines(file: string, onLine: (line: string) => void): { poll: () => void } {
  let seen = 0;
  const poll = () => {
    const text = fs.readFileSync(file, "utf8");
    const end = text.lastIndexOf("\n") + 1;
    if (end <= seen) return;
    for (const line of text.slice(seen, end - 1).split("\n")) onLine(line);
    seen = end;
  };
  return { poll };
}
