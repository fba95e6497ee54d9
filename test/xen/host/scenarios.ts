/**
 * The scenarios: files in scenarios/, run in the order of `order`. Each begins with comment lines that the host reads:
 *
 *   # title: what a reader of the report sees
 *   # sides: both | xdevd        (default: both)
 *   # limit: seconds             (default: 120)
 *   # smoke: only                (not part of the full list)
 */
import * as fs from "node:fs";
import { join } from "node:path";
import { LabError } from "./lab_error.ts";

/** One scenario, as its head says. */
export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly both: boolean;
  readonly limit: number;
  readonly smokeOnly: boolean;
}

const defaultLimit = 120;

/** Reads all scenarios, sorted by name. */
export function readScenarios(directory: string): Scenario[] {
  return fs.readdirSync(directory).filter((file) => file.endsWith(".sh")).sort()
    .map((file) =>
      parseScenario(file.slice(0, -3), fs.readFileSync(join(directory, file), "utf8"))
    );
}

/** Reads a scenario's head. */
export function parseScenario(name: string, text: string): Scenario {
  const field = (key: string) => new RegExp(`^# ${key}: (.+)$`, "m").exec(text)?.[1]?.trim();
  const title = field("title");
  if (title === undefined) throw new LabError(`scenarios/${name}.sh has no "# title:" line`);
  const sides = field("sides") ?? "both";
  if (sides !== "both" && sides !== "xdevd") {
    throw new LabError(`scenarios/${name}.sh: sides are "both" or "xdevd", not "${sides}"`);
  }
  return {
    name,
    title,
    both: sides === "both",
    limit: Number(field("limit") ?? defaultLimit),
    smokeOnly: field("smoke") === "only",
  };
}
