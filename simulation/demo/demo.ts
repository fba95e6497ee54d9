/** `xdevd demo`: a disk for a guest, from attach to detach, with everybody's part shown. */
import { openTransport } from "../../machine/connect.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { backendPath, type DeviceId, frontendPath } from "../../core/xen/device_id.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { PHASE_WORDS, phaseNamed } from "../../core/lifecycle/phase_words.ts";
import type { Phase } from "../../core/lifecycle/state.ts";
import { makeTemporaryDirectory } from "../../platform/io/place_files.ts";
import { systemProcesses } from "../../platform/io/child.ts";
import { printTo, selfCommand } from "../../platform/self.ts";
import { takesColour } from "../../platform/io/terminal.ts";
import type { Child } from "../../platform/types.ts";
import { createDomainHome } from "../domains.ts";
import { SimulatedFrontend } from "../frontend.ts";
import { SimulatedKernel } from "../kernel.ts";
import { diskSpec, SimulatedToolstack } from "../toolstack.ts";
import { StoreClient } from "../../core/xenstore/client.ts";
import { type Machine, simulatedMachine } from "./machine.ts";
import { Timeline } from "./timeline.ts";

const DRIVER = 1;
const GUEST = 7;

/** `xvda` as a number (docs/man/xen-vbd-interface.7). */
const XVDA = 51712;

const DISK: DeviceId = { backendDomid: DRIVER, kind: "vbd", frontendDomid: GUEST, devid: XVDA };

/** Size of the image, in bytes, and of the part of it that the guest reads. */
const IMAGE_SIZE = 1024 * 1024;
const SAMPLE_SIZE = 4096;

/** No step takes longer, in ms. */
const PATIENCE_MS = 30_000;

/** Runs the demonstration. @throws CodedError when something was not as it should be */
export async function demo(options: { real?: boolean }): Promise<number> {
  const directory = makeTemporaryDirectory("xdevd-demo-");
  const image = `${directory}/disk.img`;
  const content = randomText(IMAGE_SIZE);
  await systemFiles.writeText(image, content, 0o600);
  let machine: Machine | null = null;
  try {
    if (options.real) {
      const { realMachine } = await import("./real_machine.ts");
      machine = await realMachine(image, [DRIVER, GUEST]);
    } else machine = await simulatedMachine(directory, [DRIVER, GUEST]);
    await play(machine, directory, image, content.slice(0, SAMPLE_SIZE));
    return ExitCode.Success;
  } finally {
    await machine?.stop();
    await systemFiles.remove(directory);
  }
}

async function play(
  machine: Machine,
  directory: string,
  image: string,
  sample: string,
): Promise<void> {
  const print = (line: string) => printTo(1, line);
  print(
    `A disk for guest ${GUEST}, served by driver domain ${DRIVER} (${machine.description})\n\n`,
  );
  const timeline = new Timeline(systemClock, print, takesColour(1));
  const connect = (domid: number, who: string) =>
    StoreClient.connect({
      clock: systemClock,
      connect: async () => {
        const path = machine.socketPath(domid);
        return timeline.claim(await openTransport({ kind: "socket", path }), who);
      },
    });
  const dom0 = await connect(0, "toolstack");
  const driver = await connect(DRIVER, "kernel");
  const guest = await connect(GUEST, "guest");
  await createDomainHome(dom0, { domid: DRIVER, name: "driver", driverDomain: true });
  await createDomainHome(dom0, { domid: GUEST, name: "guest" });
  const kernel = new SimulatedKernel(driver, DRIVER, systemClock, {
    pathInPlaceOfNumber: machine.opensPath,
  });
  await kernel.start();
  const daemon = await startDaemon(machine, directory, timeline);
  try {
    await timeline.follow(dom0, backendPath(DISK), "backend");
    await timeline.follow(dom0, frontendPath(DISK, "vbd"), "frontend");

    const toolstack = new SimulatedToolstack(dom0);
    const disk = diskSpec(DISK, { target: image, script: machine.script, vdev: "xvda" });
    const attachStart = timeline.elapsed;
    await toolstack.create(disk);
    const frontend = new SimulatedFrontend(guest, { domid: GUEST, kind: "vbd", devid: XVDA });
    await frontend.start();
    await toolstack.waitForBackend(DISK);
    await frontend.connected(PATIENCE_MS);
    // The guest may be through before the script has ended.
    await daemon.reaches("connected");
    const attached = timeline.elapsed - attachStart;

    const opened = kernel.opened(DISK);
    check(opened !== null, "the guest is connected, but the backend has opened nothing");
    const data = await systemFiles.readAt(await machine.dataPath(opened), 0, SAMPLE_SIZE);
    check(
      new TextDecoder().decode(data) === sample,
      "the guest reads other bytes than the image's",
    );
    timeline.line("guest", `reads ${SAMPLE_SIZE} bytes through ${opened}: the image's own`);

    const detachStart = timeline.elapsed;
    await toolstack.remove(disk);
    const detached = timeline.elapsed - detachStart;
    await daemon.reaches("absent");
    await frontend.stop();
    await timeline.stop();

    const left = await machine.leftovers();
    for (const path of [backendPath(DISK), frontendPath(DISK, "vbd")]) {
      if (await dom0.exists(path)) left.push(`${path} is still there`);
    }
    check(left.length === 0, `left behind: ${left.join("; ")}`);
    timeline.line("demo", "nothing is left: no backend, no frontend, nothing of the script's");
    await stopDaemon(daemon);
    print(`\nattached in ${attached.toFixed(0)} ms, detached in ${detached.toFixed(0)} ms\n`);
    print(
      "`xdevd sandbox` makes such a driver domain to try commands in, such as `xdevd status`\n",
    );
  } finally {
    daemon.child.signalGroup("SIGKILL");
    await kernel.stop();
    for (const client of [dom0, driver, guest]) client.close();
  }
}

interface DaemonRun {
  readonly child: Child;
  /** Waits until the disk is in a phase of its life, for the daemon. @throws CodedError */
  reaches(phase: Phase): Promise<void>;
}

/** A line by which the daemon tells, at level `debug`, of a change of phase. */
const CHANGE = /^(.*: )\S+: \S+ → (\S+)$/;

/** Starts the daemon as a process of its own, as a driver domain would, and waits until it serves. */
async function startDaemon(
  machine: Machine,
  directory: string,
  timeline: Timeline,
): Promise<DaemonRun> {
  const log: string[] = [];
  const serving = Promise.withResolvers<void>();
  let phase: Phase | undefined;
  let onPhase = () => {};
  const child = await systemProcesses.start({
    argv: [
      ...selfCommand(),
      ...["devd", "-F", "--log-level", "debug", "--run-dir", `${directory}/run`],
      ...["--store", machine.socketPath(DRIVER), ...machine.daemonOptions],
    ],
    env: {},
    output(line) {
      log.push(line);
      const text = line.replace(/^\S+ \S+ +/, "");
      if (text.startsWith("serving")) serving.resolve();
      const [, name, to = ""] = CHANGE.exec(text) ?? [];
      phase = phaseNamed(to) ?? phase;
      timeline.line(
        "daemon",
        name === undefined || phase === undefined
          ? text.replace(/^serving (domain \d+) .*/, "serves $1")
          : name + PHASE_WORDS[phase],
      );
      onPhase();
    },
  });
  const failure = child.exited.then(() => {
    throw new CodedError("failed", `the daemon ended: ${log.at(-1) ?? "it said nothing"}`);
  });
  failure.catch(() => {});
  await Promise.race([serving.promise, failure]);
  const reaches = (wanted: Phase): Promise<void> => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const cancel = systemClock.after(PATIENCE_MS, () => {
      const now = phase === undefined ? "it knows no disk" : PHASE_WORDS[phase];
      reject(
        new CodedError(
          "failed",
          `the demonstration failed: the daemon did not come to "${PHASE_WORDS[wanted]}" in ` +
            `${PATIENCE_MS / 1000} s; last: "${now}"`,
        ),
      );
    });
    onPhase = () => {
      if (phase === wanted) resolve();
    };
    onPhase();
    return Promise.race([promise, failure]).finally(cancel);
  };
  return { child, reaches };
}

async function stopDaemon({ child }: DaemonRun): Promise<void> {
  child.signalGroup("SIGTERM");
  const { code, signal } = await child.exited;
  check(code === 0, `the daemon ended with ${signal ?? `status ${code}`}`);
}

function check(condition: boolean, otherwise: string): asserts condition {
  if (!condition) throw new CodedError("failed", `the demonstration failed: ${otherwise}`);
}

/** Text, so that what is read back is easy to compare; different each time. */
function randomText(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(1024));
  const line = Array.from(bytes, (byte) => String.fromCharCode(33 + byte % 90)).join("");
  return line.repeat(length / line.length);
}
