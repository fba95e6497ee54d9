/** `xdevd devd`: the driver domain's daemon. */
import { ownDomid } from "../../core/daemon/daemon.ts";
import { DEFAULT_TIMES, type LifecycleTimes } from "../../core/xen/times.ts";
import { configureLog, type LogLevel, openLog } from "../../core/log/log.ts";
import { systemClock } from "../../platform/clock.ts";
import { changeToRoot, onTermination, printIfRoom } from "../../platform/self.ts";
import { storage } from "../../platform/storage.ts";
import { tuneAfterStart } from "../../platform/tuning.ts";
import type { BuiltIn } from "../../core/daemon/plugin/host.ts";
import { type Connected, connectStore } from "../../machine/connect.ts";
import { daemonService } from "./daemon_service.ts";
import { CodedError, ExitCode, problemOf } from "../../core/messages/error.ts";
import { coded, isMessageCode, statusOf } from "../../core/messages/table.ts";
import { BackgroundLog } from "./background_log.ts";
import { takeSignals } from "./daemon_signals.ts";
import { reload, reportState } from "./reload.ts";
import { type LogFormat, logToStderr } from "./log_output.ts";
import { choosePlugins, type PluginOptions } from "../plugin/set.ts";
import type { ServiceManager } from "./service_manager.ts";
import { whoServes } from "./who_serves.ts";
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
    return await serve(options, builtIns, { log, ready });
  } catch (error) {
    // Ends up as the other command's error message and exit status.
    const { code, message, status } = problemOf(error);
    if (!isUp) reportStart(`${code} ${message}`);
    if (!log.begun) return status;
    throw error;
  }
}

/** Serves until told to stop, or until the store is lost for good. */
async function serve(
  options: DevdOptions,
  builtIns: readonly BuiltIn[],
  { log: file, ready }: Surroundings,
): Promise<number> {
  const log = openLog();
  storage.report = (line) => log.warning(line);
  let serving: Serving | null = null;
  const leaveSignals = await takeSignals({
    reload: () => void reload(options, serving, file),
    report: () => reportState(serving),
  });
  const times: LifecycleTimes = {
    ...DEFAULT_TIMES,
    ...(options.scriptTimeout === undefined ? {} : { hotplug: options.scriptTimeout * 1000 }),
    ...options.times,
  };
  const { selection, settings } = await choosePlugins(options, builtIns, (line) => log.error(line));
  const lost = Promise.withResolvers<string>();
  const { store, location } = await connectStore(options.store, {
    reconnect: true,
    // The kernel's backends share the domain's quota of 10 (xenstored/domain.c).
    transactions: 1,
    silenceMs: times.silence,
    onSilence: (state, ms) => {
      const seconds = Math.round(ms / 1000);
      if (state === "silent") {
        log.warning(
          coded("store-silent", `the store has not answered for ${seconds} s; waiting`),
        );
      } else log.info(`the store answers again, after ${seconds} s`);
    },
    onWatchRefused: (path, error) =>
      log.warning(coded("watch-refused", `no watch on ${path} for now: ${error.message}`)),
    onOddity: (message) => log.debug(message),
    onConnection: (state, error) => {
      if (state === "restored") log.warning("the store is back; looking at everything again");
      else if (location.kind === "socket") {
        log.error(coded("store-lost", `${error?.message}; waiting for it to return`));
      } else lost.resolve(error?.message ?? "the store connection ended");
    },
  });
  let service: ServiceManager | null = null;
  try {
    const domid = await domidToServe(store, options);
    serving = await openServing(
      { store, location },
      domid,
      options,
      {
        selection,
        settings,
        times,
      },
      undefined,
      { locked: async () => await file?.begin() },
    );
    const { daemon, registry } = serving;
    const stop = Promise.withResolvers<string>();
    const again = Promise.withResolvers<void>();
    let stopping = false;
    const ignoreSignals = onTermination((signal) => {
      // The second one is meant: do not wait for guests.
      if (stopping) again.resolve();
      stopping = true;
      stop.resolve(signal);
    });
    service = await daemonService(store);
    await daemon.start();
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
    ready();
    service.ready(`serving domain ${domid}`);
    const cancelRelease = systemClock.after(SETTLED_MS, () => void tuneAfterStart());
    const [why, code] = await Promise.race([
      stop.promise.then((signal) => [`${signal}: stopping`, ExitCode.Success] as const),
      lost.promise.then((reason) => [reason, statusOf("store-unreachable")] as const),
    ]);
    cancelRelease();
    log.info(why);
    service.stopping();
    if (options.drain && code === ExitCode.Success) {
      log.info("closing all devices");
      await Promise.race([daemon.drain(times.drain), again.promise]);
    }
    await daemon.stop(times.stop);
    ignoreSignals();
    const { held } = daemon.devices;
    const what = held === 0
      ? "no devices are left"
      : held === 1
      ? "1 device stays as it is"
      : `${held} devices stay as they are`;
    log.info(`stopped; ${what}`);
    return code;
  } finally {
    service?.close();
    serving?.close();
    store.close();
    leaveSignals();
  }
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
