/** A daemon that serves vTPMs with the real swtpm, and guests, without Xen. */
import vtpm from "../../backends/vtpm/plugin.ts";
import { backendPath, type DeviceId, deviceName, frontendPath } from "../../core/xen/device_id.ts";
import { CHILD_VARIABLE } from "../../core/daemon/capabilities/children.ts";
import { keptOf, KeptStore } from "../../platform/io/kept_directories.ts";
import { systemProcessTable } from "../../platform/linux/process_table.ts";
import type { SimulatedGrant, SimulatedPort } from "../../simulation/xen/simulated_xen.ts";
import type { Setting } from "../../contract/v1/plugin.ts";
import { type PluginHost, readyHost } from "../../core/daemon/plugin/host.ts";
import { until } from "./daemon_process.ts";
import { ServedWorld } from "./served_world.ts";

export const UUID = "01234567-89ab-cdef-0123-456789abcdef";

/** States of the page. */
export const [IDLE, SUBMIT, FINISH, CANCEL] = [0, 1, 2, 3];

/** Commands of TPM 2.0, and one of each that takes long. */
export const RANDOM = "80010000000c0000017b0010";
export const READ_PCR_16 = "8001000000140000017e00000001000b03000001";
export const EXTEND_PCR_16 = `80020000004100000182000000100000000940000009000000000000000001000b${
  "5a".repeat(32)
}`;
/** TPM2_CreatePrimary of a key of RSA-2048: 20 ms to some seconds. */
const RSA = `0001000b00030472${"0000"}00060080004300100800${"00000000"}${"0000"}`;
export const CREATE_PRIMARY = framed(
  "8002",
  "00000131",
  `40000001${"00000009"}40000009000000${"0000"}0004${"0000"}${"0000"}${
    size16(RSA)
  }${RSA}${"0000"}${"00000000"}`,
);

/** A command with its length. */
export function framed(tag: string, code: string, body: string): string {
  const length = (10 + body.length / 2).toString(16).padStart(8, "0");
  return tag + length + code + body;
}

function size16(hex: string): string {
  return (hex.length / 2).toString(16).padStart(4, "0");
}

/** A guest's frontend, as xen-tpmfront does it. */
export class TpmGuest {
  readonly #world: VtpmWorld;
  readonly id: DeviceId;
  readonly grant: SimulatedGrant;
  readonly port: SimulatedPort;

  constructor(world: VtpmWorld, id: DeviceId, grant: SimulatedGrant, port: SimulatedPort) {
    this.#world = world;
    this.id = id;
    this.grant = grant;
    this.port = port;
  }

  get state(): number {
    return this.grant.memory.read8(4);
  }

  /** Writes a command into the page. */
  submit(hex: string, { locality = 0, length = hex.length / 2, extra = 0 } = {}): void {
    const { memory } = this.grant;
    memory.write(8, Uint8Array.from(Buffer.from(hex, "hex")).subarray(0, 4088));
    memory.write32(0, length);
    memory.write8(5, locality);
    memory.write8(7, extra);
    memory.write8(4, SUBMIT!);
    this.port.notify();
  }

  /** Waits until the backend has given the page back. @returns its state */
  async given(): Promise<number> {
    await until(
      () => this.state !== SUBMIT && this.state !== CANCEL,
      () => this.#world.log.join(""),
    );
    return this.state;
  }

  /** The answer to a command; null when there was none. */
  async ask(hex: string, options: Parameters<TpmGuest["submit"]>[1] = {}): Promise<string | null> {
    this.submit(hex, options);
    if (await this.given() !== FINISH) return null;
    const { memory } = this.grant;
    return Buffer.from(memory.read(8, memory.read32(0))).toString("hex");
  }

  async write(state: number): Promise<void> {
    await this.#world.guestStore!.write(`${frontendPath(this.id, "vtpm")}/state`, String(state));
  }
}

export class VtpmWorld extends ServedWorld {
  /** The administrator's. */
  settings: Record<string, Setting> = {};
  readonly kept = new KeptStore(`${this.directory}/state/vtpm`);

  constructor() {
    super(vtpm, null);
  }

  protected override host(): PluginHost {
    return { ...readyHost(vtpm), settings: this.settings };
  }

  protected override own() {
    return { kept: (_: string, holder: string) => keptOf(this.kept, holder) };
  }

  device(devid = 0, frontendDomid = 7): DeviceId {
    return { backendDomid: 1, kind: "vtpm", frontendDomid, devid };
  }

  /** Attached, and connected by its guest. */
  async connected(uuid = UUID, id = this.device()): Promise<TpmGuest> {
    await this.attach(id, { uuid, resume: "False" });
    await this.reaches(`${backendPath(id)}/state`, "2");
    return await this.connect7(id);
  }

  /** What xen-tpmfront does when it sees a backend. */
  async connect7(id = this.device(), state = 3): Promise<TpmGuest> {
    const grant = this.guest7.grant(1);
    const port = await this.guest7.openPort();
    await this.offer(id, {
      "ring-ref": String(grant.references[0]),
      "event-channel": String(port.number),
      "feature-protocol-v2": "1",
    }, state);
    await this.reaches(`${backendPath(id)}/state`, "4");
    return new TpmGuest(this, id, grant, port);
  }

  /** Removes it as the toolstack does, with a guest that closes. @returns how long it took, in ms */
  async detach(id = this.device()): Promise<number> {
    const start = performance.now();
    const removed = this.toolstack().remove(this.spec(id));
    await until(async () => await this.state(id) !== "4", () => this.log.join(""));
    await this.guestStore?.write(`${frontendPath(id, "vtpm")}/state`, "6").catch(() => {});
    // Its own limits are short ones; how long it takes is measured.
    await removed.catch(() => {});
    await this.gone(id);
    await until(() => this.journal.get(deviceName(id)) === undefined, () => this.log.join(""));
    return performance.now() - start;
  }

  /** A process of a device's: `server` or `swtpm`. */
  async pidOf(name: string, id = this.device()): Promise<number | undefined> {
    const { attachId } = this.journal.get(deviceName(id))!;
    const marked = await systemProcessTable.withVariable(CHILD_VARIABLE);
    return [...marked].find(([, value]) => value === `${deviceName(id)}/${attachId}/${name}`)?.[0];
  }
}
