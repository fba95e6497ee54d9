/** `xdevd doctor`: what is wrong here, a line each, with the repair. */
import { isThere } from "../../core/is_there.ts";
import { oneLine } from "../../core/log/log.ts";
import {
  CodedError,
  ExitCode,
  lineOf,
  type Problem,
  problemOf,
} from "../../core/messages/error.ts";
import { parseDomid } from "../../core/xen/device_id.ts";
import { systemClock } from "../../platform/clock.ts";
import { targetFiles } from "../../platform/io/files.ts";
import { printTo } from "../../platform/self.ts";
import { sha256OfFile } from "../../platform/checksum.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { connectStore } from "../../machine/connect.ts";
import { errorJson, printJson } from "../json_output.ts";
import { CONTROL_SOCKET } from "../../core/daemon/control/messages.ts";
import { addDevd } from "../devd/program.ts";
import { Command, Option } from "../line/command.ts";
import { ControlClient, ControlRefused } from "../devd/control_client.ts";
import type { DaemonReport } from "../../core/daemon/control/report.ts";
import { gatherPlugins, trustParts } from "../plugin/set.ts";
import { counted, type Finding, type Found, type State, STATES, unknown } from "./finding.ts";
import { rootedFiles } from "./rooted_files.ts";
import {
  devicesOf,
  type DoctorOptions,
  type Here,
  type SeenStore,
  type TellingDaemon,
  textOf,
} from "./here.ts";
import { lookAtBridges, lookAtDevices } from "./looks/devices.ts";
import { lookAtDriverDomains } from "./looks/driver_domain.ts";
import { lookAtConfiguration, lookAtPlugins, lookAtRunDirectory } from "./looks/files.ts";
import {
  lookAtBackend,
  lookAtLoops,
  lookAtXen,
  lookAtXenDevices,
  lookForKilled,
} from "./looks/kernel.ts";
import { lookAtPrograms, lookAtScripts, lookAtServers } from "./looks/scripts.ts";
import { lookAtDaemon, lookAtService } from "./looks/service.ts";
import { lookAtQuota, lookAtRights, lookAtStore } from "./looks/store.ts";

/** Longest time for one look, in ms: storage and stores may not answer at all. */
const LOOK_MS = 10_000;

/** How long the store may take to say which domain this is, in ms. */
const STORE_MS = 5_000;

/** Longest message and repair that are shown, in characters. */
const SHOWN_MAX = 400;

/** All that is looked at in a driver domain, in the order in which it is told. */
const LOOKS: Readonly<Record<string, (here: Here) => Promise<readonly Finding[]>>> = {
  "xen": lookAtXen,
  "kernel-disks": lookAtBackend("vbd"),
  "kernel-interfaces": lookAtBackend("vif"),
  "xen-devices": lookAtXenDevices,
  "loop-devices": lookAtLoops,
  "store": lookAtStore,
  "rights": lookAtRights,
  "quota": lookAtQuota,
  "configuration": lookAtConfiguration,
  "plugins": lookAtPlugins,
  "scripts": lookAtScripts,
  "programs": lookAtPrograms,
  "servers": lookAtServers,
  "bridges": lookAtBridges,
  "run-directory": lookAtRunDirectory,
  "service": lookAtService,
  "daemon": lookAtDaemon,
  "devices": lookAtDevices,
  "leftovers": lookForKilled,
};

/** Looks, and prints. @throws CodedError when a domain that was named is none */
export async function doctor(
  options: DoctorOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const { here, close } = surroundings(options, builtIns);
  try {
    await requireRoot(options.root ?? "");
    const found = await look(here);
    const problem = verdict(counted(found));
    print(found, problem, options.json === true);
    return problem?.status ?? ExitCode.Success;
  } finally {
    close();
  }
}

/** What is not there has nothing that could be right. @throws CodedError */
async function requireRoot(root: string): Promise<void> {
  if (root === "") return;
  const { kind } = await targetFiles.stat(root).catch(() => ({ kind: null }));
  if (kind === "directory") return;
  const is = kind === null ? "there is none that can be looked at" : "it is no directory";
  throw new CodedError(
    "usage",
    `--root ${root}: ${is}; expected the directory of a root, such as of an image that is mounted`,
  );
}

async function look(here: Here): Promise<Found[]> {
  const { domain } = here.options;
  if (domain !== undefined) return await lookAtDriverDomains((await here.store()).store, domain);
  const own = await here.store().catch(() => null);
  if (own?.domid === 0) return await lookAtDriverDomains(own.store, undefined);
  const found = await Promise.all(
    Object.entries(LOOKS).map(async ([check, look]) =>
      (await findings(look(here))).map((finding) => ({ check, ...finding }))
    ),
  );
  return found.flat();
}

/** What a look has found; that nobody knows, when it fails or does not come back. */
async function findings(look: Promise<readonly Finding[]>): Promise<readonly Finding[]> {
  const late = Promise.withResolvers<readonly Finding[]>();
  const cancel = systemClock.after(
    LOOK_MS,
    () => late.resolve([unknown(`nothing has answered within ${LOOK_MS / 1000} s`)]),
  );
  try {
    return await Promise.race([look, late.promise]);
  } catch (error) {
    return [unknown(`it cannot be looked at: ${problemOf(error).message}`)];
  } finally {
    cancel();
  }
}

/** What is looked at; each thing is asked for once, when somebody wants it first. */
function surroundings(
  options: DoctorOptions,
  builtIns: readonly BuiltIn[],
): { here: Here; close(): void } {
  const { root = "" } = options;
  let connected: SeenStore["store"] | null = null;
  const files = rootedFiles(targetFiles, root);
  const trust = {
    ...trustParts(),
    files,
    sha256Of: async (file: string) => await sha256OfFile(root + await files.realPath(file)),
  };
  const store = once(async (): Promise<SeenStore> => {
    if (root !== "" && options.store === undefined) {
      throw new CodedError(
        "store-unreachable",
        `${root} is looked at, and no store (--store PATH)`,
      );
    }
    const { store } = await connectStore(options.store);
    connected = store;
    const text = await store.readText("domid", { timeoutMs: STORE_MS }).catch((error) => {
      throw new CodedError("store-unreachable", `${store.name}: ${error.message}`);
    });
    const domid = parseDomid(text);
    if (domid === undefined) {
      throw new CodedError("store-unreachable", `${store.name} does not tell which domain this is`);
    }
    return { store, domid };
  });
  const here: Here = {
    files,
    options,
    trustedUids: trust.trustedUids,
    store,
    devices: once(async () => {
      const { store: client, domid } = await store();
      return await devicesOf(client, domid);
    }),
    plugins: once(() => gatherPlugins(options, builtIns, trust)),
    mistakeIn: (words) => mistakeIn(words, builtIns),
    daemon: once(async () => {
      // Connecting asks whatever the directory lies on, in this process: it has to answer before.
      await isThere(files, `${options.runDir}/${CONTROL_SOCKET}`);
      return await tellingDaemon(root + options.runDir);
    }),
    isXen: once(async () => {
      const type = await textOf(files, "/sys/hypervisor/type");
      if (type?.trim() === "xen" || await isThere(files, "/proc/xen/capabilities")) return true;
      return await isThere(files, "/sys/block") ? false : null;
    }),
  };
  return { here, close: () => connected?.close() };
}

/** What `xdevd devd` would say of its options. */
function mistakeIn(words: readonly string[], builtIns: readonly BuiltIn[]): string | null {
  const program = new Command("xdevd", { print() {}, width: () => 0 });
  addDevd(program, () => new Option("--store <path>"), builtIns, [], () => {});
  try {
    program.resolve(["devd", "--foreground", ...words]);
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}

async function tellingDaemon(runDir: string): Promise<TellingDaemon | null> {
  const client = await ControlClient.open(runDir);
  try {
    const { version, unanswered } = await client.call<DaemonReport>("Report");
    const { devices } = await client.call<Pick<TellingDaemon, "devices">>("List");
    return { version, unanswered, devices };
  } catch (error) {
    if (error instanceof ControlRefused) return null;
    throw error;
  } finally {
    client.close();
  }
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | null = null;
  return () => made ??= work();
}

/** What comes of it all, the worst first; null: all is right. */
function verdict(counts: Readonly<Record<State, number>>): Problem | null {
  const code = counts.failure > 0
    ? "found-failures"
    : counts.warning > 0
    ? "found-warnings"
    : counts.unknown > 0
    ? "not-looked-at"
    : null;
  return code === null ? null : problemOf(new CodedError(code, words(counts)));
}

function words(counts: Readonly<Record<State, number>>): string {
  return STATES.map((state) => `${counts[state]} ${state}`).join(", ");
}

function print(found: readonly Found[], problem: Problem | null, json: boolean): void {
  const counts = counted(found);
  const shown = found.map(({ check, state, message, repair }) => ({
    check,
    state,
    message: oneLine(message, SHOWN_MAX),
    ...(repair === undefined ? {} : { repair: oneLine(repair, SHOWN_MAX) }),
  }));
  if (json) {
    printJson({
      findings: shown,
      counts,
      ...(problem === null ? {} : { error: errorJson(problem) }),
    });
    if (problem !== null) printTo(2, `xdevd: ${lineOf(problem)}\n`);
    return;
  }
  const width = Math.max(...shown.map(({ check }) => check.length));
  for (const { check, state, message, repair } of shown) {
    const mending = repair === undefined
      ? ""
      : `${/[.?!]$/.test(message) ? "" : "."} Repair: ${repair}`;
    printTo(1, `${state.padEnd(8)} ${check.padEnd(width)} ${message}${mending}\n`);
  }
  printTo(1, `${words(counts)}\n`);
}
