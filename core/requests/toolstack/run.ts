/** Carries out what the toolstack's machine decides, for one request, from where the store has it. */
import { backendKindsFor, type RequestId, requestPath } from "../protocol/paths.ts";
import {
  mayStep,
  TOOLSTACK_FINAL,
  type ToolstackEvent,
  type ToolstackPhase,
  type ToolstackSeen,
  type ToolstackStep,
  toolstackTransition,
} from "../protocol/toolstack_machine.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { DeadlineError } from "../../xenstore/errors.ts";
import { CLEANUP_MS, type TimeLimit, wholeSeconds, within } from "../../toolstack/time_limit.ts";
import { type Names, namesOf } from "../../toolstack/domains.ts";
import { backendPath, frontendPath } from "../../xen/device_id.ts";
import { DRIVER_NODES, readKnown, readTree, REQUEST_MARK } from "../protocol/nodes.ts";
import { parseReport, type RequestReport } from "../protocol/request.ts";
import { absentOrHidden, type NodeAccess } from "../../xenstore/access.ts";
import { carryOut, recordPath } from "../../toolstack/nodes/plan.ts";
import type { Transaction } from "../../xenstore/transaction.ts";
import { removeAndPrune } from "../../toolstack/remove.ts";
import { type DeviceRequest, publishSteps, requestSteps } from "./plan.ts";

/** How long a toolstack waits in each phase, in ms. */
export interface RequestWaits {
  /** For the device to be connected. */
  readonly waiting: number;
  /** For the guest to let go of it; force comes then, and hurries nothing but the guest. */
  readonly detaching: number;
  /** For the driver domain alone, from then on. */
  readonly forcing: number;
}

/** A script's 40 s and the kernel's 10; LIBXL_DESTROY_TIMEOUT; a script's again, and the kernel's. */
export const DEFAULT_REQUEST_WAITS: RequestWaits = {
  waiting: 60_000,
  detaching: 10_000,
  forcing: 60_000,
};

/** How it ended. */
export interface RequestOutcome {
  readonly phase: ToolstackPhase;
  /** The newest look. */
  readonly look: RequestLook;
  /** Why it was not attached, if that was wanted; one line. */
  readonly failure: { readonly late: boolean; readonly text: string } | null;
}

export interface RequestRun {
  readonly store: StoreClient;
  readonly id: RequestId;
  readonly waits: RequestWaits;
  readonly creation?: Creation;
  readonly signal?: AbortSignal;
  /** For all of it; cleaning up may take {@link CLEANUP_MS} more. */
  readonly limit?: TimeLimit;
}

/**
 * Runs until a final phase.
 * @throws StoreError; the signal's reason, whereupon any other run can go on
 */
export async function runRequest(
  run: RequestRun,
  beginning: ToolstackPhase,
): Promise<RequestOutcome> {
  const { store, id, signal } = run;
  let phase = beginning;
  /** How long the present phase may last. */
  let waitMs = 0;
  let failure: RequestOutcome["failure"] = null;
  let look = await lookAtRequest(store, id);
  // Only what was there at the beginning, or was made since, is meant.
  let token = run.creation?.token ?? (look.token || null);

  const take = async (event: ToolstackEvent): Promise<boolean> => {
    const { phase: next, steps } = toolstackTransition(phase, event, look.seen);
    if (phase === "waiting" && next === "detaching") {
      failure = failureOf(await namesOf(store, id), look, event, waitMs);
    }
    const moved = next !== phase || steps.length > 0;
    phase = next;
    for (const step of steps) {
      if (await performStep(store, id, step, token, run.creation)) continue;
      phase = toolstackTransition(phase, "missed", look.seen).phase;
      break;
    }
    return moved;
  };

  while (!TOOLSTACK_FINAL.has(phase)) {
    const before = phase;
    waitMs = waitOf(before, run);
    let busy: Promise<void> = Promise.resolve();
    let over = false;
    const step = async (): Promise<void> => {
      do {
        look = await store.transaction((t) => lookAtRequest(t, id));
        token ??= look.token || null;
        // Another request by now: the one that was meant is no more.
        if (before !== "creating" && token !== null && look.token !== "" && look.token !== token) {
          phase = before === "waiting" ? "lost" : "detached";
          return;
        }
      } while (!over && await take("seen") && phase === before);
    };
    try {
      await store.watchUntil(devicePaths(id).request, async () => {
        if (over) return undefined;
        busy = step();
        await busy;
        return phase === before ? undefined : true;
      }, {
        timeoutMs: waitMs,
        ...(signal === undefined ? {} : { signal }),
      });
    } catch (error) {
      over = true;
      await busy.catch(() => {});
      if (!(error instanceof DeadlineError)) throw error;
      if (phase === before) await take("expired");
    }
  }
  return { phase, look, failure };
}

function waitOf(phase: ToolstackPhase, { waits, limit }: RequestRun): number {
  if (phase === "forcing") return within(waits.forcing, limit, CLEANUP_MS);
  return within(phase === "detaching" ? waits.detaching : waits.waiting, limit);
}

function failureOf(
  { device, driver }: Names,
  { seen, report }: RequestLook,
  event: ToolstackEvent,
  waitedMs: number,
): RequestOutcome["failure"] {
  const { state } = seen;
  const where = `${device}: the driver domain, ${driver},`;
  if (event === "expired") {
    const time = `within ${wholeSeconds(waitedMs)}`;
    const text = state === "new"
      ? `${device}: nobody in ${driver} took up the request for it ${time}: does its daemon run, ` +
        "and take requests?"
      : `${where} did not connect it ${time}: its request is ${state}`;
    return { late: true, text };
  }
  if (state === "error") {
    return {
      late: false,
      text: `${where} cannot set it up: ${report.error ?? "no reason given"}`,
    };
  }
  if (state === "prepared" && !seen.credible) {
    return { late: false, text: `${where} names a backend for it that cannot be its` };
  }
  return { late: false, text: `${device}: removed while it was waited for` };
}

/** One look, with all that steps need. */
interface RequestLook {
  readonly seen: ToolstackSeen;
  readonly report: RequestReport;
  /** Empty without a request. */
  readonly token: string;
}

/** Where a request's device is. */
export function devicePaths(id: RequestId): { frontend: string; record: string; request: string } {
  return {
    frontend: frontendPath(id, id.kind),
    record: recordPath(id, id.kind),
    request: requestPath(id),
  };
}

/** What a toolstack looks at. The driver domain may have put anything below its own. */
const LOOKED_AT = ["token", "online", "force", "hold", "frontend", ...DRIVER_NODES] as const;

/** The nodes of a request that tell how it is; null when there is none. */
export function readRequest(
  store: NodeAccess,
  id: RequestId,
): Promise<Partial<Record<(typeof LOOKED_AT)[number], string>> | null> {
  return readKnown(store, requestPath(id), LOOKED_AT);
}

/** Looks at a request and its device. */
export async function lookAtRequest(store: NodeAccess, id: RequestId): Promise<RequestLook> {
  const paths = devicePaths(id);
  const [nodes, record, mark] = await Promise.all([
    readRequest(store, id),
    absentOrHidden(store.read(paths.record)),
    store.readVisible(`${paths.record}/${REQUEST_MARK}`),
  ]);
  const { token = "", online, force, hold, frontend } = nodes ?? {};
  const report = parseReport(nodes, id);
  return {
    seen: {
      record: record === undefined ? "none" : mark === token && token ? "ours" : "foreign",
      state: report.state,
      online: nodes !== null && online !== "0",
      force: force === "1",
      published: frontend !== undefined,
      hold: hold === "1",
      credible: report.device !== undefined,
    },
    report,
    token,
  };
}

/** What `create` needs. */
interface Creation {
  readonly request: DeviceRequest;
  readonly token: string;
  readonly hold: boolean;
}

/**
 * Does a step, unless what it expects is no more.
 * @param token of the request that is meant; null: whichever there is
 * @returns whether it was done
 */
async function performStep(
  store: StoreClient,
  id: RequestId,
  step: ToolstackStep,
  token: string | null,
  creation?: Creation,
): Promise<boolean> {
  return await store.transaction(async (t) => {
    const look = await lookAtRequest(t, id);
    if (!mayStep(step, look.seen)) return false;
    if (step !== "create" && token !== null && look.token !== token) return false;
    await STEPS[step](t, id, look, creation);
    return true;
  });
}

type Work = (
  t: Transaction,
  id: RequestId,
  look: RequestLook,
  creation: Creation | undefined,
) => Promise<void>;

const STEPS: Readonly<Record<ToolstackStep, Work>> = {
  async create(t, id, _, creation) {
    if (creation === undefined) throw new TypeError("nothing to create");
    const { request, token, hold } = creation;
    await carryOut(t, requestSteps(request, devicePaths(id).record, token, hold));
  },

  async publish(t, id, { report }) {
    if (report.device === undefined) throw new TypeError("no credible backend");
    // The toolstack's own: the driver domain can write nothing there.
    const nodes = await readTree(t, `${devicePaths(id).request}/publish`) ?? {};
    await carryOut(t, publishSteps(id, report.device, nodes, devicePaths(id)));
  },

  async withdraw(t, id) {
    await t.write(`${devicePaths(id).request}/online`, "0");
  },

  async force(t, id, { seen }) {
    const { request, frontend } = devicePaths(id);
    await t.write(`${request}/online`, "0");
    await t.write(`${request}/force`, "1");
    if (seen.record === "ours") await removeAndPrune(t, frontend);
  },

  clean: removeAll,

  async abandon(t, id, look) {
    for (const kind of backendKindsFor(id.kind)) {
      const directory = backendPath({ ...id, kind });
      const mark = await t.readVisible(`${directory}/${REQUEST_MARK}`);
      if (mark === look.token) await removeAndPrune(t, directory);
    }
    await removeAll(t, id, look);
  },
};

async function removeAll(t: Transaction, id: RequestId, { seen }: RequestLook): Promise<void> {
  const { frontend, record, request } = devicePaths(id);
  if (seen.record === "ours") {
    await removeAndPrune(t, frontend);
    await removeAndPrune(t, record);
  }
  await removeAndPrune(t, request);
}
