/**
 * `xdevd sandbox`: a driver domain with its daemon, and guests, to try commands in. Store, kernel and guests
 * are simulated: no Xen, no root.
 */
import { CodedError, ExitCode } from "../../core/messages/error.ts";
import { printable } from "../../core/log/log.ts";
import { backendPath, type DeviceId } from "../../core/xen/device_id.ts";
import { StoreClient } from "../../core/xenstore/client.ts";
import { openTransport } from "../../machine/connect.ts";
import { systemClock } from "../../platform/clock.ts";
import { systemProcesses } from "../../platform/io/child.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { makeTemporaryDirectory } from "../../platform/io/place_files.ts";
import { onSignals, printIfRoom, printTo, selfCommand } from "../../platform/self.ts";
import type { Child } from "../../platform/types.ts";
import { type Machine, quotedWord, simulatedMachine } from "../demo/machine.ts";
import { createDomain0, createDomainHome } from "../domains.ts";
import { SimulatedGuest } from "../guest.ts";
import { SimulatedKernel } from "../kernel.ts";
import { diskSpec, SimulatedToolstack } from "../toolstack.ts";
import vifBridge from "./vif-bridge" with { type: "text" };

/** The domains: the driver domain, and its guests. */
const DRIVER = { domid: 1, name: "storage" } as const;
const GUESTS = [{ domid: 7, name: "web" }, { domid: 8, name: "db" }] as const;

/** xvda as a number (docs/man/xen-vbd-interface.7). */
const XVDA = 51712;

/** Size of an image, in bytes. */
const IMAGE_SIZE = 1024 * 1024;

/** No step of the start takes longer, in ms. */
const PATIENCE_MS = 30_000;

/** How long a daemon that has ended stays away, in ms: as long as with systemd (RestartSec=). */
const RESTART_MS = 1_000;

/** What ends a sandbox. */
type Undo = () => unknown;

/** It is told to end. */
class Told extends Error {}

/** Runs it until it is told to end. @throws CodedError when it cannot be started */
export async function sandbox(): Promise<number> {
  const told = Promise.withResolvers<never>();
  told.promise.catch(() => {});
  const end = () => told.reject(new Told());
  // The terminal may go, too.
  const ignore = onSignals({ SIGINT: end, SIGTERM: end, SIGHUP: end });
  const undo: Undo[] = [];
  const unlessTold: UnlessTold = (work) => {
    work.catch(() => {});
    return Promise.race([work, told.promise]);
  };
  try {
    await start(undo, unlessTold);
    return await told.promise;
  } catch (error) {
    if (error instanceof Told) return ExitCode.Success;
    throw error;
  } finally {
    for (const one of undo.reverse()) await one();
    ignore();
  }
}

/** What takes longer than a moment. @throws Told */
type UnlessTold = <T>(work: Promise<T>) => Promise<T>;

async function start(undo: Undo[], unlessTold: UnlessTold): Promise<void> {
  const directory = makeTemporaryDirectory("xdevd-sandbox-");
  undo.push(() => systemFiles.remove(directory));
  const domids = [DRIVER, ...GUESTS].map(({ domid }) => domid);
  const machine = await simulatedMachine(directory, domids);
  undo.push(() => machine.stop());
  const scripts = machine.script.slice(0, machine.script.lastIndexOf("/"));
  // By the names that the toolstack uses when none is given.
  await systemFiles.writeText(
    `${scripts}/block`,
    await systemFiles.readText(machine.script),
    0o755,
  );
  await systemFiles.writeText(`${scripts}/vif-bridge`, vifBridge, 0o755);
  const connect = async (domid: number) => {
    const path = machine.socketPath(domid);
    const client = await StoreClient.connect({
      clock: systemClock,
      connect: () => openTransport({ kind: "socket", path }),
    });
    undo.push(() => client.close());
    return client;
  };
  const dom0 = await connect(0);
  await createDomain0(dom0);
  await createDomainHome(dom0, { ...DRIVER, driverDomain: true });
  for (const guest of GUESTS) {
    await createDomainHome(dom0, guest);
    const simulated = new SimulatedGuest(await connect(guest.domid), guest.domid);
    await simulated.start();
    undo.push(() => simulated.stop());
  }
  const kernel = new SimulatedKernel(await connect(DRIVER.domid), DRIVER.domid, systemClock, {
    pathInPlaceOfNumber: true,
  });
  await kernel.start();
  undo.push(() => kernel.stop());
  await writeLaunchers(machine, directory, scripts);
  const says = keepDaemon(machine, directory, undo);
  await unlessTold(says(/ serving domain /));
  await unlessTold(Promise.all([
    // Of the disk that is missing: it was undone.
    says(/\/8\/51728\b.* → failed$/),
    attachSome(dom0, directory, `${scripts}/block`),
  ]));
  printTo(1, introduction(directory));
}

/** Two programs that are xdevd as it would be called in domain 0, and in the driver domain. */
async function writeLaunchers(machine: Machine, directory: string, scripts: string): Promise<void> {
  const self = selfCommand().map(quotedWord).join(" ");
  const launcher = (domid: number, cases: string) =>
    `#!/bin/sh\nXENSTORED_PATH=${quotedWord(machine.socketPath(domid))}\nexport XENSTORED_PATH\n` +
    `case \${1-} in\n${cases}esac\nexec ${self} "$@"\n`;
  const run = `--run-dir ${quotedWord(`${directory}/run`)}`;
  const own = `--scripts ${quotedWord(scripts)}`;
  const path = `--script-path ${quotedWord(machine.daemonOptions.at(-1)!)}`;
  await systemFiles.writeText(
    `${directory}/dom0`,
    launcher(0, `attach | *-attach | detach | *-detach) set -- "$@" ${own} ;;\n`),
    0o755,
  );
  await systemFiles.writeText(
    `${directory}/${DRIVER.name}`,
    launcher(
      DRIVER.domid,
      `doctor) set -- "$@" ${run} ${own} ${path} ;;\n` +
        `status | trace | metrics | retry | give-up) set -- "$@" ${run} ;;\n`,
    ),
    0o755,
  );
}

/** Is told a daemon's lines, those for its makers, too. */
type Heard = (text: string) => void;

/**
 * Starts the daemon, and another one whenever it has ended, as a service manager would.
 * @returns waits for what they say from then on
 */
function keepDaemon(
  machine: Machine,
  directory: string,
  undo: Undo[],
): (wanted: RegExp) => Promise<void> {
  const listeners = new Set<Heard>();
  const says = async (wanted: RegExp) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const hear = (text: string) => wanted.test(text) && resolve();
    const cancel = systemClock.after(PATIENCE_MS, () => {
      reject(
        new CodedError("failed", `the daemon did not say ${wanted} in ${PATIENCE_MS / 1000} s`),
      );
    });
    listeners.add(hear);
    await Promise.race([promise, failed.promise]).finally(() => {
      cancel();
      listeners.delete(hear);
    });
  };
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => {});
  const hear: Heard = (text) => {
    for (const one of listeners) one(text);
  };
  let [child, isEnding]: [Child | null, boolean] = [null, false];
  const keep = async () => {
    while (!isEnding) {
      child = await startDaemon(machine, directory, hear);
      const { code, signal } = await child.exited;
      child = null;
      if (isEnding) return;
      printIfRoom(1, `the daemon ended with ${signal ?? `status ${code}`}; it is started again\n`);
      await new Promise<void>((resolve) => systemClock.after(RESTART_MS, resolve));
    }
  };
  const kept = keep();
  kept.catch(failed.reject);
  undo.push(async () => {
    isEnding = true;
    child?.signalGroup("SIGTERM");
    const cancel = systemClock.after(PATIENCE_MS, () => child?.signalGroup("SIGKILL"));
    await kept.catch(() => {});
    cancel();
  });
  return says;
}

function startDaemon(machine: Machine, directory: string, hear: Heard): Promise<Child> {
  return systemProcesses.start({
    argv: [
      ...selfCommand(),
      ...["devd", "-F", "--log-level", "debug", "--run-dir", `${directory}/run`],
      ...["--store", machine.socketPath(DRIVER.domid), ...machine.daemonOptions],
    ],
    env: {},
    output(line) {
      const text = line.replace(/^\S+ /, "");
      if (!text.startsWith("debug")) printIfRoom(1, `${DRIVER.name} | ${printable(text)}\n`);
      hear(text);
    },
  });
}

/** Devices to look at: two that work, and one that does not. */
async function attachSome(dom0: StoreClient, directory: string, script: string): Promise<void> {
  const toolstack = new SimulatedToolstack(dom0);
  const images = ["web", "db", "spare"].map((name) => `${directory}/${name}.img`);
  for (const image of images) await systemFiles.writeText(image, "x".repeat(IMAGE_SIZE), 0o600);
  const [web, db] = GUESTS;
  const disk = (domid: number, devid: number, vdev: string, target: string) => {
    const id: DeviceId = { backendDomid: DRIVER.domid, kind: "vbd", frontendDomid: domid, devid };
    return diskSpec(id, { target, script, vdev });
  };
  const sound = [
    disk(web.domid, XVDA, "xvda", images[0]!),
    disk(db.domid, XVDA, "xvda", images[1]!),
  ];
  const missing = disk(db.domid, XVDA + 16, "xvdb", `${directory}/missing.img`);
  for (const spec of [...sound, missing]) await toolstack.create(spec);
  for (const { id } of sound) {
    await dom0.waitUntil(`${backendPath(id)}/state`, (state) => state === "4", {
      timeoutMs: PATIENCE_MS,
    });
  }
}

function introduction(directory: string): string {
  const [web, db] = GUESTS;
  const storage = `${directory}/${DRIVER.name}`;
  return `
Guests ${web.name} and ${db.name} have disks of the driver domain ${DRIVER.name}, whose daemon's log is here.
One disk is missing. ${directory}/dom0 is xdevd in domain 0, ${storage} in the
driver domain; as xenstore-ls they show the store. In another terminal:

  ${COMMANDS.map((line) => line.replaceAll("{}", () => typed(directory))).join("\n  ")}

Ctrl-C ends all of it, and leaves nothing.
`;
}

/** As a shell takes it. */
function typed(path: string): string {
  return /^[\w/.+-]+$/.test(path) ? path : quotedWord(path);
}

/** What to try first; `{}` is the sandbox's directory. */
const COMMANDS = [
  "{}/storage status",
  "{}/dom0 block-attach web vdev=xvdb,backend=storage,target={}/spare.img --wait connected",
  "{}/storage trace vbd/7/51728",
] as const;
