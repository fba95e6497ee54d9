/** `xdevd plugin check` as a person runs it, in a temporary directory of its own. */
import { expect } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { RULES } from "../../simulation/plugin_check/suite.ts";
import { runProgram } from "../support/daemon_process.ts";
import { remains } from "./remains.ts";

/** What a check said. */
export interface Report {
  readonly text: string;
  readonly passed: number;
  readonly failed: number;
  readonly notRun: number;
}

/** How long one may take, in ms: a plugin that hangs is waited for, twice. */
const PATIENCE_MS = 200_000;

/**
 * Checks a plugin that is broken: all rules are accounted for in a summary, and nothing is left on
 * the machine.
 */
export async function checkBroken(file: string, ...options: string[]): Promise<Report> {
  const temporary = mkdtempSync(join(tmpdir(), "xdevd-broken-"));
  const { stdout, stderr, code } = await runProgram(
    ["plugin", "check", file, "--time-limit", "1", ...options],
    { TMPDIR: temporary },
    PATIENCE_MS,
  );
  const summary = /\n(\d+) passed, (\d+) failed(?:, (\d+) not run)? \(\w+\)\n$/.exec(stdout);
  if (summary === null) throw new Error(`no summary: ${stdout}${stderr}`);
  const numbers = summary.slice(1).map((text) => Number(text ?? 0));
  const asked = options.filter((option) => option === "--only").length || RULES.length;
  expect(numbers.reduce((sum, number) => sum + number)).toBe(asked);
  expect(code).toBe(1);
  expect(await remains(temporary)).toEqual([]);
  expect(readdirSync(temporary)).toEqual([]);
  rmSync(temporary, { recursive: true });
  return { text: stdout, passed: numbers[0]!, failed: numbers[1]!, notRun: numbers[2]! };
}
