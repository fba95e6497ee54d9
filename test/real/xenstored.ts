/**
 * Debian's own xenstored on a machine without Xen, through the shim in `shim/` (its README tells
 * how). For tests, and for `xdevd demo --real`, which loads this only when it is asked for.
 */
import { type ChildProcess, spawn } from "node:child_process";
import * as fs from "node:fs/promises";
import { rmSync } from "node:fs";
import * as os from "node:os";
import * as path from "node:path";
import { fileURLToPath } from "node:url";

/** How to start the server. */
export interface XenstoredOptions {
  /** Domains that exist and are introduced from the start. */
  readonly domains?: readonly number[];
  /** Further arguments of xenstored, such as `--entry-nb=100`. */
  readonly args?: readonly string[];
}

/** A running xenstored, and the fake hypervisor around it. */
export interface RealXenstored {
  /** The directory that this instance lives in; `stop` removes it. */
  readonly dir: string;
  readonly pid: number;
  /** Where to connect as this domain: for 0 the server's own socket, else the domain's ring. */
  socketPath(domid: number): string;
  /** Makes the domain exist and introduces it. For one that was introduced before: a reboot. */
  introduce(domid: number): Promise<void>;
  /** The server lets go of the domain, which goes on existing. */
  release(domid: number): Promise<void>;
  /** The domain has crashed; it goes on existing. */
  crash(domid: number): Promise<void>;
  /** The domain has shut down; it goes on existing. */
  shutdown(domid: number): Promise<void>;
  /** The domain is gone; resolves when the server has noticed. */
  destroy(domid: number): Promise<void>;
  /**
   * Kills the server, as a crash would, and starts another one in its place: an empty store, and no
   * domains.
   */
  restart(): Promise<void>;
  /** What the server has printed. */
  log(): Promise<string>;
  /** Ends the server and removes its directory. May be called again. */
  stop(): Promise<void>;
}

const here = path.dirname(fileURLToPath(import.meta.url));
const shimSource = path.join(here, "shim");
const shimBuild = path.join(here, "..", "..", "build", "shim");
const binary = "/usr/lib/xen-4.17/bin/xenstored";

const prefix = "xdevd-xenstored-";
const startTimeoutMs = 10_000;
const stopTimeoutMs = 3_000;
/** A server ends after that long, whatever happens. */
const lifetimeSeconds = 3600;

/**
 * Starts an instance of its own, with nothing in its store but what xenstored puts there. It dies
 * with this process, however that ends.
 * @throws Error with what the compiler or the server printed
 */
export async function startXenstored(options: XenstoredOptions = {}): Promise<RealXenstored> {
  await buildShim();
  await removeOldDirectories();
  const dir = await fs.mkdtemp(path.join(os.tmpdir(), prefix));
  const removeAtExit = () => rmSync(dir, { recursive: true, force: true });
  process.once("exit", removeAtExit);
  const discard = async () => {
    process.off("exit", removeAtExit);
    await fs.rm(dir, { recursive: true, force: true });
  };
  try {
    await fs.mkdir(path.join(dir, "domains"));
    const server = await startServer(dir, options.args ?? []);
    const instance = wrap(dir, server, () => startServer(dir, options.args ?? []), discard);
    try {
      await untilAnswering(instance, server);
      for (const domid of options.domains ?? []) await instance.introduce(domid);
    } catch (error) {
      await instance.stop();
      throw error;
    }
    return instance;
  } catch (error) {
    await discard();
    throw error;
  }
}

/** Removes what processes that were killed have left: no server lives that long. */
async function removeOldDirectories(): Promise<void> {
  const oldest = Date.now() - (lifetimeSeconds + 60) * 1000;
  for (const name of await fs.readdir(os.tmpdir())) {
    if (!name.startsWith(prefix)) continue;
    const dir = path.join(os.tmpdir(), name);
    try {
      if ((await fs.stat(dir)).mtimeMs < oldest) await fs.rm(dir, { recursive: true, force: true });
    } catch {
      // Somebody else's, or just removed by somebody else.
    }
  }
}

let built: Promise<void> | null = null;

/** Brings build/shim up to date; make decides whether there is anything to do. */
function buildShim(): Promise<void> {
  built ??= (async () => {
    await fs.mkdir(shimBuild, { recursive: true });
    // Test processes that start at the same time take turns.
    const make = ["make", "--silent", "-C", shimSource, `OUT=${shimBuild}`];
    await run(["flock", path.join(shimBuild, "lock"), ...make], {});
  })();
  return built;
}

/** A server that was started, and its end. */
interface Server {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly exited: Promise<void>;
  hasExited: boolean;
}

async function startServer(dir: string, args: readonly string[]): Promise<Server> {
  const log = await fs.open(path.join(dir, "log"), "w");
  try {
    // The shell sets what the server would need privilege for, and then becomes the server.
    const script = 'ulimit -n "$(ulimit -Hn)"; exec env LD_PRELOAD="$0" "$@"';
    const shim = path.join(shimBuild, "xenstored-shim.so");
    const child = spawn("/bin/sh", ["-c", script, shim, binary, "--no-fork", ...args], {
      env: {
        ...environment(dir),
        XENSTORED_SHIM_PARENT: String(process.pid),
        XENSTORED_SHIM_LIFETIME: String(lifetimeSeconds),
      },
      // A group of its own: an interrupt from the keyboard is for the tests, which then stop it.
      detached: true,
      stdio: ["ignore", log.fd, log.fd],
    });
    const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
    await new Promise<void>((resolve, reject) => {
      child.once("spawn", resolve);
      child.once("error", reject);
    });
    const server: Server = { child, pid: child.pid as number, exited, hasExited: false };
    exited.then(() => server.hasExited = true);
    return server;
  } finally {
    await log.close();
  }
}

/** Where clients find the instance in `dir`. */
function environment(dir: string): Record<string, string> {
  return {
    PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
    XENSTORED_RUNDIR: dir,
    XENSTORED_PATH: path.join(dir, "socket"),
  };
}

async function untilAnswering(instance: RealXenstored, server: Server): Promise<void> {
  const deadline = performance.now() + startTimeoutMs;
  for (;;) {
    try {
      return await fakedom(instance.dir, "ping");
    } catch (error) {
      if (server.hasExited || performance.now() > deadline) {
        const cause = server.hasExited ? "xenstored ended at once" : "xenstored does not answer";
        throw new Error(`${cause}: ${await instance.log()}`, { cause: error });
      }
    }
    await sleep(10);
  }
}

/** Has a domain do something, or the toolstack do it to the domain (see shim/fakedom.c). */
function fakedom(dir: string, ...args: string[]): Promise<void> {
  return run([path.join(shimBuild, "fakedom"), ...args], environment(dir));
}

function wrap(
  dir: string,
  first: Server,
  startAnother: () => Promise<Server>,
  discard: () => Promise<void>,
): RealXenstored {
  let server = first;
  let stopped: Promise<void> | null = null;
  const stop = async () => {
    server.child.kill("SIGTERM");
    await Promise.race([server.exited, sleep(stopTimeoutMs)]);
    if (!server.hasExited) server.child.kill("SIGKILL");
    await server.exited;
    await discard();
  };
  const instance: RealXenstored = {
    dir,
    get pid() {
      return server.pid;
    },
    async restart() {
      server.child.kill("SIGKILL");
      await server.exited;
      for (const name of await fs.readdir(path.join(dir, "domains"))) {
        await fs.rm(path.join(dir, "domains", name), { recursive: true, force: true });
      }
      server = await startAnother();
      await untilAnswering(instance, server);
    },
    socketPath: (domid) => path.join(dir, domid === 0 ? "socket" : `domain-${domid}.sock`),
    introduce: (domid) => fakedom(dir, "introduce", String(domid)),
    release: (domid) => fakedom(dir, "release", String(domid)),
    crash: (domid) => fakedom(dir, "crash", String(domid)),
    shutdown: (domid) => fakedom(dir, "shutdown", String(domid)),
    destroy: (domid) => fakedom(dir, "destroy", String(domid)),
    log: () => fs.readFile(path.join(dir, "log"), "utf8"),
    stop: () => stopped ??= stop(),
  };
  return instance;
}

/**
 * Runs a command to its end.
 * @throws Error with what it printed, unless it succeeds
 */
function run(argv: readonly [string, ...string[]], env: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(argv[0], argv.slice(1), {
      env: { ...process.env, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let output = "";
    child.stdout.on("data", (chunk) => output += chunk);
    child.stderr.on("data", (chunk) => output += chunk);
    child.once("error", reject);
    child.once("close", (code, signal) => {
      if (code === 0) return resolve();
      reject(new Error(`${argv.join(" ")} ended with ${code ?? signal}: ${output.trim()}`));
    });
  });
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
