/** Hotplug scripts, their interpreters, and the programs that they and devices need. */
import { isThere } from "../../../core/is_there.ts";
import { checkScript, ScriptRefused } from "../../../core/hotplug/path_rules.ts";
import { MESSAGES } from "../../../core/messages/table.ts";
import { quoted } from "../../../core/log/quoted.ts";
import { deviceLabel } from "../../../core/xen/device_label.ts";
import { bounded, failure, type Finding, ok, orOk, warning } from "../finding.ts";
import { type Here, namesIn } from "../here.ts";
import { knownDevices } from "./wanted.ts";

/** Most of a file that is read for its interpreter, in bytes (BINPRM_BUF_SIZE, linux/binfmts.h). */
const LINE_MAX = 256;

/** Where Xen's own scripts are, which the daemon does without where it has to (backends/shared). */
const STOCK = /^(\/etc\/xen\/scripts\/)?(block|vif-(bridge|route|nat|openvswitch))$/;

/** What scripts call. */
const TOOLS = {
  "xenstore-read": "xdevd install --links, or the package xenstore-utils",
  "xenstore-write": "xdevd install --links, or the package xenstore-utils",
  "losetup": "the package mount (util-linux)",
  "ip": "the package iproute2",
} as const;

/** All that are there, and those that devices name. */
export async function lookAtScripts(here: Here): Promise<Finding[]> {
  const { files, options: { scripts: directories } } = here;
  const findings: Finding[] = [];
  const paths = new Set<string>();
  for (const directory of directories) {
    for (const name of await namesIn(files, directory)) {
      const path = `${directory}/${name}`;
      const { kind, mode } = await files.stat(path);
      // Others' helpers are parts of scripts, and as dangerous.
      if (kind === "file") paths.add(path);
      if (kind === "file" && (mode & 0o111) === 0) paths.delete(path);
      if (kind === "file" && (mode & 0o111) === 0 && (mode & 0o022) !== 0) {
        findings.push(failure(
          `${path}, which scripts may be made of, is writable by others`,
          `chmod go-w ${path}`,
        ));
      }
    }
  }
  /** By their paths: who names them, and how. */
  const asking = new Map<string, { label: string; script: string }>();
  for (const { id, nodes: { script } } of await knownDevices(here)) {
    if (!script) continue;
    const path = script.includes("/") ? script : `${directories[0]}/${script}`;
    asking.set(path, { label: deviceLabel(id), script });
  }
  for (const path of new Set([...paths, ...asking.keys()])) {
    const { label, script = path } = asking.get(path) ?? {};
    const by = label === undefined ? "" : `, which ${label} names`;
    const complain = label === undefined ? warning : failure;
    try {
      await checkScript(files, script, {
        directories,
        trustedUids: here.trustedUids,
      });
      const missing = await missingInterpreter(here, path);
      if (missing === null || STOCK.test(script)) continue;
      findings.push(complain(
        `script ${quoted(script)}${by && `${by},`} needs ${missing}, which is not there`,
        `install ${missing}`,
      ));
    } catch (error) {
      if (!(error instanceof ScriptRefused)) throw error;
      const isMissing = / does not exist/.test(error.message);
      if (isMissing && (label === undefined || STOCK.test(script))) continue;
      const message = error.message.replace(/ \[script-refused\]$/, "");
      findings.push(failure(`${message}${by}`, MESSAGES["script-refused"].repair));
    }
  }
  const message = paths.size === 0
    ? `no scripts in ${directories.join(", ")}; what Xen's own do is done without them`
    : `${paths.size} scripts in ${directories.join(", ")}`;
  return [...orOk(bounded(findings), message)];
}

/** The interpreter of a script, if it is missing. */
export async function missingInterpreter(here: Here, path: string): Promise<string | null> {
  const start = new TextDecoder().decode(await here.files.readAt(path, 0, LINE_MAX));
  const [, interpreter, argument] = /^#![ \t]*(\S+)[ \t]*(\S*)/.exec(start) ?? [];
  if (interpreter === undefined) return null;
  if (!await isThere(here.files, interpreter)) return interpreter;
  if (!/\/env$/.test(interpreter) || argument === undefined || argument === "") return null;
  return await placeOf(here, argument) === null ? argument : null;
}

/** Where a program is, in the PATH that scripts get. */
async function placeOf(
  { files, options: { scriptPath } }: Here,
  name: string,
): Promise<string | null> {
  if (name.startsWith("/")) return await isThere(files, name) ? name : null;
  for (const directory of scriptPath.split(":")) {
    if (directory !== "" && await isThere(files, `${directory}/${name}`)) {
      return `${directory}/${name}`;
    }
  }
  return null;
}

/** What scripts call, as far as there are scripts. */
export async function lookAtPrograms(here: Here): Promise<Finding[]> {
  const names = (await Promise.all(
    here.options.scripts.map((directory) => namesIn(here.files, directory)),
  )).flat();
  if (!names.some((name) => /^(block|vif)/.test(name))) {
    return [ok("there are no scripts, so nothing that scripts call is needed")];
  }
  const devices = await knownDevices(here);
  const findings: Finding[] = [];
  for (const [tool, repair] of Object.entries(TOOLS)) {
    if (await placeOf(here, tool) !== null) continue;
    const message =
      `${tool}, which scripts call, is not in their PATH (${here.options.scriptPath})`;
    findings.push((devices.length > 0 ? failure : warning)(message, repair));
  }
  return [...orOk(findings, `what scripts call is there: ${Object.keys(TOOLS).join(", ")}`)];
}

/** Programs that serve devices; the setting `binary` of their plugins may name others. */
const SERVERS = [
  {
    plugin: "qemu",
    name: "QEMU",
    usual: ["/usr/libexec/xen-qemu-system-i386"],
    repair:
      "install Debian's package qemu-system-xen, or name another one as binary in [plugins.qemu.settings]",
  },
  {
    plugin: "vtpm",
    name: "swtpm",
    usual: ["/usr/bin/swtpm"],
    repair: "install the package swtpm, or name another one as binary in [plugins.vtpm.settings]",
  },
] as const;

/** QEMU and swtpm: needed by those devices only that they serve. */
export async function lookAtServers(here: Here): Promise<Finding[]> {
  const { selection } = await here.plugins();
  const devices = await knownDevices(here);
  const findings: Finding[] = [];
  const said: string[] = [];
  for (const { plugin, name, places, repair, isTold, isThere } of await serversOf(here)) {
    if (isThere) {
      said.push(`${name} is there`);
      continue;
    }
    const asking = devices.find(({ id }) => selection.byKind.get(id.kind) === plugin);
    const message = `${name} (${places.join(", ")}) is not there`;
    if (asking !== undefined) {
      findings.push(failure(`${message}, and ${deviceLabel(asking.id)} needs it`, repair));
    } else if (isTold) {
      findings.push(failure(`${message}, and the configuration names it`, repair));
    } else said.push(`${name} is not there, and no device needs it`);
  }
  return [...orOk(findings, said.join("; ") || "no device needs another program")];
}

/** Names of those that there are, or that the configuration wants. */
export async function serversThere(here: Here): Promise<string[]> {
  const servers = await serversOf(here).catch(() => []);
  return servers.filter(({ isThere, isTold }) => isThere || isTold).map(({ name }) => name);
}

/** Of the plugins that there are. @throws CodedError when the configuration cannot be read */
async function serversOf(here: Here) {
  const { available } = await here.plugins();
  return await Promise.all(SERVERS.flatMap(({ plugin: wanted, name, usual, repair }) => {
    const plugin = available.find(({ manifest }) => manifest.name === wanted);
    if (plugin === undefined) return [];
    const told = plugin.settings?.["binary"];
    const isTold = typeof told === "string";
    const places = isTold ? [told] : usual;
    const look = async () => {
      const there = await Promise.all(places.map((place) => placeOf(here, place)));
      const isThere = there.some((place) => place !== null);
      return { plugin, name, places, repair, isTold, isThere };
    };
    return [look()];
  }));
}
