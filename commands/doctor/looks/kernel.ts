/** The kernel: Xen, its backends, its devices, loop devices. */
import { isThere } from "../../../core/is_there.ts";
import { MESSAGES } from "../../../core/messages/table.ts";
import { failure, type Finding, ok, orOk, unknown, warning } from "../finding.ts";
import { type Here, namesIn, processesOf, textOf } from "../here.ts";
import { serversThere } from "./scripts.ts";
import { wanted } from "./wanted.ts";

/** The kernel's backends, by backend kind. */
const BACKENDS = {
  vbd: { module: "xen-blkback", what: "disks" },
  vif: { module: "xen-netback", what: "network interfaces" },
} as const;

/** What programs that serve guests open, by its name in /dev/xen. */
const DEVICES = { evtchn: "xen-evtchn", gntdev: "xen-gntdev" } as const;

const BUS = "/sys/bus/xen-backend";

/** Whether the kernel cannot be asked for what only a domain of Xen has, and why; null: it can. */
async function noXen({ isXen }: Here): Promise<Finding | null> {
  const is = await isXen();
  if (is === true) return null;
  return unknown(is === null ? "nothing tells whether this is a domain of Xen" : NO_XEN);
}

const NO_XEN = "this is no domain of Xen";

export async function lookAtXen({ files, isXen }: Here): Promise<Finding[]> {
  const is = await isXen();
  if (is === null) return [unknown("nothing tells whether this is a domain of Xen: /sys is empty")];
  if (!is) return [unknown(`${NO_XEN}: neither /sys/hypervisor/type nor /proc/xen says so`)];
  const release = (await textOf(files, "/proc/sys/kernel/osrelease"))?.trim();
  return [ok(`a domain of Xen${release === undefined ? "" : `, Linux ${release}`}`)];
}

/** Whether the kernel can serve devices of this kind. */
export function lookAtBackend(kind: keyof typeof BACKENDS) {
  return async (here: Here): Promise<Finding[]> => {
    const { module, what } = BACKENDS[kind];
    const { files } = here;
    if (await isThere(files, `${BUS}/drivers/${kind}`)) return [ok(`${module} serves ${what}`)];
    const without = await noXen(here);
    if (without !== null) return [without];
    const set = await here.plugins().catch(() => null);
    if (set !== null && !set.selection.byKind.has(kind)) {
      return [ok(`${module} is not loaded, and no plugin here serves ${what}`)];
    }
    const bus = await isThere(files, BUS);
    const message = bus
      ? `${module} is not loaded: no ${what} can be served`
      : `this kernel has no backends at all (${BUS} is missing): no ${what} can be served`;
    const repair = await repairOf(here, module);
    return [
      await wanted(here, (one) => one === kind)
        ? failure(message, repair)
        : warning(message, repair),
    ];
  };
}

/** How a module gets there. */
async function repairOf({ files }: Here, module: string): Promise<string> {
  const release = (await textOf(files, "/proc/sys/kernel/osrelease"))?.trim() ?? "";
  const modules = release === ""
    ? undefined
    : await textOf(files, `/lib/modules/${release}/modules.dep`).catch(() => undefined);
  if (modules !== undefined && !modules.includes(`/${module}.ko`)) {
    return `Linux ${release} has no such module here: install the package that has it, or another kernel`;
  }
  return `modprobe ${module}, and have it loaded at each start (/etc/modules-load.d)`;
}

export async function lookAtXenDevices(here: Here): Promise<Finding[]> {
  const without = await noXen(here);
  if (without !== null) return [without];
  const isNeeded = await wanted(here, (kind) => kind !== "vbd" && kind !== "vif");
  const mayBe = isNeeded || (await serversThere(here)).length > 0;
  const findings: Finding[] = [];
  for (const [name, module] of Object.entries(DEVICES)) {
    const path = `/dev/xen/${name}`;
    const kind = await here.files.stat(path).then((status) => status.kind, (error) => {
      if ((error as { code?: string }).code === "ENOENT") return null;
      throw error;
    });
    if (kind !== null && kind !== "file" && kind !== "directory") continue;
    const message = `${path} ${
      kind === null ? "does not exist" : `is a ${kind} and no device`
    }: QEMU and other programs that serve guests need it`;
    const repair = kind === null ? `modprobe ${module}` : `rm ${path}, then modprobe ${module}`;
    findings.push(
      isNeeded
        ? failure(message, repair)
        : mayBe
        ? warning(message, repair)
        : ok(`${path} is not there, and nothing here needs it`),
    );
  }
  return [...orOk(findings, `/dev/xen has ${Object.keys(DEVICES).join(" and ")}`)];
}

export async function lookAtLoops({ files }: Here): Promise<Finding[]> {
  if (!await isThere(files, "/sys/block")) return [unknown("there is no /sys/block")];
  const loops = (await namesIn(files, "/sys/block")).filter((name) => /^loop\d+$/.test(name));
  const backing = await Promise.all(
    loops.map((name) => textOf(files, `/sys/block/${name}/loop/backing_file`)),
  );
  const used = backing.filter((file) => file !== undefined).length;
  const most = (await textOf(files, "/sys/module/loop/parameters/max_loop"))?.trim();
  const control = await isThere(files, "/dev/loop-control");
  const findings: Finding[] = [];
  if (!control && loops.length === used) {
    findings.push(
      used === 0
        ? warning("no loop devices: image files cannot be served as disks", "modprobe loop")
        : failure(
          `all ${used} loop devices are in use, and /dev/loop-control, which makes more, is missing` +
            (most === undefined ? "" : ` (max_loop=${most})`),
          "mknod /dev/loop-control c 10 237, or load the module with a larger max_loop",
        ),
    );
  }
  backing.forEach((file, index) => {
    if (!/ \(deleted\)\n?$/.test(file ?? "")) return;
    findings.push(warning(
      `/dev/${loops[index]} carries a file that is deleted: ${file!.trim()}`,
      `losetup -d /dev/${loops[index]}, when nothing uses it`,
    ));
  });
  const more = control ? "more are made on demand" : `${loops.length - used} are free`;
  return [...orOk(findings, `loop devices in use: ${used}; ${more}`)];
}

/** A bit for each signal: KILL is 9 (signal(7)). */
const KILL_BIT = 0x100n;

/** Processes that were killed, and do not end: the kernel waits for storage. */
export async function lookForKilled(here: Here): Promise<Finding[]> {
  const { files } = here;
  const pids = await processesOf(files);
  if (pids === undefined) return [unknown("there is no /proc")];
  const findings: Finding[] = [];
  const told = new Set<number>();
  for (
    const { pid, place, call, silentMs } of (await here.daemon().catch(() => null))?.unanswered ??
      []
  ) {
    told.add(pid);
    const since = `has not answered for ${Math.round(silentMs / 1000)} s`;
    findings.push(warning(
      `storage: ${place} ${since} (${call}); process ${pid} of the daemon is left behind`,
      MESSAGES["storage-silent"].repair,
    ));
  }
  for (const pid of pids) {
    if (told.has(pid)) continue;
    const status = await textOf(files, `/proc/${pid}/status`).catch(() => undefined) ?? "";
    const field = (name: string) => new RegExp(`^${name}:\\s*(.*)$`, "m").exec(status)?.[1] ?? "";
    const pending = ["SigPnd", "ShdPnd"].some((name) =>
      (BigInt(`0x${/^[0-9a-f]{1,16}$/.exec(field(name))?.[0] ?? "0"}`) & KILL_BIT) !== 0n
    );
    if (!pending || !field("State").startsWith("D")) continue;
    findings.push(warning(
      `process ${pid} (${
        field("Name")
      }) was killed and is left behind: it waits for storage that does not answer`,
      MESSAGES["storage-silent"].repair,
    ));
  }
  return [...orOk(findings, "no process is left behind")];
}
