/** Runtimes of the full binary for any machine: fetched by npm, which checks them, and kept in `build/runtimes`. */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../package.json" with { type: "json" };
import { type Runtime, RUNTIME_VERSION, type Target } from "./targets.ts";

const CACHE = "build/runtimes";

/**
 * Where a target's runtime is; fetched if need be.
 * @throws Error with what npm said, if it cannot be had or is not what it should be
 */
export function runtimeOf({ name, runtime }: Target): string {
  const pinned = manifest.devDependencies.bun;
  if (pinned !== RUNTIME_VERSION) {
    throw new Error(`compile/targets.ts is for bun ${RUNTIME_VERSION}, package.json has ${pinned}`);
  }
  const home = join(CACHE, `${name}-${RUNTIME_VERSION}`);
  const program = join(home, "node_modules", runtime.package, "bin", "bun");
  const stamp = join(home, "integrity");
  if (existsSync(stamp) && readFileSync(stamp, "utf8") === runtime.integrity) return program;
  console.log(`fetching ${runtime.package} ${RUNTIME_VERSION}`);
  const fresh = `${home}.${process.pid}`;
  rmSync(fresh, { recursive: true, force: true });
  mkdirSync(fresh, { recursive: true });
  try {
    fetchInto(fresh, runtime);
    writeFileSync(join(fresh, "integrity"), runtime.integrity);
    rmSync(home, { recursive: true, force: true });
    renameSync(fresh, home);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return program;
}

/** A package of its own, with a lock file: `npm ci` refuses what differs from that. */
function fetchInto(directory: string, { package: name, integrity }: Runtime): void {
  const dependencies = { [name]: RUNTIME_VERSION };
  const lock = {
    lockfileVersion: 3,
    packages: {
      "": { dependencies },
      [`node_modules/${name}`]: { version: RUNTIME_VERSION, integrity },
    },
  };
  writeFileSync(join(directory, "package.json"), JSON.stringify({ private: true, dependencies }));
  writeFileSync(join(directory, "package-lock.json"), JSON.stringify(lock));
  // By force, since the runtime is not for this machine.
  const options = ["--force", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const { status, stdout, stderr } = spawnSync("npm", ["ci", ...options], {
    cwd: directory,
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(`npm cannot fetch ${name}:\n${stdout ?? ""}${stderr ?? ""}`);
}
