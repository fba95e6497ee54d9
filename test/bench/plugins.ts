/** What plugins cost: loading one, and each call of one, by what carries it. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { pluginAt } from "../../plugins/discover.ts";
import { NO_SETTINGS } from "../../plugins/settings.ts";
import { type Available, makeHost, trustParts } from "../../commands/plugin/set.ts";
import { configureLog } from "../../core/log/log.ts";
import { Rig } from "../../simulation/plugin_check/rig.ts";
import { Trial } from "../../simulation/plugin_check/trial.ts";
import { type PluginHost, readyHost } from "../../core/daemon/plugin/host.ts";
import { writeProcessPlugin } from "../support/plugin_files.ts";
import { summarise } from "./statistics.ts";
import type { Benchmark, Result } from "./result.ts";

const here = dirname(fileURLToPath(import.meta.url));
const templates = join(here, "../../plugins/templates");
const LOADS = 20;
const CALLS = 300;

const settings = { owner: `bench-${process.pid}`, path: "/usr/bin:/bin", answerMs: 1_000 };

/** The benchmark. */
export const plugins: Benchmark = async () => {
  const directory = mkdtempSync(join(tmpdir(), "xdevd-bench-"));
  configureLog("error", () => {});
  try {
    const module_ = join(directory, "module.ts");
    writeFileSync(module_, readFileSync(join(templates, "my_backend.ts")), { mode: 0o644 });
    const python = join(directory, "python");
    writeFileSync(python, readFileSync(join(templates, "my_backend.py")), { mode: 0o755 });
    return [await coldLoad(module_, python), await calls(directory)];
  } finally {
    rmSync(directory, { recursive: true });
  }
};

/** From a daemon that has not loaded the plugin to one that can call it, in a process that is new. */
async function coldLoad(module_: string, python: string): Promise<Result> {
  const series: Record<string, number[]> = { "module (TypeScript)": [], "process (Python)": [] };
  for (let round = 0; round < LOADS; round++) {
    for (const [name, file] of [["module (TypeScript)", module_], ["process (Python)", python]]) {
      const child = Bun.spawnSync([process.execPath, join(here, "plugin_load.ts"), file!]);
      if (child.exitCode !== 0) throw new Error(child.stderr.toString());
      series[name!]!.push(Number(child.stdout.toString()));
    }
  }
  return { what: "cold load", unit: "ms", subjects: summarised(series) };
}

/** Add and remove of one device, with the embedded store; the plugin records, and writes a node. */
async function calls(directory: string): Promise<Result> {
  const work = "record and write";
  const program = join(directory, "program");
  const manifest = writeProcessPlugin(
    program,
    `let steps;
    const ask = (call, capability, ...args) =>
      send({ type: "request", request: 1, call, capability, arguments: args });
    on.call = ({ call, operation }) => {
      if (operation === "remove") return done({ call });
      steps = [
        () => ask(call, "recordUndo", { work: "${work}" }),
        () => ask(call, "nodes.write", { "hotplug-status": "connected" }),
        () => done({ call }),
      ];
      steps.shift()();
    };
    on.reply = () => steps.shift()();`,
    { name: "bench" },
  );
  const native = readyHost({
    ...manifest,
    carrier: "module",
    async add(device) {
      await device.recordUndo({ work });
      await device.nodes.write({ "hotplug-status": "connected" });
    },
    async remove() {},
  });
  const found: Available = await pluginAt(program, NO_SETTINGS, trustParts());
  const process_ = makeHost(found, settings);
  const trials: Record<string, Trial> = {};
  const rigs: Rig[] = [];
  const hosts: Record<string, PluginHost> = { module: native, process: process_ };
  for (const [name, host] of Object.entries(hosts)) {
    const own = join(directory, name);
    await Bun.$`mkdir ${own}`;
    const isolation = { mounts: false, network: false };
    const fresh = async () => host;
    const rig = await Rig.start({ directory: own, manifest, fresh, isolation });
    rigs.push(rig);
    trials[name] = await Trial.open(rig, 1);
  }
  const series: Record<string, number[]> = { module: [], process: [] };
  for (let round = -20; round < CALLS; round++) {
    for (const [name, trial] of Object.entries(trials)) {
      const added = await trial.add();
      const removed = await trial.remove();
      if (added.error ?? removed.error) throw added.error ?? removed.error;
      if (round >= 0) series[name]!.push(added.ms + removed.ms);
    }
  }
  for (const rig of rigs) await rig.stop();
  return { what: "add and remove, embedded store", unit: "ms", subjects: summarised(series) };
}

function summarised(series: Record<string, number[]>): Result["subjects"] {
  return Object.fromEntries(Object.entries(series).map(([name, ms]) => [name, summarise(ms)]));
}
