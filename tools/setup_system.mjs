// @ts-check
/** The part of the setup that apt can do: Debian packages for the tests against real programs. */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, statSync } from "node:fs";
import { systemPackages } from "./system_packages.mjs";

const lists = "/var/lib/apt/lists";
const dayMs = 24 * 60 * 60 * 1000;

/**
 * Installs what is missing of these groups.
 * @param {readonly ("base" | "xen" | "boot")[]} groups
 * @returns {boolean} false when something is still missing, which has been reported in one line
 */
export function setUpSystem(groups) {
  const wanted = systemPackages.filter((entry) => groups.includes(entry.group));
  const missing = missingOf(wanted.map((entry) => entry.name));
  if (missing === null) {
    return cannot(groups, "this is not Debian, they use packages of Debian 12");
  }
  if (missing.length === 0) return true;
  const names = missing.join(" ");
  if (process.getuid?.() !== 0) {
    return cannot(groups, `as root: apt-get install --no-install-recommends ${names}`);
  }
  console.log(`setup: installing Debian packages: ${names}`);
  if (!listsAreFresh()) apt(["update"]);
  // A list that looks fresh may still name versions that the archive no longer has.
  const failure = install(missing) && (apt(["update"]) ?? install(missing));
  if (failure === null) return true;
  process.stderr.write(failure);
  return cannot(groups, `apt-get could not install ${names}`);
}

/**
 * @param {readonly string[]} groups
 * @param {string} why
 */
function cannot(groups, why) {
  const real = "against the real xenstored, xl and hotplug scripts";
  const what = groups.includes("xen")
    ? `tests in a real Xen and ${real}`
    : groups.includes("boot")
    ? `tests on systems that boot and ${real}`
    : `tests ${real}`;
  console.error(`setup: ${what} cannot run: ${why}`);
  return false;
}

/**
 * @param {string[]} names
 * @returns {string[] | null} null where there is no Debian to ask
 */
function missingOf(names) {
  const query = ["-W", "-f", "${Package} ${db:Status-Status}\n", ...names];
  const { error, stdout } = spawnSync("dpkg-query", query, { encoding: "utf8" });
  if (error || !existsSync("/etc/debian_version")) return null;
  const installed = new Set(stdout.split("\n"));
  return names.filter((name) => !installed.has(`${name} installed`));
}

/** Have apt's lists been fetched, and within a day? */
function listsAreFresh() {
  try {
    // The lists carry the server's time; this directory is written to whenever they are fetched.
    return readdirSync(lists).some((name) => name.includes("_Packages")) &&
      Date.now() - statSync(`${lists}/partial`).mtimeMs < dayMs;
  } catch {
    return false;
  }
}

/** @param {string[]} names */
function install(names) {
  return apt(["install", "-y", "--no-install-recommends", ...names]);
}

/**
 * @param {string[]} args
 * @returns {string | null} what it printed, if it failed
 */
function apt(args) {
  const options = ["-q", "-o", "DPkg::Lock::Timeout=120"];
  const result = spawnSync("apt-get", [...options, ...args], {
    encoding: "utf8",
    env: { ...process.env, DEBIAN_FRONTEND: "noninteractive" },
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return null;
  return `${result.stdout ?? ""}${result.stderr ?? ""}${result.error?.message ?? ""}\n`;
}
