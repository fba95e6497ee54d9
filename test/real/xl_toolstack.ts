/** Debian's xl as a toolstack, on a store of ours: what it really writes for a device. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createDomain0, createDomainHome } from "../../simulation/domains.ts";
import type { StoreClient } from "../../core/xenstore/client.ts";
import { formatPermission } from "../../core/xenstore/permissions.ts";
import { type EmbeddedStore, startEmbeddedStore } from "../support/embedded_store.ts";
import { connectTo } from "../support/store_connection.ts";

const XL = "/usr/lib/xen-4.17/bin/xl";

/** In a mount namespace of its own: libxl keeps the configuration of each guest in a file. */
const PREPARE = `
mount -t tmpfs none /var/lib/xen
printf '{}' > "/var/lib/xen/userdata-d.$GUEST.00000000-0000-0000-0000-000000000000.libxl-json"
exec env LD_PRELOAD="$SHIM" "$@"`;

/** A node: path, value, permissions. */
export type TreeLine = string;

/** A machine on which xl attaches devices to a guest; nobody serves them. */
export class XlToolstack {
  readonly #directory: string;
  readonly #store: EmbeddedStore;
  readonly dom0: StoreClient;
  readonly guest = 7;

  private constructor(directory: string, store: EmbeddedStore, dom0: StoreClient) {
    this.#directory = directory;
    this.#store = store;
    this.dom0 = dom0;
  }

  /** With domains 0, 1 and a guest. */
  static async start(): Promise<XlToolstack> {
    const directory = await mkdtemp(join(tmpdir(), "xdevd-xl-"));
    const source = join(import.meta.dir, "shim", "xl_attach.c");
    const library = join(directory, "shim.so");
    const compiler = Bun.spawnSync(["gcc", "-shared", "-fPIC", "-o", library, source]);
    if (compiler.exitCode !== 0) throw new Error(compiler.stderr.toString());
    const store = await startEmbeddedStore([0, 1, 7]);
    const dom0 = await connectTo(store.socketPath(0));
    await createDomain0(dom0);
    for (const domid of [1, 7]) await createDomainHome(dom0, { domid });
    // Of a guest with disks of QEMU, xl wants to see that there is a QEMU.
    await dom0.write("/local/domain/7/image/device-model-pid", "1");
    const toolstack = new XlToolstack(directory, store, dom0);
    await toolstack.clear();
    return toolstack;
  }

  /**
   * Attaches a device, and plays the backend that is ready at once.
   * @param backend path of the backend directory that is expected
   * @returns the tree as it was when the device had just been written
   */
  async attach(
    type: "pv" | "pvh",
    [command, ...texts]: readonly string[],
    backend: string,
  ): Promise<TreeLine[]> {
    await this.dom0.write(`/libxl/${this.guest}/type`, type);
    const child = this.#start(type, [command!, String(this.guest), ...texts]);
    const ended = child.exited.then(async (status) => {
      const said = await new Response(child.stderr).text();
      if (status !== 0) throw new Error(`xl ended with ${status}: ${said}`);
    });
    try {
      const wait = { timeoutMs: 20_000 };
      await Promise.race([
        ended,
        this.dom0.waitUntil(`${backend}/state`, (state) => state === "1", wait),
      ]);
      const tree = await this.tree();
      await this.dom0.write(`${backend}/state`, "2");
      await ended;
      return tree;
    } finally {
      child.kill();
    }
  }

  /**
   * Runs a command of xl's to its end.
   * @param meanwhile plays the rest of the machine
   */
  async run(
    args: readonly string[],
    meanwhile: () => Promise<void> = async () => {},
  ): Promise<{ status: number; stdout: string; stderr: string }> {
    await this.dom0.write(`/libxl/${this.guest}/type`, "pv");
    const child = this.#start("pv", args);
    await Promise.all([child.exited, meanwhile()]);
    const [stdout, stderr] = await Promise.all(
      [child.stdout, child.stderr].map((stream) => new Response(stream).text()),
    ) as [string, string];
    return { status: await child.exited, stdout, stderr };
  }

  /** The socket of a domain's connection. */
  socketPath(domid: number): string {
    return this.#store.socketPath(domid);
  }

  #start(type: "pv" | "pvh", args: readonly string[]) {
    return Bun.spawn(["unshare", "-m", "sh", "-ec", PREPARE, "sh", XL, ...args], {
      env: {
        PATH: "/usr/sbin:/usr/bin:/sbin:/bin",
        GUEST: String(this.guest),
        SHIM: join(this.#directory, "shim.so"),
        XENSTORED_PATH: this.#store.socketPath(0),
        XL_GUEST: type,
      },
      stdout: "pipe",
      stderr: "pipe",
    });
  }

  /** All that is below the guest's devices, the backends, and libxl's records. */
  async tree(): Promise<TreeLine[]> {
    const lines: TreeLine[] = [];
    for (const root of this.#roots()) await this.#collect(root, lines);
    return lines;
  }

  /** Makes it as if there had been no device. */
  async clear(): Promise<void> {
    for (const root of this.#roots()) await this.dom0.removeOptional(root);
  }

  async stop(): Promise<void> {
    this.dom0.close();
    await this.#store.stop();
    await rm(this.#directory, { recursive: true });
  }

  #roots(): string[] {
    return [
      `/libxl/${this.guest}/device`,
      `/local/domain/${this.guest}/device`,
      ...[0, 1].map((domid) => `/local/domain/${domid}/backend`),
    ];
  }

  async #collect(path: string, lines: TreeLine[]): Promise<void> {
    const value = await this.dom0.readOptional(path);
    if (value === undefined) return;
    const permissions = (await this.dom0.getPermissions(path)).map(formatPermission);
    lines.push(`${path} = ${JSON.stringify(value)} (${permissions})`);
    for (const child of await this.dom0.list(path)) await this.#collect(`${path}/${child}`, lines);
  }
}
