/** What is installed where. Pure. */
import { SCRIPTS } from "../completion/scripts.ts";
import { MANUAL_SECTION } from "../manual/pages.ts";
import { TOOLS } from "../store/tools/tool_called.ts";

/** The texts of `packaging/`, which are part of the program. */
import config from "../../packaging/config.toml" with { type: "text" };
import defaults from "../../packaging/default" with { type: "text" };
import dracutServe from "../../packaging/dracut/xdevd-serve.sh" with { type: "text" };
import dracutSetup from "../../packaging/dracut/module-setup.sh" with { type: "text" };
import hook from "../../packaging/initramfs-tools/hook" with { type: "text" };
import script from "../../packaging/initramfs-tools/script" with { type: "text" };
import initramfs from "../../packaging/initramfs.conf" with { type: "text" };
import logrotate from "../../packaging/logrotate/xdevd" with { type: "text" };
import openrc from "../../packaging/openrc/xdevd" with { type: "text" };
import systemd from "../../packaging/systemd/xdevd.service" with { type: "text" };
import sysv from "../../packaging/sysv/xdevd" with { type: "text" };

const TEXTS = {
  config,
  defaults,
  dracutServe,
  dracutSetup,
  hook,
  script,
  initramfs,
  logrotate,
  openrc,
  systemd,
  sysv,
} as const;

/** Kinds of service managers. */
export const SERVICES = ["systemd", "openrc", "sysv"] as const;
/** One of {@link SERVICES}. */
export type Service = typeof SERVICES[number];

/** What makes an initramfs. */
export const INITRAMFS = ["initramfs-tools", "dracut"] as const;
/** One of {@link INITRAMFS}. */
export type Initramfs = typeof INITRAMFS[number];

/** What is wanted besides the binary. */
export interface Wanted {
  /** The xenstore tools. */
  readonly links: boolean;
  readonly services: readonly Service[];
  readonly initramfs: readonly Initramfs[];
  /** Manual pages by their names, to be laid out with the completions of shells; none: neither. */
  readonly manual?: ReadonlyMap<string, string>;
  /** The binary compiles at run time, as the full one does: its service must let it. */
  readonly compiles?: boolean;
}

/** Something to install; paths are absolute, as seen from the root that it is installed into. */
export type Entry =
  | { readonly kind: "directory"; readonly path: string }
  | { readonly kind: "binary"; readonly path: string }
  | { readonly kind: "link"; readonly path: string; readonly target: string }
  | {
    readonly kind: "file";
    readonly path: string;
    readonly mode: number;
    readonly text: string;
    /** The administrator may change it. */
    readonly config: boolean;
  };

const BINARY = "/usr/sbin/xdevd";
const DRACUT = "/usr/lib/dracut/modules.d/90xdevd";

/** Where manual pages of this section are. */
export const MANUALS = `/usr/share/man/man${MANUAL_SECTION}`;

/** Where shells look for what completes a command; zsh does so in two places, each of which is somebody's. */
const COMPLETIONS: readonly Entry[] = [
  file("/usr/share/bash-completion/completions/xdevd", SCRIPTS.bash),
  file("/usr/share/zsh/site-functions/_xdevd", SCRIPTS.zsh),
  {
    kind: "link",
    path: "/usr/share/zsh/vendor-completions/_xdevd",
    target: "../site-functions/_xdevd",
  },
  file("/usr/share/fish/vendor_completions.d/xdevd.fish", SCRIPTS.fish),
];

/** Everything, each directory before what is in it. */
export function layout(
  { links, services, initramfs, manual = new Map(), compiles = false }: Wanted,
): Entry[] {
  const entries: Entry[] = [
    { kind: "binary", path: BINARY },
    { kind: "directory", path: "/usr/lib/xdevd" },
    { kind: "directory", path: "/usr/lib/xdevd/plugins" },
    { kind: "directory", path: "/etc/xdevd" },
    { kind: "directory", path: "/etc/xdevd/plugins.d" },
    configFile("/etc/xdevd/config.toml", TEXTS.config),
  ];
  if (links) {
    for (const tool of TOOLS) {
      entries.push({ kind: "link", path: `/usr/bin/${tool}`, target: "../sbin/xdevd" });
    }
  }
  for (const [name, text] of manual) {
    entries.push(file(`${MANUALS}/${name}.${MANUAL_SECTION}`, text));
  }
  if (manual.size > 0) entries.push(...COMPLETIONS);
  for (const service of services) entries.push(...serviceEntries(service, compiles));
  if (initramfs.length > 0) {
    entries.push(configFile("/etc/xdevd/initramfs.conf", TEXTS.initramfs));
  }
  for (const maker of initramfs) entries.push(...initramfsEntries(maker));
  // Two services may share their options.
  return entries.filter(({ path }, at) => entries.findIndex((other) => other.path === path) === at);
}

function serviceEntries(service: Service, compiles: boolean): Entry[] {
  switch (service) {
    case "systemd":
      return [
        file("/usr/lib/systemd/system/xdevd.service", compiles ? lenient() : TEXTS.systemd),
        configFile("/etc/default/xdevd", TEXTS.defaults),
      ];
    case "openrc":
      return [
        { ...configFile("/etc/init.d/xdevd", TEXTS.openrc), mode: 0o755 },
        configFile("/etc/conf.d/xdevd", TEXTS.defaults),
        logRotation(),
      ];
    case "sysv":
      return [
        { ...configFile("/etc/init.d/xdevd", TEXTS.sysv), mode: 0o755 },
        configFile("/etc/default/xdevd", TEXTS.defaults),
        logRotation(),
      ];
  }
}

/** The unit without what would keep a program from compiling at run time. */
function lenient(): string {
  const text = TEXTS.systemd.replace(/(#.*\n)*MemoryDenyWriteExecute=yes\n/, "");
  if (text === TEXTS.systemd) throw new Error("the unit has no MemoryDenyWriteExecute=yes");
  return text;
}

/** Where the log is a file. */
function logRotation(): Entry {
  return configFile("/etc/logrotate.d/xdevd", TEXTS.logrotate);
}

function initramfsEntries(maker: Initramfs): Entry[] {
  switch (maker) {
    case "initramfs-tools":
      return [
        file("/usr/share/initramfs-tools/hooks/xdevd", TEXTS.hook, 0o755),
        file("/usr/share/initramfs-tools/scripts/local-premount/xdevd", TEXTS.script, 0o755),
      ];
    case "dracut":
      return [
        { kind: "directory", path: DRACUT },
        file(`${DRACUT}/module-setup.sh`, TEXTS.dracutSetup, 0o755),
        file(`${DRACUT}/xdevd-serve.sh`, TEXTS.dracutServe, 0o755),
      ];
  }
}

function file(path: string, text: string, mode = 0o644): Entry & { kind: "file" } {
  return { kind: "file", path, text, mode, config: false };
}

function configFile(path: string, text: string): Entry & { kind: "file" } {
  return { ...file(path, text), config: true };
}
