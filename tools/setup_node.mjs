// @ts-check
/** The part of the setup that npm can do: node_modules, with Bun and Deno in it that run. */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, realpathSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const stampFile = join(modules, ".xdevd-setup");
const lockFile = join(root, "package-lock.json");

/** @param {string} tool */
const binary = (tool) => join(modules, ".bin", tool);

/**
 * Brings node_modules up to date with package-lock.json.
 * @returns {boolean} false when that failed, which has been reported
 */
export function setUpNodeModules() {
  const stamp = currentStamp();
  if (isStamped(stamp)) return true;
  if (!npmCi()) return false;
  if (!toolWorks("bun", "install.js") || !toolWorks("deno", "install.cjs")) return false;
  writeFileSync(stampFile, stamp);
  return true;
}

/** What node_modules was made from: another lock file, or another kind of machine, needs another. */
function currentStamp() {
  const hash = createHash("sha256").update(readFileSync(lockFile)).digest("hex");
  return `${hash} ${process.platform} ${process.arch}\n`;
}

/** @param {string} stamp */
function isStamped(stamp) {
  try {
    return readFileSync(stampFile, "utf8") === stamp && existsSync(binary("bun")) &&
      existsSync(binary("deno"));
  } catch {
    return false;
  }
}

function npmCi() {
  console.log("setup: installing the packages of package-lock.json (npm ci)");
  // The npm that runs this, if one does, rather than another that may be in PATH.
  const npm = process.env["npm_execpath"];
  const [command, ...before] = npm !== undefined && basename(npm) === "npm-cli.js"
    ? /** @type {const} */ ([process.execPath, npm])
    : /** @type {const} */ (["npm"]);
  // Development packages are the tools, and optional ones their binaries: whatever NODE_ENV says.
  const options = ["ci", "--include=dev", "--include=optional", "--no-audit", "--no-fund"];
  const result = spawnSync(command, [...before, ...options], {
    cwd: root,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
    maxBuffer: 64 * 1024 * 1024,
  });
  if (result.status === 0) return true;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  console.error(`setup: npm ci failed${result.error ? `: ${result.error.message}` : ""}`);
  return false;
}

/**
 * Does this tool run, in the pinned version? Its binary is put in place by an install script, which
 * npm may have been told not to run: then it is run here.
 * @param {"bun" | "deno"} tool
 * @param {string} installer
 */
function toolWorks(tool, installer) {
  const pinned = JSON.parse(readFileSync(join(root, "package.json"), "utf8"))
    .devDependencies[tool];
  if (versionOf(tool) === pinned && !isLauncher(tool)) return true;
  const result = spawnSync(process.execPath, [installer], {
    cwd: join(modules, tool),
    encoding: "utf8",
  });
  const version = versionOf(tool);
  if (version === pinned) return true;
  process.stderr.write(`${result.stdout ?? ""}${result.stderr ?? ""}`);
  console.error(
    `setup: ${tool} ${pinned} is needed, but node_modules/.bin/${tool} ` +
      (version === null ? "does not run" : `is ${version}`),
  );
  return false;
}

/** @param {string} tool */
function versionOf(tool) {
  const { status, stdout } = spawnSync(binary(tool), ["--version"], { encoding: "utf8" });
  return status === 0 ? /\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] ?? null : null;
}

/** Is it Deno's slow stand-in, a Node script that looks for the binary at every start? */
function isLauncher(/** @type {string} */ tool) {
  return realpathSync(binary(tool)).endsWith("bin.cjs");
}
