/**
 * Metrics and alert rules, read by Debian's own promtool and node_exporter: unpacked, and not installed,
 * since their packages start services.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { unpacked } from "../../compile/check/foreign.ts";
import { runProgram, until } from "../support/daemon_process.ts";
import { type CountedDaemon, COUNTS, startCountedDaemon } from "../support/counted_daemon.ts";
import { samplesOf } from "../support/metrics_text.ts";
import { requireReal } from "./requirements.ts";

const RULES = join(import.meta.dir, "../../packaging/prometheus/xdevd.rules.yml");
const PATIENCE_MS = 120_000;

/** Where they are unpacked, and why they cannot be. */
function parts(): { root: string; lacking: string | null } {
  if (!existsSync("/usr/bin/apt-get")) return { root: "", lacking: "apt-get" };
  try {
    const architecture = spawnSync("dpkg", ["--print-architecture"], { encoding: "utf8" });
    const root = unpacked(architecture.stdout.trim(), ["prometheus", "prometheus-node-exporter"]);
    return { root, lacking: null };
  } catch (error) {
    const lacking = `Debian's prometheus (${(error as Error).message.split("\n").at(-1)})`;
    return { root: "", lacking };
  }
}

const { root, lacking } = parts();
if (requireReal("metrics, by Debian's promtool and node_exporter", { lacking })) {
  const promtool = (args: readonly string[], input = "") => {
    const { status, stdout, stderr } = spawnSync(join(root, "usr/bin/promtool"), args, {
      encoding: "utf8",
      input,
    });
    return { status, text: stdout + stderr };
  };

  describe("Prometheus' own programs", () => {
    let counted: CountedDaemon;
    beforeAll(async () => {
      counted = await startCountedDaemon();
    }, PATIENCE_MS);
    afterAll(() => counted.stop());

    const metrics = (...args: string[]) =>
      runProgram(
        ["metrics", "--run-dir", counted.runDir, "--store", counted.store, ...args],
        {},
        PATIENCE_MS,
      );

    test("promtool check metrics has nothing to say, with a daemon and without", async () => {
      const { stdout } = await metrics();
      expect(promtool(["check", "metrics"], stdout)).toEqual({ status: 0, text: "" });
      const silent = await metrics(
        "--run-dir",
        counted.directory,
        "--textfile",
        join(counted.directory, "a"),
      );
      expect(silent.code).toBe(12);
      const text = readFileSync(join(counted.directory, "a"), "utf8");
      expect(promtool(["check", "metrics"], text)).toEqual({ status: 0, text: "" });
      // It would say so.
      expect(promtool(["check", "metrics"], "a b c\n").status).not.toBe(0);
    });

    test("promtool check rules takes the example, and each rule names metrics that there are", async () => {
      const { status, text } = promtool(["check", "rules", RULES]);
      expect(text).toMatch(/SUCCESS: 7 rules found/);
      expect(status).toBe(0);
      const there = [...samplesOf((await metrics()).stdout).keys()]
        .map((key) => key.replace(/\{.*/, ""));
      const named = new Set(readFileSync(RULES, "utf8").match(/\bxdevd_[a-z_]+/g));
      expect([...named].filter((name) => !there.includes(name))).toEqual([]);
    });

    test("the alerts fire when they should, by promtool test rules", () => {
      const tests = join(import.meta.dir, "prometheus_rules_test.yml");
      const { status, text } = promtool(["test", "rules", tests]);
      expect({ status, text }).toEqual({ status: 0, text: expect.stringContaining("SUCCESS") });
    });

    test("node_exporter serves the text file", async () => {
      const directory = join(counted.directory, "textfiles");
      mkdirSync(directory);
      expect((await metrics("--textfile", join(directory, "xdevd.prom"))).code).toBe(0);
      const socket = `127.0.0.1:${20_000 + process.pid % 20_000}`;
      const exporter: ChildProcess = spawn(join(root, "usr/bin/prometheus-node-exporter"), [
        "--collector.disable-defaults",
        "--collector.textfile",
        `--collector.textfile.directory=${directory}`,
        `--web.listen-address=${socket}`,
      ], { stdio: ["ignore", "ignore", "pipe"] });
      const ended = new Promise((resolve) => exporter.once("exit", resolve));
      let log = "";
      exporter.stderr!.on("data", (chunk: Uint8Array) => log += new TextDecoder().decode(chunk));
      try {
        let page = "";
        await until(
          async () => (page = await get(socket)).includes("xdevd_up"),
          () => `${page}\n${log}`,
          PATIENCE_MS,
        );
        expect(page).toContain("node_textfile_scrape_error 0");
        expect(page).toMatch(/^xdevd_up 1$/m);
        const attached = COUNTS.ready + COUNTS.detached;
        expect(page.split(/\r?\n/)).toContain(
          `xdevd_operation_duration_seconds_count{kind="vif",operation="attach"} ${attached}`,
        );
      } finally {
        exporter.kill("SIGTERM");
        await ended;
      }
    }, PATIENCE_MS);
  });
}

/** Its page; empty while it does not listen. */
function get(address: string): Promise<string> {
  const [host, port] = address.split(":");
  return new Promise((resolve) => {
    let text = "";
    const socket = connect(Number(port), host!);
    socket.on("error", () => resolve(""));
    socket.on("data", (chunk) => text += chunk);
    socket.on("close", () => resolve(text));
    socket.write("GET /metrics HTTP/1.0\r\n\r\n");
  });
}
