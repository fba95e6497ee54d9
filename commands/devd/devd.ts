/** `xdevd devd`: the driver domain's daemon. */
import { ownDomid } from "../../core/daemon/daemon.ts";
import { DEFAULT_TIMES, type LifecycleTimes } from "../../core/xen/times.ts";
import { configureLog, openLog } from "../../core/log/log.ts";
import type { LogLevel } from "../../core/log/levels.ts";
import { systemClock } from "../../platform/clock.ts";
import { changeToRoot, onTermination, printIfRoom } from "../../platform/self.ts";
import { storage } from "../../platform/storage.ts";
import { tuneAfterStart } from "../../platform/tuning.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { type Connected, connectStore } from "../../machine/connect.ts";
import { type ControlSocket, openControlSocket } from "./control_socket.ts";
import { CodedError, ExitCode, problemOf } from "../../core/messages/error.ts";
import { coded, isMessageCode, statusOf } from "../../core/messages/table.ts";
import { BackgroundLog } from "./background_log.ts";
import { controlled, statusNode } from "./controlled.ts";
import { reload, reportState, takeSignals } from "./signals.ts";
import { logToStderr } from "./log_output.ts";
import type { LogFormat } from "../../core/log/levels.ts";
import { choosePlugins, type PluginOptions } from "../plugin/set.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { daemonService, type ServiceManager } from "./service_manager.ts";
import { whoServes } from "./state_report.ts";
import { openServing, type Serving, type ServingOptions } from "./serving.ts";

/** When the start is over for sure, in ms: the devices that there were have been looked at. */
const SETTLED_MS = 5_000;

/** The command's options, as parsed. */
export interface DevdOptions extends PluginOptions, ServingOptions {
  readonly foreground?: boolean;
  readonly store?: string;
  /** Seconds. */
  readonly scriptTimeout?: number;
  readonly log: string;
  readonly logLevel: LogLevel;
  readonly logFormat: LogFormat;
  readonly allowDom0?: boolean;
  readonly drain?: boolean;
  readonly times: Partial<LifecycleTimes>;
  /** Internal: this is the detached child, which reports how its start went. */
  readonly detached?: boolean;
}

/** What differs between a daemon in the foreground and one in the background. */
interface Surroundings {
  /** Its log file, in the background. */
  readonly log?: BackgroundLog;
  /** Called when it serves. */
  ready(): void;
}

/** Runs the command; resolves with the exit status. */
export async function devd(
  options: DevdOptions,
  builtIns: readonly BuiltIn[],
  argv: readonly string[],
): Promise<number> {
  if (options.foreground) {
    logToStderr(options.logLevel, options.logFormat, printIfRoom);
    return await serve(options, builtIns, { ready() {} });
  }
  if (options.detached) return await serveDetached(options, builtIns);
  const { startDetached } = await import("../../platform/io/detached.ts");
  const failure = await startDetached([...argv, "--detached"]);
  if (failure === null) return ExitCode.Success;
  const [, code, text] = /^(\S+) ([^]*)$/.exec(failure) ?? [];
  throw isMessageCode(code) ? new CodedError(code, text!) : new CodedError("failed", failure);
}

/** In the background: the command that started this waits until it is up, or has said why not. */
async function serveDetached(
  options: DevdOptions,
  builtIns: readonly BuiltIn[],
): Promise<number> {
  const { reportStart } = await import("../../platform/io/detached.ts");
  const log = new BackgroundLog(options.log);
  // Whoever reads the other command's errors: a file needs the times.
  const look = { format: options.logFormat, journal: false };
  configureLog(options.logLevel, (line) => log.write(line), look);
  let isUp = false;
  const ready = () => {
    changeToRoot();
    reportStart(null);
    isUp = true;
  };
  try {
    const status = await serve(options, builtIns, { log, ready });
    if (!isUp) reportStart("failed it was told to stop before it served");
    return status;
  } catch (error) {
    // Ends up as the other command's error message and exit status.
    const { code, message, status } = problemOf(error);
    if (!isUp) reportStart(`${code} ${message}`);
    if (!log.begun) return status;
    throw error;
  }
}

/** What a start has made so far. */
interface Made {
  store?: StoreClient;
  /** Locks and journal; no store is asked on that way. */
  opening?: Promise<Serving>;
  serving?: Serving;
  service?: ServiceManager;
  control?: ControlSocket;
  status?: { close(): Promise<void> };
}

/**
 * Serves until told to stop, or until the store is lost for good. Whatever is waited for on the way is
 * raced with that here, and nowhere else.
 * @throws Error when it does not come to serving, unless it was told to stop
 */
async function serve(
  options: DevdOptions,
  builtIns: readonly BuiltIn[],
  { log: file, ready }: Surroundings,
): Promise<number> {
  const log = openLog();
  storage.report = (line, is) => {
    if (is === "late") log.warning(coded("storage-silent", line));
    else log.info(line);
  };
  const times: LifecycleTimes = {
    ...DEFAULT_TIMES,
    ...(options.scriptTimeout === undefined ? {} : { hotplug: options.scriptTimeout * 1000 }),
    ...options.times,
  };
  const made: Made = {};
  const end = Promise.withResolvers<{ why: string; lost: boolean }>();
  const again = Promise.withResolvers<void>();
  let [isEnding, isUp] = [false, false];
  const ignoreSignals = onTermination((signal) => {
    // The second one is meant: do not wait for guests.
    if (isEnding) again.resolve();
    isEnding = true;
    end.resolve({ why: `${signal}: stopping`, lost: false });
  });
  const leaveSignals = await takeSignals({
    reload: () => void reload(options, made.serving ?? null, file),
    report: () => reportState(made.serving ?? null),
  });
  /** What has come of a step of the start, unless the end came first. */
  const step = async <T>(work: Promise<T>): Promise<T> => {
    const result = await work;
    if (isEnding) throw new Error("told to stop");
    return result;
  };
  const start = async (): Promise<void> => {
    const { selection, settings } = await step(
      choosePlugins(options, builtIns, (line) => log.error(line)),
    );
    const connected = await connectToServe(options, times, (why) => {
      isEnding = true;
      end.resolve({ why, lost: true });
    });
    const store = made.store = connected.store;
    const domid = await step(domidToServe(store, options));
    made.opening = openServing(
      connected,
      domid,
      options,
      { selection, settings, times },
      undefined,
      { locked: async () => await file?.begin() },
    );
    made.serving = await made.opening;
    const { daemon, registry } = made.serving;
    made.service = await step(daemonService(store));
    await step(daemon.start());
    if (registry.kinds.length === 0) {
      log.warning(
        coded(
          "no-plugin",
          "there is no plugin, so nothing will be served (see `xdevd plugin list`)",
        ),
      );
    }
    for (const line of whoServes(registry)) log.info(line);
    log.info(
      `serving domain ${domid} through ${store.name}, ` +
        `${registry.kinds.length === 0 ? "no kinds" : `kinds ${registry.kinds.join(", ")}`}, ` +
        `scripts from ${options.scripts.join(", ")}`,
    );
    made.status = statusNode(daemon, store);
    made.control = openControlSocket(options.runDir, controlled(made.serving, store, options));
    isUp = true;
    ready();
    made.service.ready(`serving domain ${domid}`);
  };
  try {
    const starting = start();
    // What it fails with after the end has come is no news.
    starting.catch(() => {});
    const cancelRelease = systemClock.after(SETTLED_MS, () => void tuneAfterStart());
    const { why, lost } = await Promise.race([starting.then(() => end.promise), end.promise]);
    cancelRelease();
    if (!isUp && lost) throw new CodedError("store-unreachable", why);
    log.info(why);
    await stop(made, times, options.drain === true && !lost ? again.promise : null);
    return lost ? statusOf("store-unreachable") : ExitCode.Success;
  } finally {
    made.control?.close();
    await made.opening?.then((serving) => serving.close(), () => {});
    made.service?.close();
    made.store?.close();
    ignoreSignals();
    leaveSignals();
  }
}

/** The daemon's connection, which is made again whenever that is possible. @throws CodedError */
async function connectToServe(
  { store: path }: DevdOptions,
  times: LifecycleTimes,
  lost: (why: string) => void,
): Promise<Connected> {
  const log = openLog();
  let connected: Connected | null = null;
  connected = await connectStore(path, {
    reconnect: true,
    // The kernel's backends share the domain's quota of 10 (xenstored/domain.c).
    transactions: 1,
    silenceMs: times.silence,
    onSilence: (state, ms) => {
      const seconds = Math.round(ms / 1000);
      if (state === "silent") {
        log.warning(coded("store-silent", `the store has not answered for ${seconds} s; waiting`));
      } else log.info(`the store answers again, after ${seconds} s`);
    },
    onWatchRefused: (path, error) =>
      log.warning(coded("watch-refused", `no watch on ${path} for now: ${error.message}`)),
    onOddity: (message) => log.debug(message),
    onConnection: (state, error) => {
      if (state === "restored") log.warning("the store is back; looking at everything again");
      else if (connected?.location.kind === "socket") {
        log.error(coded("store-lost", `${error?.message}; waiting for it to return`));
      } else lost(error?.message ?? "the store connection ended");
    },
  });
  return connected;
}

/**
 * Ends what a start has made. Nothing waits for the store for longer than `times.stop` from when that
 * ceases to answer.
 * @param again unless null, all devices are closed before, or until this resolves
 */
async function stop(
  { store, serving, service, status }: Made,
  times: LifecycleTimes,
  again: Promise<void> | null,
): Promise<void> {
  const log = openLog();
  service?.stopping();
  if (again !== null && serving !== undefined) {
    log.info("closing all devices");
    await Promise.race([serving.daemon.drain(times.drain), again]);
  }
  store?.limitPatience(times.stop);
  await Promise.all([serving?.daemon.stop(times.stop), status?.close()]);
  const held = serving?.daemon.devices.held ?? 0;
  const what = held === 0
    ? "no devices are left"
    : held === 1
    ? "1 device stays as it is"
    : `${held} devices stay as they are`;
  log.info(`stopped; ${what}`);
}

async function domidToServe(store: Connected["store"], options: DevdOptions): Promise<number> {
  const domid = await ownDomid(store);
  if (domid === 0 && !options.allowDom0) {
    throw new CodedError(
      "domain-0",
      "this is domain 0, where the toolstack runs hotplug scripts itself and every script would " +
        "run twice; --allow-dom0 serves it all the same",
    );
  }
  return domid;
}
