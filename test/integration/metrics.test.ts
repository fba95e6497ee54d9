/** `xdevd metrics`: the daemon's counters in Prometheus' format, which agree with what it remembers. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { exposition } from "../../commands/metrics/exposition.ts";
import { askDaemon } from "../../commands/devd/control_client.ts";
import { runProgram } from "../support/daemon_process.ts";
import { type CountedDaemon, COUNTS, startCountedDaemon } from "../support/counted_daemon.ts";
import { type Samples, samplesOf } from "../support/metrics_text.ts";

const PATIENCE_MS = 60_000;

describe("the text format", () => {
  test("what would end a label or a line does not", () => {
    const text = exposition([{
      name: "a_total",
      help: "first\nsecond \\",
      type: "counter",
      samples: [[{ way: 'a"b\\c\nd\x1b[31m' }, 1], [{}, 0.5]],
    }, { name: "empty", help: "none", type: "gauge", samples: [] }]);
    expect(text).toBe(
      '# HELP a_total first\\nsecond \\\\\n# TYPE a_total counter\na_total{way="a\\"b\\\\c' +
        '\\\\x0ad\\\\x1b[31m"} 1\na_total 0.5\n',
    );
    expect(samplesOf(text).size).toBe(2);
  });

  test("long labels are cut", () => {
    const samples = [[{ a: "x".repeat(1000) }, 1]] as const;
    expect(exposition([{ name: "a", help: "b", type: "gauge", samples }]).length).toBeLessThan(300);
  });
});

describe("xdevd metrics", () => {
  let counted: CountedDaemon;
  beforeAll(async () => {
    counted = await startCountedDaemon();
  }, PATIENCE_MS);
  afterAll(() => counted.stop());

  const run = (...args: string[]) =>
    runProgram(
      ["metrics", "--run-dir", counted.runDir, "--store", counted.store, ...args],
      {},
      PATIENCE_MS,
    );
  const sum = (samples: Samples, pattern: RegExp) =>
    [...samples].filter(([key]) => pattern.test(key)).reduce(
      (total, [, value]) => total + value,
      0,
    );

  test("tells devices, operations, durations, failures, the store and memory", async () => {
    const { code, stdout, stderr } = await run();
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const samples = samplesOf(stdout);
    const { ready, failed, detached } = COUNTS;
    expect(samples.get("xdevd_up")).toBe(1);
    expect(sum(samples, /^xdevd_info\{version="[^"]+",domid="1"\}$/)).toBe(1);
    expect(sum(samples, /^xdevd_devices\{kind="vif".*state="ready"\}/)).toBe(ready);
    expect(sum(samples, /^xdevd_devices\{kind="vif".*state="failed"\}/)).toBe(failed);
    const operations = 'xdevd_operations_total{kind="vif",operation=';
    expect(samples.get(`${operations}"attach",result="succeeded"}`)).toBe(ready + detached);
    expect(samples.get(`${operations}"attach",result="failed"}`)).toBe(failed);
    expect(samples.get(`${operations}"detach",result="succeeded"}`)).toBe(detached);
    expect(sum(samples, /^xdevd_failures_total/)).toBe(failed);
    expect(samples.get("xdevd_storage_helpers_left")).toBe(0);
    expect(samples.get("xdevd_store_nodes_left")).toBe(100);
    expect(samples.get("xdevd_store_round_trips_total")).toBeGreaterThan(0);
    expect(samples.get("xdevd_resident_memory_bytes")).toBeGreaterThan(1_000_000);
    const started = samples.get("xdevd_start_time_seconds")! * 1000;
    expect(Math.abs(Date.now() - started)).toBeLessThan(10 * PATIENCE_MS);
  });

  test("durations are those that the trace has", async () => {
    const samples = samplesOf((await run()).stdout);
    for (const operation of ["attach", "detach"]) {
      const durations: number[] = [];
      for (const device of counted.names) {
        const { history } = await askDaemon<{ history: Record<string, unknown>[] }>(
          counted.runDir,
          "Describe",
          { device },
        );
        for (const { operation: name, outcome, durationMs } of history) {
          if (name === operation && outcome === "done") durations.push(durationMs as number);
        }
      }
      const labels = `kind="vif",operation="${operation}"`;
      const at = (name: string, more = "") =>
        samples.get(`xdevd_operation_duration_seconds_${name}{${labels}${more}}`);
      expect(at("count")).toBe(durations.length);
      const total = durations.reduce((all, ms) => all + ms, 0);
      // Each is told to a tenth of a millisecond.
      expect(Math.abs(at("sum")! * 1000 - total)).toBeLessThan(0.1 * (durations.length + 1));
      for (const most of [0.01, 0.1, 1, 10]) {
        const within = durations.filter((ms) => ms <= most * 1000).length;
        // One may be rounded over an edge.
        const near = durations.filter((ms) => Math.abs(ms - most * 1000) < 0.2).length;
        expect(Math.abs(at("bucket", `,le="${most}"`)! - within)).toBeLessThanOrEqual(near);
      }
      expect(at("bucket", ',le="+Inf"')).toBe(durations.length);
    }
  });

  test("--textfile writes a whole file that others may read, and says what is in the way", async () => {
    const directory = join(counted.directory, "textfiles");
    mkdirSync(directory);
    const file = join(directory, "xdevd.prom");
    expect(await run("--textfile", file)).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(samplesOf(readFileSync(file, "utf8")).get("xdevd_up")).toBe(1);
    const first = statSync(file).ino;
    expect((await run("--textfile", file)).code).toBe(0);
    expect(statSync(file).ino).not.toBe(first);
    expect(readdirSync(directory)).toEqual(["xdevd.prom"]);
    const absent = await run("--textfile", join(directory, "absent/xdevd.prom"));
    expect(absent).toMatchObject({ code: 1, stdout: "" });
    expect(absent.stderr).toMatch(
      /^xdevd: cannot write .*absent\/xdevd\.prom: there is no directory .*absent\n$/,
    );
    const link = join(directory, "link.prom");
    symlinkSync("/dev/null", link);
    for (const other of [link, join(counted.runDir, "xdevd.sock")]) {
      const { code, stderr } = await run("--textfile", other);
      expect(code).toBe(1);
      expect(stderr).toMatch(/ is there; expected a regular file, or nothing yet\n$/);
    }
    expect(readlinkSync(link)).toBe("/dev/null");
  });

  test("without a daemon the file says so, and not what was before", async () => {
    const file = join(counted.directory, "silent.prom");
    expect((await run("--textfile", file)).code).toBe(0);
    const { code, stderr } = await run("--run-dir", counted.directory, "--textfile", file);
    expect(code).toBe(12);
    expect(stderr).toMatch(/no daemon answers at .* \[daemon-silent\]\n$/);
    expect([...samplesOf(readFileSync(file, "utf8"))]).toEqual([["xdevd_up", 0]]);
  });

  test("without the store, what it would tell is left out", async () => {
    const { code, stdout } = await run("--store", "/no");
    expect(code).toBe(0);
    expect(samplesOf(stdout).has("xdevd_store_nodes_left")).toBeFalse();
  });
});
