/** `xdevd attach` and its kin. */
import type { DeviceId } from "../../core/xen/device_id.ts";
import { checkScript, ScriptRefused } from "../../core/hotplug/path_rules.ts";
import { openLog } from "../../core/log/log.ts";
import { systemFiles } from "../../platform/io/files.ts";
import { effectiveUid, printTo } from "../../platform/self.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { awaitDevice } from "../../core/toolstack/await_device.ts";
import { type WaitLevel } from "../../core/toolstack/wait_levels.ts";
import { createDevice, withFreeDevid } from "../../core/toolstack/create.ts";
import type { WantedDevice } from "../../core/toolstack/resolved_spec.ts";
import { removeDevice } from "../../core/toolstack/remove.ts";
import { resolveDomain } from "../../core/toolstack/domains.ts";
import { requestDaemon } from "../../core/requests/toolstack/setup.ts";
import { type CreationPlan, creationSteps } from "../../core/toolstack/nodes/plan.ts";
import { formatPermission } from "../../core/xenstore/permissions.ts";
import type { TimeLimit } from "../../core/toolstack/time_limit.ts";
import { printJson } from "../json_output.ts";
import { type DeviceReference, resultOf } from "./device_result.ts";
import { describe, specContext } from "./describe.ts";
import { deviceNamed } from "./kinds.ts";
import {
  type AttachOptions,
  type DeviceSession,
  say,
  timeLimit,
  untilTerminated,
  withDevices,
} from "./session.ts";
import { requestDevice, servedResult } from "../request/request.ts";
import { checkSpec, serveCreated } from "./serve_created.ts";
import { whileServing } from "./serving.ts";
import { CodedError, ExitCode } from "../../core/messages/error.ts";

/** How long a driver domain that did not answer is waited for when its device is removed, in ms. */
const CLEANUP_MS = 3_000;

/**
 * Attaches a device.
 * @param device what it is called (`disk`), or a kind
 * @param guest undefined: any, which goes with `serve`
 * @param texts its specification
 * @throws CodedError; nothing of the device is left then
 */
export async function attach(
  device: string,
  guest: string | undefined,
  texts: readonly string[],
  options: AttachOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  if (options.serve && options.via === "request") {
    throw new CodedError("usage", "--serve and --via request exclude each other");
  }
  if (guest === undefined && (!options.serve || options.dryRun)) {
    throw new CodedError("usage", "--any-guest: expected with --serve, and without --dry-run");
  }
  // What is wrong with it should be told also where there is no Xen.
  const named = deviceNamed(device);
  const served = options.serve && !options.dryRun;
  if (served) checkSpec(device, texts);
  else if (named !== null && dryRun(named, texts, options) === "done") return ExitCode.Success;
  return await withDevices(options, async (session) => {
    if (served && session.ownDomid !== 0) {
      const result = await serveCreated(session, { device, guest, texts }, options, builtIns);
      if (options.json) printJson(result);
      return ExitCode.Success;
    }
    if (guest === undefined) {
      throw new CodedError(
        "usage",
        "--any-guest: this is domain 0, which makes the devices itself",
      );
    }
    const frontendDomid = await resolveDomain(session.store, guest);
    const context = await specContext(session, frontendDomid, options);
    const wanted = await describe(device, texts, context, options, builtIns);
    for (const warning of wanted.warnings) say(warning);
    if (options.dryRun) {
      printPlan(device, wanted.plan(wanted.devid ?? 0), options);
      return ExitCode.Success;
    }
    if (await goesByRequest(session, wanted, options)) {
      const { timeout, wait, json } = options;
      const how = { timeout, wait, undo: true };
      const served = await requestDevice(session, frontendDomid, wanted, how);
      if (json) printJson(await servedResult(session.store, served));
      return ExitCode.Success;
    }
    const plan = await new Attach(session, wanted, options, builtIns).run(frontendDomid);
    if (options.json) printJson(await resultOf(session.store, referenceOf(plan), plan.id));
    return ExitCode.Success;
  });
}

/** Whether the driver domain is asked to make its backend itself. */
async function goesByRequest(
  { store, ownDomid }: DeviceSession,
  { backendDomid }: WantedDevice,
  { via, serve }: AttachOptions,
): Promise<boolean> {
  if (via === "request") return true;
  if (via === "stock" || serve || backendDomid === ownDomid) return false;
  return await requestDaemon(store, backendDomid) !== undefined;
}

/** Prints what `xl -N` prints, or that as JSON, if it prints anything. @throws SpecError */
function dryRun(
  named: NonNullable<ReturnType<typeof deviceNamed>>,
  texts: readonly string[],
  options: AttachOptions,
): "done" | null {
  const text = named.dryRun(texts);
  if (!options.dryRun || text === null) return null;
  if (options.json) {
    // `disk: {…}`
    const json = text.slice(text.indexOf(":") + 1);
    printJson({ device: named.device, specification: JSON.parse(json) });
  } else printTo(1, text);
  return "done";
}

class Attach {
  readonly #session: DeviceSession;
  readonly #wanted: WantedDevice;
  readonly #options: AttachOptions;
  readonly #builtIns: readonly BuiltIn[];
  readonly #limit: TimeLimit;

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
    this.#limit = timeLimit(options.timeout);
  }

  async run(frontendDomid: number): Promise<CreationPlan> {
    const { ownDomid, store } = this.#session;
    const { devid, frontendKind, backendDomid } = this.#wanted;
    if (this.#options.serve && backendDomid !== ownDomid) {
      throw new CodedError(
        "usage",
        `--serve: the backend is to be domain ${backendDomid}, and this is domain ${ownDomid}`,
      );
    }
    return await withFreeDevid(devid, store, { frontendDomid, frontendKind }, async (chosen) => {
      const plan = this.#wanted.plan(chosen);
      await this.#carryOut(plan);
      return plan;
    });
  }

  async #carryOut(plan: CreationPlan): Promise<void> {
    const { store, ownDomid } = this.#session;
    const { id } = plan;
    const { wait } = this.#options;
    if (id === null) return await createDevice(store, plan);
    if (id.backendDomid !== ownDomid) return await this.#create(plan, id, wait);
    await this.#checkScript(plan);
    await whileServing(
      this.#session,
      id,
      this.#options,
      this.#builtIns,
      this.#left(),
      async (here) => {
        // Who serves it here is gone afterwards: what is not set up by then never is.
        const level = here && wait === "created" ? "hotplug" : wait;
        await this.#create(plan, id, level);
      },
    );
  }

  /** Makes it and waits for it; what fails is undone. */
  async #create(plan: CreationPlan, id: DeviceId, level: WaitLevel): Promise<void> {
    const { store } = this.#session;
    const { frontendKind } = plan;
    await untilTerminated(store, async (told) => {
      await createDevice(store, plan);
      try {
        await Promise.race([awaitDevice(store, id, frontendKind, level, this.#left()), told]);
      } catch (error) {
        const waits = { closeMs: CLEANUP_MS, directoryMs: CLEANUP_MS, limit: this.#limit };
        const { frontendDomid, devid } = id;
        const record = { frontendDomid, devid, frontendKind };
        await removeDevice(store, id, record, "on", waits).catch((second) =>
          // Its nodes are gone; that nobody answered is being told already.
          openLog().info((second as Error).message)
        );
        throw error;
      }
    });
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
      throw new CodedError("script-refused", error.message);
    }
  }

  #left(): number {
    return Math.max(1, this.#limit.left());
  }
}

function printPlan(device: string, plan: CreationPlan, { json }: AttachOptions): void {
  if (json) {
    const nodes: Record<string, { path: string; value: string | null; permissions: string[] }> = {};
    for (const step of creationSteps(plan)) {
      if (step.type === "remove") continue;
      const node = nodes[step.path] ??= { path: step.path, value: null, permissions: [] };
      if (step.type === "write") node.value = step.value;
      if (step.type === "permit") node.permissions = step.permissions.map(formatPermission);
    }
    return printJson({ device, nodes: Object.values(nodes) });
  }
  for (const step of creationSteps(plan)) {
    const text = step.type === "write"
      ? `write ${step.path} = ${JSON.stringify(step.value)}`
      : step.type === "permit"
      ? `permit ${step.path} ${step.permissions.map(formatPermission).join(",")}`
      : `${step.type} ${step.path}`;
    printTo(1, `${text}\n`);
  }
}

function referenceOf({ id, record, frontendKind }: CreationPlan): DeviceReference {
  // `/libxl/DOMID/device/KIND/DEVID`
  const path = record.path.split("/");
  return {
    frontendKind,
    frontendDomid: id?.frontendDomid ?? Number(path[2]),
    devid: id?.devid ?? Number(path.at(-1)),
  };
}
