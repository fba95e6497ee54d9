/** The run directory, the configuration, the plugins. */
import { isThere } from "../../../core/is_there.ts";
import { checkDirectory } from "../../../core/hotplug/path_rules.ts";
import { problemOf } from "../../../core/messages/error.ts";
import { MESSAGES } from "../../../core/messages/table.ts";
import type { FoundPlugin } from "../../../plugins/discover.ts";
import { processId } from "../../../platform/self.ts";
import { systemModules } from "../../../platform/modules.ts";
import { bounded, failure, type Finding, ok, orOk, unknown, warning } from "../finding.ts";
import { type Here, textOf } from "../here.ts";
import { missingInterpreter } from "./scripts.ts";

/** What the journal of some hundred devices takes, in bytes. */
const ROOM = 256 * 1024;

export async function lookAtRunDirectory(here: Here): Promise<Finding[]> {
  const { files, options: { root = "", runDir }, trustedUids } = here;
  if (!await isThere(files, runDir)) {
    if (root !== "") return [ok(`${runDir} does not exist: the daemon makes it when it starts`)];
    return [warning(`${runDir} does not exist`, "the daemon makes it when it starts")];
  }
  const findings: Finding[] = [];
  await checkDirectory(files, runDir, trustedUids, (why) => {
    throw new Refused(why);
  }, "state").catch((error) => {
    if (!(error instanceof Refused)) throw error;
    findings.push(failure(`${runDir} ${error.message}`, MESSAGES["unsafe-place"].repair));
  });
  // What the daemon does there, tried: it may be full, read-only, or out of inodes.
  const trial = `${runDir}/doctor-${processId()}`;
  try {
    await files.writeText(trial, " ".repeat(ROOM), 0o600);
  } catch (error) {
    const { code = "", message } = error as { code?: string; message: string };
    if (code === "EACCES" || code === "EPERM") {
      findings.push(unknown(`whether the daemon can write to ${runDir}: this user may not`));
    } else {
      findings.push(failure(
        `${ROOM / 1024} KiB cannot be written to ${runDir}: ${message}`,
        code === "EROFS"
          ? "mount its file system for writing, or name another place (--run-dir)"
          : "make room there (df, df -i), or name another place (--run-dir)",
      ));
    }
  } finally {
    await files.remove(trial).catch(() => {});
  }
  return [...orOk(findings, `${runDir} is safe, and can be written to`)];
}

/** Says no. */
class Refused extends Error {}

export async function lookAtConfiguration(here: Here): Promise<Finding[]> {
  const findings: Finding[] = [];
  try {
    const { source } = (await here.plugins()).settings;
    findings.push(
      ok(source === undefined ? "there is none, and none is needed" : `${source.path} is right`),
    );
  } catch (error) {
    const { code, message } = problemOf(error);
    const isOwn = code === "bad-configuration";
    findings.push(isOwn ? failure(message, MESSAGES[code].repair) : unknown(message));
  }
  for (const file of ["/etc/default/xdevd", "/etc/conf.d/xdevd"]) {
    const text = await textOf(here.files, file);
    if (text !== undefined) findings.push(...optionsIn(here, file, text));
  }
  return findings;
}

/** The options of the service, which a shell or systemd splits at blanks. */
function optionsIn(here: Here, file: string, text: string): Finding[] {
  const lines = text.split("\n");
  const at = lines.findLastIndex((line) => /^\s*XDEVD_OPTIONS=/.test(line));
  const value = /=\s*(["']?)(.*?)\1\s*$/.exec(lines[at] ?? "")?.[2] ?? "";
  const words = value.split(/\s+/).filter((word) => word !== "");
  if (words.length === 0) return [];
  const why = here.mistakeIn(words);
  if (why === null) return [ok(`${file}: the service has the options ${words.join(" ")}`)];
  const place = `${file}: line ${at + 1}`;
  return [failure(`${place}: the service does not start: ${why}`, "xdevd devd --help lists all")];
}

export async function lookAtPlugins(here: Here): Promise<Finding[]> {
  let set;
  try {
    set = await here.plugins();
  } catch (error) {
    const { code, message } = problemOf(error);
    return code === "bad-configuration"
      ? [unknown("the configuration cannot be read, see above")]
      : [failure(message, MESSAGES[code].repair)];
  }
  const { available, rejected, selection } = set;
  const findings = [
    ...rejected.map(({ reason }) => failure(reason, MESSAGES["plugin-refused"].repair)),
    ...selection.conflicts.map((line) => failure(line, MESSAGES["plugin-conflict"].repair)),
  ];
  for (const plugin of new Set(selection.byKind.values())) {
    if (plugin.builtIn !== undefined) continue;
    const why = await obstacleOf(here, plugin as FoundPlugin);
    if (why === null) continue;
    findings.push(
      failure(
        `plugin ${plugin.origin} cannot be loaded: ${why}`,
        `xdevd plugin check ${plugin.origin}`,
      ),
    );
  }
  const { size } = selection.byKind;
  if (size === 0) {
    findings.push(failure("no plugin serves any kind of device", MESSAGES["no-plugin"].repair));
  }
  return [...orOk(bounded(findings), `${available.length} plugins, which serve ${size} kinds`)];
}

/** Why a plugin cannot be loaded, as far as that is seen without running it. */
async function obstacleOf(here: Here, { origin, carrier }: FoundPlugin): Promise<string | null> {
  try {
    if (carrier === "process") {
      const missing = await missingInterpreter(here, origin);
      return missing === null ? null : `${missing} is not there`;
    }
    systemModules.importsOf(origin, await textOf(here.files, origin) ?? "");
    return null;
  } catch (error) {
    return (error as Error).message;
  }
}
