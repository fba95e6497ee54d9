/** Carries out what the toolstack's machine decides, for one request, from where the store has it. */
import type { RequestId } from "../protocol/paths.ts";
import {
  TOOLSTACK_FINAL,
  type ToolstackEvent,
  type ToolstackPhase,
  toolstackTransition,
} from "../protocol/toolstack_machine.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import { DeadlineError } from "../../xenstore/errors.ts";
import { type Names, namesOf } from "../../toolstack/names.ts";
import { devicePaths, lookAtRequest, type RequestLook } from "./look.ts";
import { type Creation, performStep } from "./steps.ts";

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

/** What a run is about. */
export interface RequestRun {
  readonly store: StoreClient;
  readonly id: RequestId;
  readonly waits: RequestWaits;
  readonly creation?: Creation;
  readonly signal?: AbortSignal;
}

/**
 * Runs until a final phase.
 * @throws StoreError; the signal's reason, whereupon any other run can go on
 */
export async function runRequest(
  run: RequestRun,
  beginning: ToolstackPhase,
): Promise<RequestOutcome> {
  const { store, id, waits, signal } = run;
  let phase = beginning;
  let failure: RequestOutcome["failure"] = null;
  let look = await lookAtRequest(store, id);
  // Only what was there at the beginning, or was made since, is meant.
  let token = run.creation?.token ?? (look.token || null);

  const take = async (event: ToolstackEvent): Promise<boolean> => {
    const { phase: next, steps } = toolstackTransition(phase, event, look.seen);
    if (phase === "waiting" && next === "detaching") {
      failure = failureOf(await namesOf(store, id), look, event, waits);
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
        timeoutMs: waitOf(before, waits),
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

function waitOf(phase: ToolstackPhase, waits: RequestWaits): number {
  return phase === "waiting" || phase === "detaching" || phase === "forcing"
    ? waits[phase]
    : waits.waiting;
}

function failureOf(
  { device, driver }: Names,
  { seen, report }: RequestLook,
  event: ToolstackEvent,
  waits: RequestWaits,
): RequestOutcome["failure"] {
  const { state } = seen;
  const where = `${device}: the driver domain, ${driver},`;
  if (event === "expired") {
    const within = `within ${waits.waiting / 1000} s`;
    const text = state === "new"
      ? `${device}: nobody in ${driver} took up the request for it ${within}: does its daemon run, ` +
        "and take requests?"
      : `${where} did not connect it ${within}: its request is ${state}`;
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
