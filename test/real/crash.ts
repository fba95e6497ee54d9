/**
 * A driver domain under fire: attaches and detaches at random, on the real xenstored, the real
 * `block` script and real loop devices, while the daemon (and, if asked for, xenstored) is killed
 * again and again. Counts what was lost and what was left.
 */
import { appendFileSync, closeSync, openSync, rmSync, writeSync } from "node:fs";
import * as fs from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deviceName } from "../../core/xen/device_id.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { DaemonProcess, programCommand } from "../support/daemon_process.ts";
import { type FailingStore, listenFailing } from "../support/failing_store.ts";
import { HandMadeDevice, makeDomain } from "../support/hand_made.ts";
import { HeldNamespace } from "../support/held_namespace.ts";
import { PidsGroup } from "../support/pids_group.ts";
import { connectTo } from "../support/store_connection.ts";
import { type RealXenstored, startXenstored } from "./xenstored.ts";

/** How much is done. */
export interface CrashOptions {
  /** How often the daemon is killed. */
  readonly kills: number;
  /** How often xenstored is killed, in between. */
  readonly storeKills?: number;
  readonly seed: number;
  /** How many descriptors the daemon may have; default: as many as this process. */
  readonly descriptors?: number;
  /** Of 100 effects, how many fail; see {@link FAILURES}. */
  readonly failures?: number;
  /** Which effects; default: all. */
  readonly failing?: readonly Failing[];
  /** Where all the daemons' logs, and the diary of the scripts, are collected. */
  readonly logFile?: string;
  /** Called now and then. */
  progress?(line: string): void;
}

/**
 * Effects that are made to fail, each on its own:
 * - `scripts`: a run of a script; an add that has done its work, and has said so, a remove that has not
 * - `store`: a change in the store, of the daemon's or a script's (EIO)
 * - `journal`: what is written in a moment when the run directory's file system is full
 * - `processes`: whoever makes a process in a moment when the daemon's control group is full
 */
export const FAILURES = ["scripts", "store", "journal", "processes"] as const;

/** One of them. */
export type Failing = typeof FAILURES[number];

/** What came of it; all that should be zero is in `faults`. */
export interface CrashReport {
  readonly kills: number;
  readonly storeKills: number;
  readonly attaches: number;
  readonly detaches: number;
  readonly scriptRuns: number;
  readonly adopted: number;
  readonly redone: number;
  /** Attaches that were refused as they had to be, since something was made to fail. */
  readonly refused: number;
  /** Those of them whose script had said `connected` before it failed. */
  readonly refusedLate: number;
  /** How often something else than a script was made to fail, or was full. */
  readonly madeToFail: number;
  /** Tries at undoing that failed. */
  readonly failedUndos: number;
  readonly faults: {
    /** Attaches that never became `connected`, or the wrong file, or not any more later. */
    readonly lost: string[];
    /** Detaches that never ended, loop devices, journal records or processes at the end. */
    readonly left: string[];
    /** Add scripts of one attach without a remove between, or two scripts at the same time. */
    readonly twice: string[];
  };
}

const DRIVER = 1;
const GUESTS = [7, 8, 9];
const SLOTS_PER_GUEST = 2;
/** Longer than any script or kill may delay a device, in ms. */
const PATIENCE_MS = 45_000;

/** A small generator (mulberry32), so that a run can be repeated as far as timing allows. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = state;
    value = Math.imul(value ^ (value >>> 15), value | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 2 ** 32;
  };
}

const sleep = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** What a script says that fails on purpose, and the daemon when it may open no more. */
const ON_PURPOSE = "it fails on purpose";
const REFUSAL = /too few file descriptors|EMFILE/;

/** The script that devices name: Debian's, with a diary. @param failures in how many of 100 runs it fails */
function diaryScript(diary: string, failures: number): string {
  return `#!/bin/bash
# What the shell itself says (that a child was ended, say) would end it when the daemon is dead.
exec 3>&2 2>/dev/null
attach=$(xenstore-read "$XENBUS_PATH/incarnation" 2>/dev/null)
trap 'echo "end $1 $XENBUS_PATH \${attach:-none} $$ stopped" >> ${diary}; exit 143' TERM
echo "begin $1 $XENBUS_PATH \${attach:-none} $$ $(date +%T.%N)" >> ${diary}
# The daemon's own limit is not the scripts': Xen's lock by descriptor 200.
ulimit -Sn 1024
fails=$((RANDOM % 100 < ${failures}))
code=0
[ "$fails$1" = 1remove ] || { /etc/xen/scripts/block "$@" 2>&3; code=$?; }
# Not by the shell itself: the pipe of a daemon that is dead would end it.
[ "$fails" = 1 ] && { (echo "${ON_PURPOSE}" >&3); code=1; }
echo "end $1 $XENBUS_PATH \${attach:-none} $$ $code $(date +%T.%N)" >> ${diary}
exit $code
`;
}

/** Runs it. @throws Error when the machine itself fails, not the daemon */
export async function crashRun(options: CrashOptions): Promise<CrashReport> {
  const run = new CrashRun(options);
  let report: CrashReport;
  try {
    report = await run.run();
  } catch (error) {
    await run.end().catch((another) => console.error(another));
    throw error;
  }
  await run.end();
  return report;
}

class CrashRun {
  readonly #options: CrashOptions;
  readonly #random: () => number;
  readonly #lost: string[] = [];
  readonly #left: string[] = [];
  readonly #twice: string[] = [];
  #directory = "";
  #diary = "";
  #store!: RealXenstored;
  #dom0!: StoreClient;
  #daemon: DaemonProcess | null = null;
  #attaches = 0;
  #detaches = 0;
  #adopted = 0;
  #redone = 0;
  #refused = 0;
  #refusedLate = 0;
  #madeToFail = 0;
  #failedUndos = 0;
  #incarnation = 0;
  /** Raised with each restart of xenstored: what was in the store is gone. */
  #epoch = 0;
  #storeUp: Promise<void> = Promise.resolve();
  #over = false;
  /** The daemon's run directory is on a file system of its own. */
  #place!: HeldNamespace;
  #group: PidsGroup | null = null;
  #failingStore: FailingStore | null = null;
  /** One at a time: something is full, or the daemon is started. */
  #moment: Promise<unknown> = Promise.resolve();

  constructor(options: CrashOptions) {
    this.#options = options;
    this.#random = random(options.seed);
  }

  #mayFail(what: Failing): boolean {
    const { failures = 0, failing = FAILURES } = this.#options;
    return failures > 0 && failing.includes(what);
  }

  /** Where the run directory is, as seen from here. */
  get #run(): string {
    return this.#place.seen(join(this.#directory, "run"));
  }

  async run(): Promise<CrashReport> {
    this.#directory = await fs.mkdtemp(join(tmpdir(), "xdevd-crash-"));
    this.#diary = join(this.#directory, "diary");
    await fs.writeFile(this.#diary, "");
    await fs.writeFile(
      join(this.#directory, "block"),
      diaryScript(this.#diary, this.#mayFail("scripts") ? this.#options.failures! : 0),
      { mode: 0o755 },
    );
    // By its name it is Xen's own, whose work the daemon could do itself.
    const config = '[plugins.vbd.settings]\nnative = "never"\n';
    await fs.writeFile(join(this.#directory, "config.toml"), config, { mode: 0o644 });
    this.#store = await startXenstored({ domains: [DRIVER, ...GUESTS] });
    await this.#openStore();
    await fs.mkdir(join(this.#directory, "run"), { mode: 0o755 });
    this.#place = await HeldNamespace.start(["mount"], [
      `mount -t tmpfs -o size=1m,mode=755 xdevd-test ${join(this.#directory, "run")}`,
    ]);
    if (this.#mayFail("processes")) this.#group = new PidsGroup(`xdevd-test-crash-${process.pid}`);
    if (this.#mayFail("store")) {
      this.#failingStore = listenFailing(
        join(this.#directory, "store"),
        this.#store.socketPath(DRIVER),
        () => Math.random() * 100 < this.#options.failures!,
      );
    }
    await this.#startDaemon();
    const slots: Promise<void>[] = [this.#disturb()];
    for (const guest of GUESTS) {
      for (let slot = 0; slot < SLOTS_PER_GUEST; slot++) {
        slots.push(this.#slot(guest, 51712 + 16 * slot));
      }
    }
    await this.#killers();
    this.#over = true;
    await Promise.all(slots);
    await this.#checkEnd();
    const scriptRuns = await this.#checkDiary();
    const { logFile } = this.#options;
    if (logFile !== undefined) {
      await fs.appendFile(logFile, `==== diary\n${await fs.readFile(this.#diary, "utf8")}`);
    }
    const { kills, storeKills = 0 } = this.#options;
    return {
      kills,
      storeKills,
      attaches: this.#attaches,
      detaches: this.#detaches,
      scriptRuns,
      adopted: this.#adopted,
      redone: this.#redone,
      refused: this.#refused,
      refusedLate: this.#refusedLate,
      madeToFail: this.#madeToFail + (this.#failingStore?.failed ?? 0),
      failedUndos: this.#failedUndos,
      faults: { lost: this.#lost, left: this.#left, twice: this.#twice },
    };
  }

  async end(): Promise<void> {
    this.#group?.limit("max");
    await this.#daemon?.stop("SIGKILL");
    this.#failingStore?.stop();
    await this.#place?.stop();
    this.#dom0?.close();
    await this.#store?.stop();
    for (const line of await this.#losetup()) {
      const loop = /^(\/dev\/loop\d+):/.exec(line)?.[1];
      if (loop !== undefined) await run(["losetup", "-d", loop]);
    }
    await this.#group?.remove();
    // Nothing is mounted there by now, and nothing ever was that is seen here.
    if (this.#directory !== "") await fs.rm(this.#directory, { recursive: true, force: true });
  }

  #pause(from: number, to: number): Promise<void> {
    return sleep(from + this.#random() * (to - from));
  }

  async #openStore(): Promise<void> {
    this.#dom0 = await connectTo(this.#store.socketPath(0));
    for (const domid of [DRIVER, ...GUESTS]) await makeDomain(this.#dom0, domid);
  }

  async #startDaemon(): Promise<void> {
    const { descriptors, failures = 0 } = this.#options;
    const steps = [
      ...(this.#group === null ? [] : [`echo $$ > ${this.#group.procs}`]),
      ...(descriptors === undefined ? [] : [`ulimit -Sn ${descriptors}`]),
      'exec "$@"',
    ];
    const command = this.#place.command(["sh", "-c", steps.join("; "), "sh", ...programCommand()]);
    const patience = ["retry=0.5", "retryMost=5", "resync=5"].flatMap((time) => ["--time", time]);
    this.#daemon = await DaemonProcess.start([
      "--store",
      this.#failingStore === null ? this.#store.socketPath(DRIVER) : join(this.#directory, "store"),
      ...(failures > 0 ? patience : []),
      "--scripts",
      this.#directory,
      "--run-dir",
      join(this.#directory, "run"),
      "--log-level",
      "debug",
      "--config",
      join(this.#directory, "config.toml"),
    ], { command });
  }

  /** Kills the daemon at random moments, and xenstored every now and then. */
  async #killers(): Promise<void> {
    const { kills, storeKills = 0 } = this.#options;
    const every = storeKills === 0 ? Infinity : Math.max(1, Math.floor(kills / storeKills));
    let stores = 0;
    for (let kill = 1; kill <= Math.max(kills, storeKills); kill++) {
      await this.#pause(20, 700);
      if (kill <= kills) {
        await this.#daemon?.stop("SIGKILL");
        this.#readLog();
        await this.#inTurn(() => this.#startDaemon());
      }
      if (kill % every === 0 && stores < storeKills) {
        stores++;
        await this.#pause(0, 300);
        await this.#restartStore();
      }
      if (kill % 25 === 0) {
        this.#options.progress?.(
          `${kill} kills, ${this.#attaches} attaches, ${this.#detaches} detaches, ` +
            `${this.#lost.length} lost`,
        );
      }
    }
  }

  /** Nothing is full while it runs, unless it sees to that. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#moment.then(work);
    this.#moment = result.catch(() => {});
    return result;
  }

  /** There is no room in the run directory for a moment, or for another process, for that share of the time. */
  async #disturb(): Promise<void> {
    const kinds = (["journal", "processes"] as const).filter((kind) => this.#mayFail(kind));
    if (kinds.length === 0) return;
    const { failures = 0 } = this.#options;
    const filler = join(this.#run, "filler");
    while (!this.#over) {
      const kind = kinds[Math.floor(this.#random() * kinds.length)];
      const ms = 20 + this.#random() * 150;
      await sleep(ms * (100 / failures - 1) / kinds.length);
      await this.#inTurn(async () => {
        this.#madeToFail++;
        if (kind === "journal") fill(filler);
        else this.#group!.limit("now");
        await sleep(ms);
        if (kind === "journal") rmSync(filler);
        else this.#group!.limit("max");
      });
    }
  }

  #readLog(): void {
    if (this.#options.logFile !== undefined) {
      appendFileSync(this.#options.logFile, `---- ${this.#daemon?.log}`);
    }
    this.#adopted += this.#daemon?.lines("adopted").length ?? 0;
    this.#redone += this.#daemon?.lines("undoing it first").length ?? 0;
    this.#failedUndos += this.#daemon?.lines("and is tried again").length ?? 0;
  }

  async #restartStore(): Promise<void> {
    this.#epoch++;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#storeUp = promise;
    this.#dom0.close();
    await this.#store.restart();
    for (const domid of [DRIVER, ...GUESTS]) await this.#store.introduce(domid);
    await this.#openStore();
    resolve();
  }

  /** One device after the other, as the toolstack, the kernel and the guest would have it. */
  async #slot(guest: number, devid: number): Promise<void> {
    const image = join(this.#directory, `disk-${guest}-${devid}`);
    await fs.writeFile(image, Buffer.alloc(64 * 1024, guest));
    while (!this.#over) {
      await this.#storeUp;
      const epoch = this.#epoch;
      try {
        await this.#cycle(guest, devid, image);
      } catch (error) {
        // Its store was taken away under it: the next one starts anew.
        if (this.#epoch === epoch) throw error;
      }
    }
  }

  async #cycle(guest: number, devid: number, image: string): Promise<void> {
    await this.#pause(0, 200);
    const id = { backendDomid: DRIVER, kind: "vbd", frontendDomid: guest, devid };
    const device = new HandMadeDevice(this.#dom0, id);
    let attach = 0;
    const create = () => {
      this.#attaches++;
      attach = ++this.#incarnation;
      return device.create({
        script: join(this.#directory, "block"),
        params: image,
        incarnation: String(attach),
      });
    };
    await create();
    await this.#pause(0, 50);
    await device.write("state", "2");
    // Some are given up before they are ready.
    const epoch = this.#epoch;
    const chance = this.#random();
    if (chance < 0.75 || this.#over) {
      const node = await this.#connected(device, image, attach);
      if (node !== null) {
        await device.write("state", "4");
        await this.#pause(0, 300);
        if (this.#epoch !== epoch) throw new Error("another store");
        const isKept = (await this.#carriers(image)).includes(node);
        if (!isKept && !await this.#isRefusedLate(device, attach)) {
          this.#lost.push(`${deviceName(id)}: ${node} was taken away while in use`);
        }
      }
    } else await this.#pause(0, 150);
    const way = this.#random();
    if (way < 0.15) {
      await device.nuke();
    } else if (way < 0.3) {
      // Made anew at once, under the same name.
      await device.nuke();
      await create();
      await device.write("state", "2");
      await this.#connected(device, image, attach);
      await this.#detach(device);
    } else if (way < 0.45) {
      // The guest dies; its kernel side sees that.
      await this.#dom0.removeOptional(device.frontend);
      await device.write("state", "6").catch(() => {});
    } else await this.#detach(device);
    await this.#gone(device);
    this.#detaches++;
  }

  async #detach(device: HandMadeDevice): Promise<void> {
    await device.write("online", "0");
    await device.write("state", "5");
    await this.#pause(0, 100);
    await device.write("state", "6");
  }

  /**
   * Waits for the setup; returns its loop device, which carries the right file. A directory that was
   * made anew while the script of the one before still ran can get that script's `connected` for a
   * moment: only with the daemon's mark does it count.
   */
  async #connected(
    device: HandMadeDevice,
    image: string,
    attach: number,
  ): Promise<string | null> {
    const what = deviceName(device.id);
    const epoch = this.#epoch;
    let node = "";
    let isRefused = false;
    const done = await this.#waitFor(() =>
      this.#dom0.transaction(async (t) => {
        const [status, token, error = ""] = await Promise.all(
          ["hotplug-status", "xdevd-attach", "hotplug-error"].map((name) =>
            t.readOptional(`${device.backend}/${name}`)
          ),
        );
        node = await t.readOptional(`${device.backend}/node`) ?? "";
        // What waits for another one's undoing is served after it.
        isRefused = status === "error" && this.#isRefusal(error);
        return status === "connected" && token !== undefined || isRefused;
      })
    );
    if (this.#epoch !== epoch) throw new Error("another store");
    if (!done) {
      this.#lost.push(`${what}: never connected: ${JSON.stringify(await device.nodes())}`);
      return null;
    }
    if (isRefused) {
      this.#refused++;
      return null;
    }
    if (!(await this.#carriers(image)).includes(node)) {
      if (await this.#isRefusedLate(device, attach)) return null;
      this.#lost.push(`${what}: connected, but ${node || "nothing"} does not carry its file`);
      return null;
    }
    return node;
  }

  /** Where effects fail on purpose, any cause will do, as long as there is one. */
  #isRefusal(error: string): boolean {
    return (this.#options.failures ?? 0) > 0 ? error !== "" : REFUSAL.test(error);
  }

  /**
   * Whether an attach that was seen connected has failed after all. A script of version 1 says `connected`
   * itself, and may fail afterwards: nobody can take that word back, but it is followed by an error. Where
   * only scripts fail on purpose, the diary has to say that this one did.
   */
  async #isRefusedLate(device: HandMadeDevice, attach: number): Promise<boolean> {
    const { failures = 0, failing = FAILURES } = this.#options;
    if (failures === 0) return false;
    const place = device.backend.replace(/^\/local\/domain\/\d+\//, "");
    const diary = await fs.readFile(this.#diary, "utf8");
    const hasFailed = diary.split("\n").some((line) => {
      const [when, action, path = "", of, , code] = line.split(" ");
      return when === "end" && action === "add" && path === place && of === String(attach) &&
        code !== "0";
    });
    if (!hasFailed && failing.join() === "scripts") return false;
    const isSaid = await this.#waitFor(async () => {
      const [status, error = ""] = await Promise.all(
        ["hotplug-status", "hotplug-error"].map((name) => device.read(name)),
      );
      return status === "error" && this.#isRefusal(error);
    });
    if (isSaid) this.#refusedLate++;
    return isSaid;
  }

  async #gone(device: HandMadeDevice): Promise<void> {
    if (await this.#waitFor(async () => !await this.#dom0.exists(device.backend))) return;
    const nodes = JSON.stringify(await device.nodes());
    this.#left.push(`${deviceName(device.id)}: never deleted: ${nodes}`);
    await device.nuke();
  }

  async #waitFor(condition: () => Promise<boolean>): Promise<boolean> {
    const epoch = this.#epoch;
    const end = performance.now() + PATIENCE_MS;
    while (!await condition()) {
      if (this.#epoch !== epoch) throw new Error("another store");
      if (performance.now() > end) return false;
      await sleep(15);
    }
    return true;
  }

  /** Loop devices that carry a file. */
  async #carriers(image: string): Promise<string[]> {
    const loops: string[] = [];
    for (const name of await fs.readdir("/sys/block")) {
      const file = await fs.readFile(`/sys/block/${name}/loop/backing_file`, "utf8").catch(() =>
        ""
      );
      if (file.trimEnd() === image) loops.push(`/dev/${name}`);
    }
    return loops;
  }

  async #losetup(): Promise<string[]> {
    const lines = (await run(["losetup", "-a"])).split("\n");
    return this.#directory === "" ? [] : lines.filter((line) => line.includes(this.#directory));
  }

  /** What is left when nothing is wanted any more. */
  async #checkEnd(): Promise<void> {
    await this.#waitFor(async () => (await this.#losetup()).length === 0);
    this.#left.push(...(await this.#losetup()).map((line) => `loop device ${line}`));
    await sleep(500);
    const code = await this.#daemon?.stop();
    this.#readLog();
    if (code !== 0) this.#left.push(`the daemon's exit status: ${code}\n${this.#daemon?.log}`);
    const journal = join(this.#run, `devd-${DRIVER}.journal`);
    const records = (await fs.readFile(journal)).toString("latin1").match(/vbd\/|frontendDomid/g);
    // The newest journal was compacted when the daemon started; anything since has been dropped.
    if (records !== null && !await this.#journalIsEmpty(journal)) {
      this.#left.push("the journal is not empty");
    }
    const processes = await run([
      "sh",
      "-c",
      `pgrep -f "$1" | grep -v "^$$\\$" || true`,
      "sh",
      this.#diary,
    ]);
    if (processes.trim() !== "") this.#left.push(`processes: ${processes.trim()}`);
    if (this.#group !== null) {
      await this.#waitFor(async () => this.#group!.processes.length === 0);
      this.#left.push(...this.#group.processes.map((process) => `process ${process}`));
    }
  }

  async #journalIsEmpty(path: string): Promise<boolean> {
    const { replay } = await import("../../core/daemon/journal/format.ts");
    return replay(new Uint8Array(await fs.readFile(path))).entries.size === 0;
  }

  /** The diary: no two scripts of a device at once, no two adds of one attach in a row. */
  async #checkDiary(): Promise<number> {
    const running = new Map<string, string>();
    const added = new Map<string, string>();
    let runs = 0;
    for (const line of (await fs.readFile(this.#diary, "utf8")).split("\n")) {
      const [when, action, place = "", attach = "", pid] = line.split(" ");
      // A script that undoes on a copy of the nodes is one of the device all the same.
      const path = place.replace(/^data\/xdevd\//, "");
      if (when === "begin") {
        runs++;
        const other = running.get(path);
        if (other !== undefined) this.#twice.push(`at the same time: ${other} and ${line}`);
        running.set(path, line);
        if (action === "add") {
          if (added.get(path) === attach) this.#twice.push(`added again: ${line}`);
          added.set(path, attach);
        } else added.delete(path);
      } else if (when === "end" && running.get(path)?.split(" ")[4] === pid) running.delete(path);
    }
    return runs;
  }
}

/** Fills what a file is on. */
function fill(file: string): void {
  const fd = openSync(file, "a");
  try {
    for (const size of [4096, 64, 1]) {
      try {
        for (;;) writeSync(fd, new Uint8Array(size));
      } catch (error) {
        if ((error as { code?: string }).code !== "ENOSPC") throw error;
      }
    }
  } finally {
    closeSync(fd);
  }
}

async function run(argv: string[]): Promise<string> {
  const child = Bun.spawn(argv, { stdout: "pipe", stderr: "ignore" });
  const text = await new Response(child.stdout).text();
  await child.exited;
  return text;
}
