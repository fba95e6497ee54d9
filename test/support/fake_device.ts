/** A device for plugins, on a machine made up for the test. */
import type {
  Device,
  DeviceIdentity,
  DeviceModelStatus,
  Holder,
  Undo,
} from "../../contract/v1/plugin.ts";
import { FakeBlocks } from "./fake_blocks.ts";
import { FakeLinks } from "./fake_links.ts";
import { keptOf, KeptStore } from "../../platform/io/kept_directories.ts";
import { deviceConfig } from "../../core/daemon/plugin/device_config.ts";

/** Undo records by device (`vbd/7/51712`). */
export type UndoRecords = Map<
  string,
  {
    readonly guest: number;
    readonly undo: Undo;
    /** Whether its script was begun; absent of one that somebody else has set up. */
    readonly script?: "none" | "begun";
    readonly stage?: Holder["stage"];
    readonly ending?: boolean;
  }
>;

/** Other devices that have a value. @param key of the device that asks */
export function holdersIn(
  records: UndoRecords,
  key: string,
  guest: number,
  name: string,
  value: string,
  by: "any" | "other guests",
): Holder[] {
  return [...records].filter(([other, record]) =>
    other !== key && record.undo[name] === value && (by === "any" || record.guest !== guest)
  ).map(([other, { undo, stage = "connected", ending = false }]) => {
    const [kind = "", frontendDomid, devid] = other.split("/");
    return {
      kind,
      frontendDomid: Number(frontendDomid),
      devid: Number(devid),
      ending,
      stage,
      undo,
    };
  });
}

/** The different values under a name. */
export function valuesIn(records: UndoRecords, name: string): Undo[string][] {
  const values = [...records.values()].flatMap(({ undo }) => undo[name] ?? []);
  return [...new Set(values)];
}

/** Files of the made-up machine: texts, and what each path is the same as. */
export class FakeMachine {
  readonly files = new Map<string, string>();
  /** Identity of files and devices. */
  readonly identities = new Map<string, string>();
  readonly undoRecords: UndoRecords = new Map();
  /** Which virtual machine a guest is, as far as the driver domain may know. */
  readonly machines = new Map<number, string>();
  /** Programs and scripts that were run. */
  readonly runs: string[] = [];
  /** What a script does. */
  script: (action: "prepare" | "add" | "remove", device: FakeDevice) => Promise<void> =
    async () => {};
  scriptVersion: 1 | 2 = 1;
  #sequence = 0;

  constructor() {
    this.files.set("/usr/sbin/losetup", "");
  }

  /** Attaches a file to a loop device. */
  losetup(loop: string, file: string): void {
    this.files.set(`/sys/block/${loop}/loop/backing_file`, `${file}\n`);
    this.files.set(`/sys/block/${loop}/diskseq`, `${++this.#sequence}\n`);
  }

  /** Detaches it. */
  detach(loop: string): void {
    this.files.delete(`/sys/block/${loop}/loop/backing_file`);
  }

  /** Loop devices that carry something. */
  get loops(): string[] {
    return [...this.files.keys()].flatMap((path) =>
      /^\/sys\/block\/(\w+)\/loop\/backing_file$/.exec(path)?.[1] ?? []
    );
  }
}

/** One device. */
export class FakeDevice implements Device {
  readonly id: DeviceIdentity;
  readonly machine: FakeMachine;
  /** null when the directory is gone. */
  store: Map<string, string> | null;
  readonly lines: string[] = [];
  now = 0;
  readonly #key: string;

  constructor(machine: FakeMachine, id: DeviceIdentity, nodes: Record<string, string>) {
    this.machine = machine;
    this.id = id;
    this.store = new Map(Object.entries(nodes));
    this.#key = `${id.kind}/${id.frontendDomid}/${id.devid}`;
  }

  readonly nodes: Device["nodes"] = {
    read: async (name) => this.store?.get(name),
    write: async (nodes) => {
      for (const [name, value] of Object.entries(nodes)) this.store?.set(name, value);
    },
    remove: async (name) => {
      this.store?.delete(name);
    },
  };

  readonly #hotplug = new Map<string, string>();

  readonly hotplug: Device["hotplug"] = {
    read: async (name) => this.#hotplug.get(name),
    write: async (nodes) => {
      for (const [name, value] of Object.entries(nodes)) this.#hotplug.set(name, value);
    },
    remove: async (name) => {
      this.#hotplug.delete(name);
    },
  };

  /** The frontend's state. */
  frontendState: number | undefined;

  readonly frontend: Device["frontend"] = {
    read: async () => undefined,
    state: async () => this.frontendState,
    writeMtu: async (bytes) => {
      this.machine.runs.push(`frontend mtu ${bytes}`);
    },
  };

  settings: Device["settings"] = {};

  async config() {
    return deviceConfig(this.store === null ? this.copy : Object.fromEntries(this.store));
  }

  readonly children: Device["children"] = {
    start: async (_, argv) => {
      this.machine.runs.push(`starts ${argv.join(" ")}`);
    },
    running: async () => true,
    stop: async (name) => {
      this.machine.runs.push(`stops ${name}`);
    },
  };

  /** What becomes of the guest's QEMU. */
  model: DeviceModelStatus = { state: "none", detail: "" };
  /** What happens when it is started. */
  onModelStart: () => void = () => {};

  readonly deviceModel: Device["deviceModel"] = {
    start: async ({ argv, environment = {} }) => {
      const variables = Object.entries(environment).map(([name, value]) => `${name}=${value} `);
      this.machine.runs.push(`device model ${variables.join("")}${argv.join(" ")}`);
      this.model = { state: "serving", detail: "" };
      this.onModelStart();
    },
    adopt: async ({ argv }) => {
      this.machine.runs.push(`adopts device model ${argv.join(" ")}`);
    },
    status: async () => this.model,
    release: async () => {
      this.machine.runs.push("releases device model");
      this.model = { state: "none", detail: "" };
    },
  };

  readonly server: Device["server"] = {
    start: async (given) => {
      this.machine.runs.push(`server ${JSON.stringify(given)}`);
    },
  };

  readonly directories: Device["directories"] = {
    state: async () => "/state",
    temporary: async () => "/temporary",
  };

  readonly kept: Device["kept"] = keptOf(new KeptStore("/nowhere"), "vbd/7/51712");

  timeLeft(): number {
    return 10_000;
  }

  readonly scripts: Device["scripts"] = {
    check: async () => {},
    version: async () => this.machine.scriptVersion,
    usesVersion2: async () => this.machine.scriptVersion === 2,
    prepare: async (script) => {
      this.machine.runs.push(`prepare ${script}`);
      await this.machine.script("prepare", this);
    },
    addOnCopy: async (family, script, nodes) => {
      this.machine.runs.push(`${family} ${script} add on ${JSON.stringify(nodes)}`);
      await this.machine.script("add", this);
      return {};
    },
    run: async (family, script, action, _, nodes) => {
      const { script: known } = this.machine.undoRecords.get(this.#key) ?? {};
      if (action === "remove" && known === "none") return;
      if (action === "add") this.#noteScript("begun");
      this.machine.runs.push(
        `${family} ${script} ${action}${nodes === undefined ? "" : ` on ${JSON.stringify(nodes)}`}`,
      );
      await this.machine.script(action, this);
    },
  };

  readonly system: Device["system"] = {
    exists: async (path) => [...this.machine.files.keys()].some((file) => within(file, path)),
    readText: async (path) => this.machine.files.get(path)?.trimEnd(),
    list: async (path) => [
      ...new Set(
        [...this.machine.files.keys()].filter((file) => file.startsWith(`${path}/`))
          .map((file) => file.slice(path.length + 1).split("/")[0]!),
      ),
    ],
    realPath: async (path) => this.machine.files.has(path) ? path : undefined,
    identityOf: async (path) => this.machine.identities.get(path),
    run: async (argv) => {
      this.machine.runs.push(argv.join(" "));
      const loop = /losetup -d \/dev\/(\w+)$/.exec(argv.join(" "))?.[1];
      if (loop !== undefined) this.machine.detach(loop);
      return "";
    },
    sleep: async (ms) => {
      this.now += ms;
    },
    blocks: new FakeBlocks(),
    links: new FakeLinks(),
    exclusively: (_, __, work) => work(),
  };

  readonly log: Device["log"] = {
    info: (text) => this.lines.push(text),
    warning: (text) => this.lines.push(text),
  };

  copy: Readonly<Record<string, string>> = {};

  get undo(): Undo {
    return this.machine.undoRecords.get(this.#key)?.undo ?? {};
  }

  async recordUndo(more: Undo): Promise<void> {
    const guest = this.id.frontendDomid;
    const before = this.machine.undoRecords.get(this.#key);
    this.machine.undoRecords.set(this.#key, { ...before, guest, undo: { ...this.undo, ...more } });
  }

  heldElsewhere(name: string, value: string, by: "any" | "other guests" = "any"): boolean {
    return this.holders(name, value, by).length > 0;
  }

  async sameMachine(frontendDomid: number): Promise<boolean> {
    const { machines } = this.machine;
    const own = machines.get(this.id.frontendDomid);
    return own !== undefined && machines.get(frontendDomid) === own;
  }

  holders(name: string, value: string, by: "any" | "other guests" = "any"): Holder[] {
    return holdersIn(this.machine.undoRecords, this.#key, this.id.frontendDomid, name, value, by);
  }

  heldValues(name: string): Undo[string][] {
    return valuesIn(this.machine.undoRecords, name);
  }

  /** An add is to come: no script has run. */
  begin(): void {
    this.#noteScript("none");
  }

  #noteScript(script: "none" | "begun"): void {
    const before = this.machine.undoRecords.get(this.#key);
    const guest = this.id.frontendDomid;
    this.machine.undoRecords.set(this.#key, { undo: {}, ...before, guest, script });
  }

  /** All is undone. */
  forget(): void {
    this.machine.undoRecords.delete(this.#key);
  }
}

function within(file: string, path: string): boolean {
  return file === path || file.startsWith(`${path}/`);
}
