/** The device model of one guest: started, supervised, found again, ended. */
import { coded } from "../../messages/table.ts";
import type { DeviceModelProgram } from "../../../contract/v1/plugin.ts";
import { openLog } from "../../log/log.ts";
import type { Cancel } from "../../../platform/types.ts";
import { CHILD_VARIABLE } from "./children.ts";
import type { DeviceModelNodes } from "./device_model_nodes.ts";
import { ModelProcess, type ProcessParts } from "./device_model_process.ts";

/** LIBXL_DEVICE_MODEL_START_TIMEOUT, tools/libs/light/libxl_internal.h. */
export const READY_MS = 60_000;

/** Pauses before it is started again; nothing of Xen's, which does not notice that it has ended. */
export const RESTART_MIN_MS = 1_000;
export const RESTART_MAX_MS = 30_000;
/** One that has run for so long was well: the next pause is the shortest again. */
const WELL_MS = 60_000;

/** What a guest's device model is made of. */
export interface GuestDeviceModelParts extends ProcessParts {
  readonly nodes: DeviceModelNodes;
  readonly frontendDomid: number;
  /** Tells it from those of other daemons and other times; borne in its environment. */
  readonly mark: string;
  /** The environment that every process gets. */
  readonly environment: Readonly<Record<string, string>>;
  /** Identities of processes that devices were given, by the journal. */
  readonly recorded: readonly string[];
  /** Whether one may run of which the journal knows nothing: of another program's, such as xl. */
  readonly mayBeForeign: boolean;
}

/** One guest's. */
export class GuestDeviceModel {
  /** Devices that it is kept for, and what tells them that something has happened to it. */
  readonly users = new Map<string, () => void>();
  readonly #parts: GuestDeviceModelParts;
  readonly #log;
  #program: DeviceModelProgram | null = null;
  #process: ModelProcess | null = null;
  #ready = false;
  /** Whether it has been looked for. */
  #known = false;
  #readySince = 0;
  #failure = "it does not run";
  #starting: Promise<void> | null = null;
  #finding: Promise<void> | null = null;
  #stopping: Promise<void> | null = null;
  #pause = RESTART_MIN_MS;
  #cancelRestart: Cancel | null = null;
  #abandoned = false;

  constructor(parts: GuestDeviceModelParts) {
    this.#parts = parts;
    this.#log = openLog(`device-model/${parts.frontendDomid}`);
  }

  /** What its process bears in its environment. */
  get mark(): string {
    return this.#parts.mark;
  }

  /** Identity of the process that is ready; null when there is none. */
  get identity(): string | null {
    return this.#ready ? this.#process?.identity ?? null : null;
  }

  /** Whether it has ended, and is started again after a pause. */
  get pausing(): boolean {
    return this.#cancelRestart !== null;
  }

  /** Why there is none; or what it printed last. */
  get detail(): string {
    return this.#ready ? this.#process?.said ?? "" : this.#failure;
  }

  /** Has it run. @throws Error why it does not */
  async start(program: DeviceModelProgram): Promise<void> {
    this.#program = program;
    while (this.#stopping !== null) await this.#stopping.catch(() => {});
    if (this.#ready) return;
    await (this.#starting ??= this.#bringUp().finally(() => this.#starting = null));
  }

  /** Takes up one that runs since an earlier daemon, if none is known yet. */
  async takeUp(): Promise<void> {
    if (this.#known || this.#starting !== null) return;
    await this.#find();
    if (this.#known || this.#starting !== null) return;
    this.#known = true;
    if (this.#process !== null) this.#becomeReady(this.#process);
    else this.#failure = "it ended while no daemon ran";
  }

  /** Takes up one that runs; has it started a little later if there is none. */
  async adopt(program: DeviceModelProgram): Promise<void> {
    this.#program = program;
    await this.takeUp();
    if (this.#process === null && this.#starting === null) this.#scheduleRestart();
  }

  /** Ends it, if it has no users. @throws Error when it does not end */
  async stopIfUnused(): Promise<void> {
    if (this.users.size > 0) return;
    await (this.#stopping ??= this.#stop().finally(() => this.#stopping = null));
  }

  /** Supervises it no more; it goes on. */
  abandon(): void {
    this.#abandoned = true;
    this.#cancelRestart?.();
    this.#process?.forget();
  }

  async #bringUp(): Promise<void> {
    this.#cancelRestart?.();
    this.#cancelRestart = null;
    let qemu: ModelProcess | null = null;
    this.#known = true;
    try {
      await this.#find();
      qemu = this.#process ?? await this.#launch();
      await this.#awaitReady(qemu);
      if (this.#process !== qemu) throw new Error(this.#failure);
    } catch (error) {
      this.#failure = (error as Error).message;
      if (qemu !== null && this.#process === qemu) {
        this.#process = null;
        await qemu.end().catch((error) => this.#log.warning(error.message));
      }
      this.#scheduleRestart();
      throw new Error(coded("qemu-ended", `the guest's QEMU does not start: ${this.#failure}`));
    }
    this.#becomeReady(qemu);
  }

  #becomeReady(qemu: ModelProcess): void {
    this.#ready = true;
    this.#readySince = this.#parts.clock.now();
    this.#log.info(`QEMU runs, process ${qemu.pid}`);
  }

  async #launch(): Promise<ModelProcess> {
    const { nodes, mark, environment } = this.#parts;
    if (this.#program === null || this.users.size === 0) throw new Error("nobody needs it");
    await nodes.clearState();
    const output = (line: string) => this.#log.info(`qemu: ${line}`);
    const qemu = await ModelProcess.start(
      this.#parts,
      this.#program,
      mark,
      environment,
      output,
    );
    this.#take(qemu);
    // Only tools need it: QEMU runs without.
    await nodes.writePid(qemu.pid).catch((error) =>
      this.#log.warning(coded(
        "driver-domain-rights",
        `its process number cannot be written: ${error.message} ` +
          "(was this domain started with driver_domain=1?)",
      ))
    );
    return qemu;
  }

  async #awaitReady(qemu: ModelProcess): Promise<void> {
    const abort = new AbortController();
    const late = () =>
      abort.abort(new Error(`it is not running after ${READY_MS / 1000} s${tail(qemu)}`));
    const cancel = this.#parts.clock.after(READY_MS, late);
    qemu.ended.then((how) => abort.abort(new Error(`it ended: ${how}${tail(qemu, how)}`)));
    try {
      await this.#parts.nodes.running(abort.signal);
    } finally {
      cancel();
    }
  }

  /** Looks for one that runs already. */
  #find(): Promise<void> {
    return this.#finding ??= this.#look().finally(() => this.#finding = null);
  }

  async #look(): Promise<void> {
    if (this.#process !== null) return;
    const pid = await this.#findPid();
    if (pid === undefined) return;
    const qemu = await ModelProcess.adopt(this.#parts, pid);
    if (qemu === null) return;
    this.#log.info(`QEMU is there already, process ${pid}: taken up`);
    this.#take(qemu);
  }

  async #findPid(): Promise<number | undefined> {
    const { table, mark, recorded, nodes, frontendDomid, mayBeForeign } = this.#parts;
    // A process that it starts bears its mark as well, and is younger.
    const marked = [...await table.withVariable(CHILD_VARIABLE)].filter(([, value]) =>
      value === mark
    ).map(([pid]) => pid).sort((a, b) => a - b);
    if (marked[0] !== undefined) return marked[0];
    for (const identity of recorded) {
      const pid = Number(identity.split(":")[0]);
      if (await table.identityOf(pid) === identity) return pid;
    }
    if (!mayBeForeign) return undefined;
    const pid = await nodes.readPid();
    if (pid === undefined) return undefined;
    // The number may be another process's by now.
    const argv = await table.commandLineOf(pid);
    const serves = argv[argv.indexOf("-xen-domid") + 1] === String(frontendDomid);
    return serves && argv.includes("-xen-attach") ? pid : undefined;
  }

  #take(qemu: ModelProcess): void {
    this.#process = qemu;
    this.#ready = false;
    qemu.ended.then((how) => {
      if (this.#process !== qemu || this.#abandoned) return;
      const wasReady = this.#ready;
      this.#process = null;
      this.#ready = false;
      this.#failure = `it ended: ${how}${tail(qemu, how)}`;
      // One that was never ready is the business of whoever waits for it.
      if (!wasReady || this.#stopping !== null) return;
      this.#log.error(coded("qemu-ended", `QEMU ended: ${how}${tail(qemu, how)}`));
      if (this.#parts.clock.now() - this.#readySince >= WELL_MS) this.#pause = RESTART_MIN_MS;
      this.#scheduleRestart();
      this.#tellUsers();
    });
  }

  #scheduleRestart(): void {
    if (this.#abandoned || this.users.size === 0 || this.#cancelRestart !== null) return;
    const ms = this.#pause;
    this.#pause = Math.min(2 * ms, RESTART_MAX_MS);
    this.#log.info(`QEMU will be started again in ${ms / 1000} s`);
    this.#cancelRestart = this.#parts.clock.after(ms, () => {
      this.#cancelRestart = null;
      if (this.#abandoned || this.users.size === 0 || this.#program === null) return;
      this.start(this.#program).then(
        () => this.#tellUsers(),
        (error) => this.#log.error(error.message),
      );
    });
  }

  #tellUsers(): void {
    for (const tell of [...this.users.values()]) tell();
  }

  async #stop(): Promise<void> {
    this.#cancelRestart?.();
    this.#cancelRestart = null;
    await this.#find();
    await this.#process?.end();
    // One that was being started: its end has just been noticed, or nobody wants it.
    await this.#starting?.catch(() => {});
    await this.#process?.end();
    this.#process = null;
    this.#ready = false;
    this.#pause = RESTART_MIN_MS;
    await this.#parts.nodes.remove();
  }
}

function tail({ said }: ModelProcess, how = ""): string {
  // Of one that somebody else ended, the last line has nothing to do with its end.
  const byOthers = /SIG(KILL|TERM|HUP)$/.test(how);
  return said === "" || byOthers ? "" : `: ${said}`;
}
