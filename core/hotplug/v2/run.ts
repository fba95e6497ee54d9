/** Running one action of a version 2 script. */
import type { Log } from "../../log/log.ts";
import type { Clock, Files, Processes } from "../../../platform/types.ts";
import type { StoreClient } from "../../xenstore/client.ts";
import type { HelperLog } from "../helper_log.ts";
import { runWithLastWords } from "../last_words.ts";
import { checkScript, type ScriptPolicy } from "../path_rules.ts";
import { type V2Action, v2Environment, type V2Limits } from "./convention.ts";

/** What the hotplug directory is for. */
export interface V2Target {
  readonly script: string;
  /** The target string. */
  readonly params: string;
}

/** A device, and what running its script takes. */
export interface V2Parts {
  readonly store: StoreClient;
  readonly clock: Clock;
  readonly files: Files;
  readonly processes: Processes;
  readonly helperLog?: HelperLog;
  readonly policy: ScriptPolicy;
  readonly limits: V2Limits;
  /** How long the process group has between TERM and KILL, in ms. */
  readonly killGraceMs: number;
  /** PATH, and what leads to the store. */
  readonly environment: Readonly<Record<string, string>>;
  /** What marks the script's processes, in whatever variable is in `environment`. */
  readonly operation: string;
  /** HOTPLUG_PATH. */
  readonly directory: string;
  readonly log: Log;
  /** Resolves when no process of an operation runs any more. */
  awaitOrphans(operation: string): Promise<void>;
  /** Ends what an action that was stopped has left. */
  endMarked(): Promise<unknown>;
  /** Notes that an action is begun; what it returns, that it has ended. */
  begin?(what: string): () => void;
  /** What `hotplug-error` of the backend said before an action is run: no words of that one's. */
  knownError?(): string | undefined;
  /** Called when the record of an action is written, before its script runs. May reject. */
  before?(action: V2Action, target: V2Target): void;
  /** Removes the hotplug directory. */
  forget(): Promise<void>;
}

/**
 * Runs it.
 * @param backendPath absolute; empty where there is none
 * @throws ScriptFailed, ScriptRefused
 */
export async function runV2(
  parts: V2Parts,
  action: V2Action,
  script: string,
  backendPath: string,
  signal: AbortSignal,
): Promise<void> {
  const { files, policy, limits, killGraceMs, log } = parts;
  const program = await checkScript(files, script, policy);
  log.debug(`runs ${program} ${action}`);
  const known = backendPath === "" ? undefined : parts.knownError?.();
  const ended = parts.begin?.(`script ${program} ${action}`);
  await runWithLastWords(
    parts,
    {
      argv: [program, action],
      env: { ...parts.environment, ...v2Environment(action, parts.directory, backendPath) },
      limits: { timeoutMs: limits[action], killGraceMs },
      signal,
      output: (line) => log.info(`${program}: ${line}`),
      endMarked: () => parts.endMarked(),
    },
    log,
    () => wordsOf(parts, backendPath, known),
  ).finally(ended);
}

/** What the script itself has said. @param known what was there before it was run */
async function wordsOf(
  { store, directory }: V2Parts,
  backendPath: string,
  known: string | undefined,
): Promise<string | undefined> {
  for (const said of backendPath === "" ? [directory] : [backendPath, directory]) {
    const words = await store.readVisible(`${said}/hotplug-error`).catch(() => "");
    if (words && words !== known) return words;
  }
  return undefined;
}
