/** `xdevd attach` and its kin. */
import { backendPath, type DeviceId, deviceName } from "../device/id.ts";
import { checkScript, ScriptRefused } from "../hotplug/path_rules.ts";
import { openLog } from "../log/log.ts";
import { systemFiles } from "../platform/files.ts";
import { effectiveUid, machineAbi, onTermination, printTo, randomBytes } from "../platform/self.ts";
import type { BuiltIn } from "../../plugins/host/host.ts";
import { awaitDevice } from "../toolstack/live/await_device.ts";
import { createDevice, lowestFreeDevid } from "../toolstack/live/create.ts";
import { guestTypeOf, resolveDomain } from "../toolstack/live/domains.ts";
import { ToolstackError } from "../toolstack/live/error.ts";
import {
  type Circumstances,
  describedDevice,
  type WantedDevice,
  wantedDevice,
} from "../toolstack/live/planned.ts";
import { removeDevice } from "../toolstack/live/remove.ts";
import { requestDaemon } from "../toolstack/request/setup.ts";
import { type CreationPlan, creationSteps } from "../toolstack/nodes/plan.ts";
import { formatPermission } from "../xenstore/permissions.ts";
import { asCommandError } from "./device_errors.ts";
import { describableKind, deviceNamed } from "./device_kinds.ts";
import type { AttachOptions, DeviceOptions } from "./device_options.ts";
import { type DeviceSession, printJson, say, withDevices } from "./device_session.ts";
import { printServed, requestDevice } from "./request.ts";
import { whileServing } from "./device_serving.ts";
import { CommandError, ExitCode } from "./exit_codes.ts";

/** How long a driver domain that did not answer is waited for when its device is removed, in ms. */
const CLEANUP_MS = 3_000;

/**
 * Attaches a device.
 * @param device what it is called (`disk`), or a kind
 * @param texts its specification
 * @throws CommandError; nothing of the device is left then
 */
export async function attach(
  device: string,
  guest: string,
  texts: readonly string[],
  options: AttachOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  try {
    // What is wrong with it should be told also where there is no Xen.
    const named = deviceNamed(device);
    const parsed = named === null ? null : dryRun(named, texts, options);
    if (parsed === "done") return ExitCode.Success;
  } catch (error) {
    throw asCommandError(error);
  }
  return await withDevices(options, async (session) => {
    const frontendDomid = await guestDomid(session, guest, options);
    const around = await circumstances(session, frontendDomid, options);
    const wanted = await describe(device, texts, around, options, builtIns);
    for (const warning of wanted.warnings) say(warning);
    if (options.dryRun) {
      printPlan(wanted.plan(wanted.devid ?? 0));
      return ExitCode.Success;
    }
    if (await goesByRequest(session, wanted, options)) {
      const { timeout, json } = options;
      const served = await requestDevice(session, frontendDomid, wanted, { timeout });
      if (json) printServed(served);
      return ExitCode.Success;
    }
    const plan = await new Attach(session, wanted, options, builtIns).run(frontendDomid);
    if (options.json) report(plan);
    return ExitCode.Success;
  });
}

/** Whether the driver domain is asked to make its backend itself. */
async function goesByRequest(
  { store, ownDomid }: DeviceSession,
  { backendDomid }: WantedDevice,
  { via, serve }: AttachOptions,
): Promise<boolean> {
  if (via === "stock" || serve || backendDomid === ownDomid) return false;
  return via === "request" || await requestDaemon(store, backendDomid) !== undefined;
}

/** Prints what `xl -N` prints, if it prints anything. @throws SpecError */
function dryRun(
  named: NonNullable<ReturnType<typeof deviceNamed>>,
  texts: readonly string[],
  options: AttachOptions,
): "done" | null {
  const text = named.dryRun(texts);
  if (!options.dryRun || text === null) return null;
  printTo(1, text);
  return "done";
}

/** A driver domain can see no names, and of guests only what they show it. */
async function guestDomid(
  { store, ownDomid }: DeviceSession,
  guest: string,
  { serve }: AttachOptions,
): Promise<number> {
  if (serve && ownDomid !== 0 && /^\d{1,5}$/.test(guest)) return Number(guest);
  return await resolveDomain(store, guest);
}

export async function circumstances(
  { store, ownDomid }: DeviceSession,
  frontendDomid: number,
  { serve, scripts }: Pick<AttachOptions, "serve" | "scripts">,
): Promise<Circumstances> {
  const guestType = await guestTypeOf(store, frontendDomid);
  return {
    frontendDomid,
    guestType,
    scriptDirectory: scripts[0]!,
    async resolveBackend(name) {
      if (name === undefined) return serve ? ownDomid : 0;
      if (name === String(ownDomid)) return ownDomid;
      return await resolveDomain(store, name);
    },
    async kindOfTarget(path) {
      const kind = (await systemFiles.stat(path).catch(() => null))?.kind;
      return kind === "block" ? "block device" : kind === "file" ? "file" : "other";
    },
    protocol: guestType === "pv" ? machineAbi() : undefined,
    randomBytes,
  };
}

export async function describe(
  device: string,
  texts: readonly string[],
  around: Circumstances,
  options: DeviceOptions,
  builtIns: readonly BuiltIn[],
): Promise<WantedDevice> {
  const named = deviceNamed(device);
  if (named !== null) return await wantedDevice(named.device, texts, around);
  return await describedDevice(await describableKind(device, options, builtIns), texts, around);
}

/** One attach. */
class Attach {
  readonly #session: DeviceSession;
  readonly #wanted: WantedDevice;
  readonly #options: AttachOptions;
  readonly #builtIns: readonly BuiltIn[];
  readonly #end: number;

  constructor(
    session: DeviceSession,
    wanted: WantedDevice,
    options: AttachOptions,
    builtIns: readonly BuiltIn[],
  ) {
    this.#session = session;
    this.#wanted = wanted;
    this.#options = options;
    this.#builtIns = builtIns;
    this.#end = performance.now() + options.timeout * 1000;
  }

  async run(frontendDomid: number): Promise<CreationPlan> {
    const { store, ownDomid } = this.#session;
    const { devid, frontendKind, backendDomid } = this.#wanted;
    const plan = this.#wanted.plan(
      devid ?? await lowestFreeDevid(store, frontendDomid, frontendKind),
    );
    const { id } = plan;
    if (this.#options.serve && backendDomid !== ownDomid) {
      throw new CommandError(
        `--serve: the backend is to be domain ${backendDomid}, and this is domain ${ownDomid}`,
        ExitCode.Usage,
      );
    }
    if (id === null) {
      await createDevice(store, plan);
      return plan;
    }
    if (backendDomid !== ownDomid) {
      await this.#create(plan, id);
      return plan;
    }
    await this.#checkScript(plan);
    await whileServing(this.#session, id, this.#options, this.#builtIns, async () => {
      // Only the toolstack's domain can make devices: elsewhere it is waited for.
      if (ownDomid === 0) await this.#create(plan, id);
      else await this.#awaitCreation(id);
    });
    return plan;
  }

  /** Makes it and waits for it; what fails is undone. */
  async #create(plan: CreationPlan, id: DeviceId): Promise<void> {
    const { store } = this.#session;
    const { frontendKind } = plan;
    await createDevice(store, plan);
    const { promise: stopped, reject } = Promise.withResolvers<never>();
    stopped.catch(() => {});
    const ignoreSignals = onTermination((signal) => reject(new Error(`${signal}: given up`)));
    try {
      await Promise.race([
        awaitDevice(store, id, frontendKind, this.#options.wait, this.#left()),
        stopped,
      ]);
    } catch (error) {
      const waits = { closeMs: CLEANUP_MS, directoryMs: CLEANUP_MS };
      const { frontendDomid, devid } = id;
      const record = { frontendDomid, devid, frontendKind };
      await removeDevice(store, id, record, "on", waits).catch((second) =>
        // Its nodes are gone; that nobody answered is being told already.
        openLog(deviceName(id)).info((second as Error).message)
      );
      throw error;
    } finally {
      ignoreSignals();
    }
  }

  /** It stays as it is when this fails: it is the toolstack's. */
  async #awaitCreation(id: DeviceId): Promise<void> {
    const { store } = this.#session;
    const { timeout, wait } = this.#options;
    try {
      await store.waitUntil(backendPath(id), (value) => value !== undefined, {
        timeoutMs: this.#left(),
      });
    } catch {
      throw new ToolstackError(
        "no answer",
        `the toolstack did not create ${deviceName(id)} within ${timeout} s`,
      );
    }
    await awaitDevice(store, id, this.#wanted.frontendKind, wait, this.#left());
  }

  /** A script that was named has to be there before anything is made. */
  async #checkScript({ backend }: CreationPlan): Promise<void> {
    const named = backend?.nodes.find(({ name }) => name === "script")?.value;
    if (named === undefined || !this.#wanted.scriptNamed) return;
    try {
      const trustedUids = [0, effectiveUid()];
      await checkScript(systemFiles, named, { directories: this.#options.scripts, trustedUids });
    } catch (error) {
      if (!(error instanceof ScriptRefused)) throw error;
      throw new CommandError(error.message, ExitCode.NoScript);
    }
  }

  #left(): number {
    return Math.max(1, this.#end - performance.now());
  }
}

function printPlan(plan: CreationPlan): void {
  for (const step of creationSteps(plan)) {
    const text = step.type === "write"
      ? `write ${step.path} = ${JSON.stringify(step.value)}`
      : step.type === "permit"
      ? `permit ${step.path} ${step.permissions.map(formatPermission).join(",")}`
      : `${step.type} ${step.path}`;
    printTo(1, `${text}\n`);
  }
}

function report({ id, record, frontendKind, backend, frontend }: CreationPlan): void {
  printJson({
    kind: id?.kind ?? null,
    frontendKind,
    backendDomid: id?.backendDomid ?? null,
    frontendDomid: id?.frontendDomid ?? Number(record.path.split("/")[2]),
    devid: id?.devid ?? Number(record.path.split("/").at(-1)),
    backend: backend?.path ?? null,
    frontend: frontend?.path ?? null,
  });
}
