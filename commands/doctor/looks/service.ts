/** The service, and who serves this domain. */
import { oneLine } from "../../../core/log/log.ts";
import { problemOf } from "../../../core/messages/error.ts";
import { CONTROL_SOCKET } from "../../../core/daemon/control/messages.ts";
import { failure, type Finding, ok, orOk, unknown, warning } from "../finding.ts";
import { type Here, isThere, namesIn, processesOf, textOf } from "../here.ts";
import { seen } from "./store.ts";

/** Where service managers keep what they start, and how it is seen that they start it. */
const MANAGERS = [
  {
    name: "systemd",
    units: ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"],
    unit: (service: string) => `${service}.service`,
    enabled: "/etc/systemd/system",
    levels: /\.(wants|requires)$/,
    entry: (service: string) => new RegExp(`^${service}\\.service$`),
    enable: "systemctl enable --now xdevd",
  },
  {
    name: "OpenRC",
    units: ["/etc/init.d"],
    unit: (service: string) => service,
    enabled: "/etc/runlevels",
    levels: /./,
    entry: (service: string) => new RegExp(`^${service}$`),
    enable: "rc-update add xdevd default",
  },
  {
    name: "sysvinit",
    units: ["/etc/init.d"],
    unit: (service: string) => service,
    enabled: "/etc",
    levels: /^rc[2-5]\.d$/,
    entry: (service: string) => new RegExp(`^S\\d\\d${service}$`),
    enable: "update-rc.d xdevd defaults",
  },
] as const;

/** The stock daemon's services: systemd's, and sysvinit's. */
const STOCK = ["xendriverdomain"];

export async function lookAtService(here: Here): Promise<Finding[]> {
  const { files } = here;
  const findings: Finding[] = [];
  const installed: (typeof MANAGERS[number])[] = [];
  for (const manager of MANAGERS) {
    for (const directory of manager.units) {
      if (!await isThere(files, `${directory}/${manager.unit("xdevd")}`)) continue;
      installed.push(manager);
      break;
    }
  }
  const [manager] = installed;
  if (manager === undefined) {
    findings.push(warning(
      "no service manager knows xdevd: nothing starts it with this domain",
      "xdevd install (or install the package), then enable its service",
    ));
  }
  const enabled = await Promise.all(installed.map((one) => isEnabled(here, one, "xdevd")));
  if (manager !== undefined && !enabled.includes(true)) {
    findings.push(
      warning(`the service xdevd is there (${manager.name}) and not enabled`, manager.enable),
    );
  }
  for (const stock of STOCK) {
    for (const one of MANAGERS) {
      if (!await isEnabled(here, one, stock)) continue;
      findings.push(failure(
        `the stock daemon's service ${stock} is enabled, too: two daemons would serve this domain`,
        one.name === "systemd"
          ? `systemctl disable --now ${stock}`
          : `take ${stock} out of ${one.enabled}`,
      ));
    }
  }
  return [...orOk(findings, `the service xdevd is enabled (${manager?.name})`)];
}

async function isEnabled(
  { files }: Here,
  { enabled, levels, entry }: typeof MANAGERS[number],
  service: string,
): Promise<boolean> {
  const pattern = entry(service);
  for (const level of (await namesIn(files, enabled)).filter((name) => levels.test(name))) {
    if ((await namesIn(files, `${enabled}/${level}`)).some((name) => pattern.test(name))) {
      return true;
    }
  }
  return false;
}

/** Whether a daemon serves this domain, and only one. */
export async function lookAtDaemon(here: Here): Promise<Finding[]> {
  const { files, options: { runDir } } = here;
  const { domid } = await seen(here);
  const lock = await textOf(files, `${runDir}/devd-${domid}.lock`).catch(() => "");
  const [holder] = lock?.split(/\s/) ?? [];
  const findings = await lookForOthers(here, holder);
  let silence: string;
  try {
    const daemon = await here.daemon();
    const version = daemon === null ? "a daemon" : `xdevd ${oneLine(daemon.version, 40)}`;
    return [ok(`${version} answers at ${runDir}/${CONTROL_SOCKET}`), ...findings];
  } catch (error) {
    silence = problemOf(error).message;
  }
  const pids = holder ? await processesOf(files) ?? [] : [];
  if (pids.includes(Number(holder))) {
    findings.push(failure(
      `process ${holder} serves this domain, and cannot be asked: ${silence}`,
      "see its log; systemctl restart xdevd leaves devices connected",
    ));
  } else {
    findings.push(failure(
      `no daemon serves this domain: ${silence}`,
      "systemctl start xdevd, or xdevd devd; --run-dir names the daemon's directory if it is another",
    ));
  }
  return findings;
}

/** Other daemons: the stock one, or another xdevd on the same store. @param holder pid of the one that is meant */
async function lookForOthers(
  { files, options: { store } }: Here,
  holder: string | undefined,
): Promise<Finding[]> {
  const pids = await processesOf(files);
  if (pids === undefined) return [unknown("there is no /proc, so other daemons cannot be seen")];
  const findings: Finding[] = [];
  for (const pid of pids) {
    const line = await textOf(files, `/proc/${pid}/cmdline`).catch(() => undefined) ?? "";
    const [program = "", ...args] = line.split("\0");
    if (!args.includes("devd")) continue;
    if (/(^|\/)xl$/.test(program)) {
      findings.push(failure(
        `process ${pid} is the stock daemon (xl devd): every script runs twice`,
        `kill ${pid}, and disable its service (xendriverdomain)`,
      ));
    } else if (/(^|\/)xdevd[^/]*$/.test(program) && String(pid) !== holder) {
      const theirs = args.find((_, at) => args[at - 1] === "--store");
      if (theirs !== store) continue;
      findings.push(failure(
        `process ${pid} is another xdevd, with another run directory: every script runs twice`,
        `kill ${pid}; one daemon serves a domain`,
      ));
    }
  }
  return findings;
}
