/** The service, and who serves this domain. */
import { isThere } from "../../../core/is_there.ts";
import { oneLine } from "../../../core/log/log.ts";
import { problemOf } from "../../../core/messages/error.ts";
import { CONTROL_SOCKET } from "../../../core/daemon/control/messages.ts";
import { failure, type Finding, ok, orOk, unknown, warning } from "../finding.ts";
import { type Here, namesIn, processesOf, textOf } from "../here.ts";
import { seen } from "./store.ts";

/**
 * Service managers: how it is seen that one is there (that it runs, then that it is installed), where it keeps
 * what it starts, and what tells that it does.
 */
const MANAGERS = [
  {
    name: "systemd",
    runs: "/run/systemd/system",
    programs: ["/lib/systemd/systemd", "/usr/lib/systemd/systemd"],
    units: ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"],
    unit: (service: string) => `${service}.service`,
    enabled: ["/etc/systemd/system", "/lib/systemd/system", "/usr/lib/systemd/system"],
    levels: /\.(wants|requires)$/,
    entry: (service: string) => new RegExp(`^${service}\\.service$`),
    enable: "systemctl enable --now xdevd",
  },
  {
    name: "OpenRC",
    runs: "/run/openrc",
    programs: ["/sbin/openrc-run", "/usr/sbin/openrc-run"],
    units: ["/etc/init.d"],
    unit: (service: string) => service,
    enabled: ["/etc/runlevels"],
    levels: /./,
    entry: (service: string) => new RegExp(`^${service}$`),
    enable: "rc-update add xdevd default",
  },
  {
    name: "sysvinit",
    runs: "/etc/inittab",
    programs: ["/etc/inittab"],
    units: ["/etc/init.d"],
    unit: (service: string) => service,
    enabled: ["/etc"],
    levels: /^rc[2-5]\.d$/,
    entry: (service: string) => new RegExp(`^S\\d\\d${service}$`),
    enable: "update-rc.d xdevd defaults",
  },
] as const;

/** The stock daemon's services: systemd's, and sysvinit's. */
const STOCK = ["xendriverdomain"];

export async function lookAtService(here: Here): Promise<Finding[]> {
  const findings: Finding[] = [];
  for (const one of MANAGERS) {
    for (const stock of STOCK) {
      if (!await isEnabled(here, one, stock)) continue;
      findings.push(failure(
        `the stock daemon's service ${stock} is enabled, too: two daemons would serve this domain`,
        one.name === "systemd"
          ? `systemctl disable --now ${stock}`
          : `take ${stock} out of ${one.enabled[0]}`,
      ));
    }
  }
  const manager = await managerOf(here);
  if (manager === undefined) {
    const serves = await here.daemon().then(() => true, () => false);
    if (serves) return [...orOk(findings, "there is no service manager, and a daemon runs")];
    const text = "there is no service manager that is known here, and no daemon runs";
    return [...findings, unknown(`${text}: what starts it with this domain?`)];
  }
  const { name, units, unit, enable } = manager;
  const places = units.map((directory) => `${directory}/${unit("xdevd")}`);
  const there = await Promise.all(places.map((place) => isThere(here.files, place)));
  const masked = await here.files.readLink(places[0]!).catch(() => "");
  if (masked === "/dev/null") {
    findings.push(warning(`the service xdevd is masked (${places[0]})`, "systemctl unmask xdevd"));
  } else if (!there.includes(true)) {
    findings.push(warning(
      `${name} knows no service xdevd: nothing starts it with this domain`,
      "xdevd install (or install the package), then enable its service",
    ));
  } else if (!await isEnabled(here, manager, "xdevd")) {
    findings.push(warning(`the service xdevd is there (${name}) and not enabled`, enable));
  }
  return [...orOk(findings, `the service xdevd is enabled (${name})`)];
}

type Manager = typeof MANAGERS[number];

/** The one that runs; in an image, the one that is installed. */
async function managerOf({ files }: Here): Promise<Manager | undefined> {
  for (const signs of [({ runs }: Manager) => [runs], ({ programs }: Manager) => programs]) {
    for (const manager of MANAGERS) {
      for (const sign of signs(manager)) if (await isThere(files, sign)) return manager;
    }
  }
  return undefined;
}

async function isEnabled(
  { files }: Here,
  { enabled, levels, entry }: Manager,
  service: string,
): Promise<boolean> {
  const pattern = entry(service);
  for (const directory of enabled) {
    for (const level of (await namesIn(files, directory)).filter((name) => levels.test(name))) {
      const names = await namesIn(files, `${directory}/${level}`);
      if (names.some((name) => pattern.test(name))) return true;
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
